"""Measures what the rules find in simulated fleets: the faults that were put in, and no others.

The readings of a fleet are imported from files, in the order in which they would arrive. Then a
service evaluates them hour by hour, and is asked for the anomalies. History does not show when a
reading arrived, so the rules that judge the arrival are not measured.
"""

import asyncio
import gzip
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from urllib.parse import urlencode

import msgspec

from fleetmeter.anomalies.model import AnomalyKind
from fleetmeter.readings.model import MAX_AHEAD_S
from fleetmeter_benchmark.client import ask, client_of, request
from fleetmeter_benchmark.evaluation import evaluate_since, evaluated
from fleetmeter_benchmark.jobs import pause_jobs, refresh_rollups
from fleetmeter_benchmark.options import AnomalyOptions, Progress
from fleetmeter_benchmark.processes import THIS, fresh_database, service
from fleetmeter_benchmark.scoring import OpenedAnomaly, Scored, score, together
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.msgpack import body
from fleetmeter_simulator.client.sending import Sender
from fleetmeter_simulator.client.setup import exchange_of, settings_of
from fleetmeter_simulator.faults.kinds import per_kind
from fleetmeter_simulator.fleet import Fleet

BY_ARRIVAL: frozenset[AnomalyKind] = frozenset({"clock_skew", "readings_refused"})
"""Kinds that go by when a reading arrived or was refused."""

_HOUR = timedelta(hours=1)
_CONNECTIONS = 4
_PAGE = 1000


class Detected(msgspec.Struct, kw_only=True):
    """Holds the result of all fleets together, and what it took."""

    scores: list[Scored]
    seeds: tuple[int, ...]
    vehicles: int
    days: int
    readings: int
    stored_s: float
    evaluated_s: float


async def measure(server_url: str, options: AnomalyOptions, progress: Progress) -> Detected:
    """Run a fleet for each seed, one after another, each in a database of its own."""
    fleets = [await _measure(server_url, seed, options, progress) for seed in options.seeds]
    scores, readings, stored_s, evaluated_s = zip(*fleets, strict=True)
    return Detected(
        scores=together(scores),
        seeds=options.seeds,
        vehicles=options.vehicles,
        days=options.days,
        readings=sum(readings),
        stored_s=sum(stored_s),
        evaluated_s=sum(evaluated_s),
    )


async def _measure(
    server_url: str, seed: int, options: AnomalyOptions, progress: Progress
) -> tuple[list[Scored], int, float, float]:
    """Return scores, readings, and seconds for storing and evaluating them."""
    name = f"anomalies: fleet {seed}"
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    fleet = _fleet(seed, end - timedelta(days=options.days), options)
    async with fresh_database(server_url, 0) as url:
        await pause_jobs(url)
        with TemporaryDirectory(prefix="fleetmeter-bench-") as folder:
            files, readings = await asyncio.to_thread(
                _write, Path(folder), fleet, options.days, name, progress
            )
            async with service(url, 1) as running:
                await asyncio.to_thread(_announce, f"http://{running.target}", fleet)
            started = perf_counter()
            await THIS.run(url, "import", *map(str, files))
            stored_s = perf_counter() - started
        await refresh_rollups(url)
        await evaluate_since(url, fleet.start)
        async with service(url, 1) as running:
            started = perf_counter()
            await evaluated(url, end)
            evaluated_s = perf_counter() - started
            found = await _anomalies(running.target, end)
    devices = fleet.devices
    intervals = {v.vehicle_id: v.reporting_interval_s for v in devices.vehicles}
    intervals |= {m.meter_id: m.reporting_interval_s for m in devices.meters}
    scores = [
        line
        for line in score(fleet.faults, fleet.acceptable, found, intervals)
        if line.kind not in BY_ARRIVAL
    ]
    return scores, readings, stored_s, evaluated_s


def _fleet(seed: int, start: datetime, options: AnomalyOptions) -> Fleet:
    faults = [each for each in per_kind(options.faults) if each.kind not in BY_ARRIVAL]
    return Fleet(seed, options.vehicles, start, options.days, season="winter", faults=faults)


def _write(
    folder: Path, fleet: Fleet, days: int, name: str, progress: Progress
) -> tuple[list[Path], int]:
    """Write a file for each day; return them, and the number of readings."""
    encoder = msgspec.json.Encoder()
    files, readings = [], 0
    for day in range(days):
        progress(name, day, days)
        files.append(folder / f"{day:02}.ndjson.gz")
        with gzip.open(files[-1], "wb", compresslevel=1) as file:
            for hour in range(24):
                arrivals = _accepted(fleet.arrivals(fleet.start + (24 * day + hour) * _HOUR))
                file.write(encoder.encode_lines(msgspec.msgpack.decode(body(arrivals))))
                readings += len(arrivals)
    progress(name, days, days)
    return files, readings


def _accepted(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Leave out what a service rejects on arrival, since its clock is too far ahead."""
    return [each for each in arrivals if each[2][1] - each[0] <= MAX_AHEAD_S * 1_000_000]


def _announce(url: str, fleet: Fleet) -> None:
    """Send the settings of all devices, and the exchanges of meters that somebody recorded."""
    sender = Sender(url, _CONNECTIONS, 1)
    sender.announce(settings_of(fleet.devices))
    sender.announce([exchange_of(each)] for each in fleet.exchanges if each.stated_us is not None)


class _Page(msgspec.Struct, rename="camel"):
    items: list[OpenedAnomaly]
    next_cursor: str | None


async def _anomalies(target: str, end: datetime) -> list[OpenedAnomaly]:
    """Return what was found up to `end`, when the fleet fell silent."""
    found: list[OpenedAnomaly] = []
    parameters = {"to": f"{end:%Y-%m-%dT%H:%M:%SZ}", "limit": str(_PAGE)}
    async with client_of(target) as client:
        while True:
            wire = request("GET", f"/v1/anomalies?{urlencode(parameters)}")
            page = msgspec.json.decode(await ask(client, wire), type=_Page)
            found += [each for each in page.items if each.detected_at <= end]
            if page.next_cursor is None:
                return found[::-1]
            parameters["cursor"] = page.next_cursor
