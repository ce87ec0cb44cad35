"""`fleetmeter demo`: a believable fleet to look at, with a history, live."""

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click

from fleetmeter.terminal import say
from fleetmeter_simulator.client.service import StoppedError, check
from fleetmeter_simulator.demo.filling import Filling
from fleetmeter_simulator.demo.own_service import OwnService
from fleetmeter_simulator.demo.simulation import (
    Scope,
    Simulation,
    midnight_before,
    write_history,
)

T = TypeVar("T")

_PARTS = 3
"""Parts of the history: one is stored while the next is simulated."""

_FOLDER = "data-demo"
_stop = threading.Event()


class _Stages:
    """Measures what takes how long."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._took: list[str] = []

    def end(self, stage: str) -> None:
        """Note the end of a stage, which began with that of the one before."""
        now = time.monotonic()
        self._took.append(f"{stage} {now - self._last:.1f} s")
        self._last = now

    def __str__(self) -> str:
        return f"ready after {self._last - self._began:.0f} s: {', '.join(self._took)}"


@click.command("demo")
@click.option(
    "--url", help="Fill this service instead of one of its own, and leave it as it is otherwise."
)
@click.option(
    "--key",
    envvar="FLEETMETER_KEY",
    metavar="KEY",
    help="With --url: access key with the scopes ingest, read and operate; by default, "
    "FLEETMETER_KEY.",
)
@click.option(
    "--days",
    default=30,
    show_default=True,
    type=click.IntRange(1, 30),
    help="Days of history before today.",
)
@click.option(
    "--share",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.02, 1),
    help="Share of the 200 vehicles.",
)
@click.option(
    "--folder",
    default=_FOLDER,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of its own database.",
)
@click.option(
    "--port",
    default=3000,
    envvar="FLEETMETER_PORT",
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port of its own service; by default, FLEETMETER_PORT.",
)
def command(
    url: str | None, key: str | None, days: int, share: float, folder: Path, port: int
) -> None:
    """Show a fleet: 200 vehicles at four depots, with a month of history and some faults, live.

    It runs a service of its own on an embedded PostgreSQL in data-demo/, or fills the one at --url.
    History has a reading of each device a quarter hour; from then on, there is one a minute. Ctrl-C
    ends it; run it again, and it continues. To remove the demo, delete the folder.
    """
    stages = _Stages()
    scope = Scope(days, share)
    with _stops_on_signals(), suppress(StoppedError):
        if url is not None:
            check(url)
            _fill(Filling(url, key, _stop.is_set), scope, None, stages, url, "")
        else:
            own = OwnService(folder.absolute(), port)
            _show(own, scope, stages, os.path.relpath(own.folder))


def _show(own: OwnService, scope: Scope, stages: _Stages, folder: str) -> None:
    """Run a service of its own, with a history: that is imported while the service rests."""
    where = f"\n  Data     in {folder}/; to remove them: rm -r {folder}"
    simulation = None
    with own.running():
        stages.end("start")
        filling = Filling(own.url, None, _stop.is_set)
        fleet = Simulation(scope, midnight_before(datetime.now(UTC), scope.days)).fleet
        midnight = filling.began(fleet.vehicles[0].vehicle_id)
        newest = filling.newest(vehicle.vehicle_id for vehicle in fleet.vehicles)
        parts = [own.folder / f"history-{number}.ndjson" for number in range(_PARTS)]
        # or it was stopped before the end of its import
        if newest is None or any(part.exists() for part in parts):
            say(f"Preparing {scope.days} days of {len(fleet.vehicles)} vehicles …", err=True)
            midnight = midnight or midnight_before(datetime.now(UTC), scope.days)
            simulation = Simulation(scope, midnight)
            with ThreadPoolExecutor() as beside:
                describing = beside.submit(filling.describe, simulation)
                _write(parts, 0, simulation)
                describing.result()
            stages.end("describe")
        filling.close()
    if simulation is not None:
        with ThreadPoolExecutor() as beside:
            for number in range(1, _PARTS):
                storing = beside.submit(own.store, parts[number - 1], _stop.is_set)
                _write(parts, number, simulation)
                storing.result()
        stages.end("simulate and store")
        own.store(parts[-1], _stop.is_set, "--evaluate")
        for part in parts:
            part.unlink()
        stages.end("evaluate")
    with own.running():
        _fill(Filling(own.url, None, _stop.is_set), scope, simulation, stages, own.url, where)


def _write(parts: Sequence[Path], number: int, simulation: Simulation) -> None:
    """Write a part of the history. Raises StoppedError."""
    until = datetime.now(UTC)
    until -= (until - simulation.now) * (1 - 1 / (len(parts) - number))
    write_history(parts[number], _until_stopped(simulation.quarters(until)))


def _fill(
    filling: Filling,
    scope: Scope,
    simulation: Simulation | None,
    stages: _Stages,
    url: str,
    where: str,
) -> None:
    """Bring a service up to now, and keep it live; `simulation` says that its history is there."""
    is_new = simulation is not None
    if simulation is None:
        simulation = Simulation(scope, midnight_before(datetime.now(UTC), scope.days))
        vehicles = simulation.fleet.vehicles
        midnight = filling.began(vehicles[0].vehicle_id)
        newest = filling.newest(vehicle.vehicle_id for vehicle in vehicles)
        if midnight is not None:
            simulation = Simulation(scope, midnight)
        if newest is None:
            is_new = True
            filling.describe(simulation)
        else:
            simulation.skip(newest)
        filling.send(_until_stopped(simulation.quarters(datetime.now(UTC))))
    if is_new:
        filling.acknowledge_one()
    stages.end("go live")
    fleet = simulation.fleet
    say(
        f"\nThe demo is at {url}  ({stages})\n"
        f"  Fleet    {len(fleet.vehicles)} vehicles and {len(fleet.meters)} meters at 4 sites, "
        f"from {simulation.midnight:%Y-%m-%d} on, now live{where}\n"
        "  Stop     Ctrl-C; run it again, and it continues"
    )
    filling.go_live(simulation)
    filling.live(simulation)


def _until_stopped(items: Iterable[T]) -> Iterator[T]:
    """Yield the same, until a signal has asked to stop. Raises StoppedError."""
    for item in items:
        if _stop.is_set():
            raise StoppedError
        yield item


@contextmanager
def _stops_on_signals() -> Iterator[None]:
    """Stop cleanly at the first signal."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: _stop.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
