"""The whole benchmark, as `fleetmeter bench` runs it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from fleetmeter.bench import answers, columnstore, files, measured, report
from fleetmeter.bench.machine import machine
from fleetmeter.bench.options import SCENARIOS, AnswersOptions, ColumnstoreOptions, Options
from fleetmeter.bench.run import Round
from fleetmeter.bench.run import measure as measure_once
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
    fleet: int,
) -> None:
    """Measure what the command line asks for. Raises FleetMeterError."""
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
        answers=AnswersOptions(fleet=fleet),
        columnstore=ColumnstoreOptions(devices=fleet // 10),
        only=tuple(name for name in SCENARIOS if not only or name in only),
    )
    measure(server_url, settings, options, rounds=rounds, out=out)


def measure(
    server_url: str, settings: Settings, options: Options, *, rounds: int, out: Path
) -> None:
    """Measure, print the tables, write the file. Raises FleetMeterError."""
    try:
        asyncio.run(_bench(server_url, settings, options, rounds, out))
    except (OSError, asyncpg.PostgresError) as error:
        raise FleetMeterError(f"the database cannot be used for a benchmark: {error}") from error


async def _bench(
    server_url: str, settings: Settings, options: Options, rounds: int, out: Path
) -> None:
    on = await machine(server_url)
    with report.progress() as progress:
        done = [await measure_once(server_url, settings, options, progress) for _ in range(rounds)]
    figures = Round(
        measured.medians([each.ingest for each in done]),
        answers.medians([each.answers for each in done]),
        columnstore.medians([each.columnstore for each in done]),
        files.medians([each.files for each in done]),
        done[-1].detected,
    )
    if figures.ingest:
        report.show(figures.ingest, on)
    if figures.files:
        report.show_files(figures.files, on)
    if figures.answers:
        report.show_answers(figures.answers, on)
    if figures.columnstore:
        report.show_columnstore(figures.columnstore, on)
    if figures.detected:
        report.show_detected(figures.detected, on)
    report.write(out, figures, on, options)
