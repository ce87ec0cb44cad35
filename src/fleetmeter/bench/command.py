"""The whole benchmark, as `fleetmeter bench` runs it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from fleetmeter.bench import report
from fleetmeter.bench.run import SCENARIOS, Bench, Options
from fleetmeter.errors import FleetMeterError
from fleetmeter.settings import Settings


def bench(
    server_url: str,
    settings: Settings,
    *,
    rounds: int,
    out: Path,
    only: Sequence[str],
    devices: int,
    readings: int,
    seconds: float,
    workers: int,
    soak: float,
) -> None:
    """Measure, print the table, write the file. Raises FleetMeterError."""
    if unknown := set(only) - set(SCENARIOS) - {"soak"}:
        raise FleetMeterError(
            f"there is no scenario {sorted(unknown)[0]}; there are {', '.join(SCENARIOS)}, soak"
        )
    options = Options(
        devices=devices,
        readings=readings,
        seconds=seconds,
        workers=workers,
        soak_s=soak,
        only=tuple(name for name in SCENARIOS if not only or name in only),
    )
    try:
        asyncio.run(_bench(server_url, settings, options, rounds, out))
    except (OSError, asyncpg.PostgresError) as error:
        raise FleetMeterError(f"the database cannot be used for a benchmark: {error}") from error


async def _bench(
    server_url: str, settings: Settings, options: Options, rounds: int, out: Path
) -> None:
    machine = await report.machine(server_url)
    with report.progress() as progress:
        lines = report.medians(
            [await Bench(server_url, settings, options, progress).run() for _ in range(rounds)]
        )
    report.show(lines, machine)
    report.write(out, lines, machine, options)
