"""Runs the whole benchmark, as `fleetmeter bench` does."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from fleetmeter.errors import FleetMeterError
from fleetmeter.settings import Settings
from fleetmeter_benchmark import (
    answers,
    columnstore,
    compare,
    file_results,
    ingest_result,
    report,
    result_file,
)
from fleetmeter_benchmark.machine import machine
from fleetmeter_benchmark.options import (
    COMPARED,
    SCENARIOS,
    AnomalyOptions,
    AnswersOptions,
    ColumnstoreOptions,
    Options,
)
from fleetmeter_benchmark.processes import THIS, Version
from fleetmeter_benchmark.progress_bars import progress_bars
from fleetmeter_benchmark.scenarios import Round
from fleetmeter_benchmark.scenarios import measure as measure_once
from fleetmeter_benchmark.versions import checked_out, this_revision

_QUICK = (2000, 200_000, 500)
"""Devices, readings, and vehicles of the answers."""


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
    seeds: Sequence[int],
    vehicles: int,
    days: int,
    faults: int,
    quick: bool,
    against: str | None,
) -> None:
    """Measure what the command line asks for. Raises FleetMeterError."""
    if quick:
        devices, readings, fleet = (
            min(each) for each in zip((devices, readings, fleet), _QUICK, strict=True)
        )
    scenarios = SCENARIOS if against is None else COMPARED
    there_are = scenarios if against is not None else (*scenarios, "soak")
    if unknown := set(only) - set(there_are):
        raise FleetMeterError(
            f"unknown scenario {sorted(unknown)[0]}; choose from {', '.join(there_are)}"
        )
    options = Options(
        devices=devices,
        readings=readings,
        seconds=seconds,
        workers=workers,
        soak_s=soak,
        pairs=5 if quick else 40,
        charge_points=1000 if quick else 10_000,
        answers=AnswersOptions(fleet=fleet),
        columnstore=ColumnstoreOptions(devices=fleet // 10),
        anomalies=AnomalyOptions(vehicles=vehicles, days=days, faults=faults, seeds=tuple(seeds)),
        only=tuple(name for name in scenarios if not only or name in only),
    )
    if against is None:
        measure(server_url, settings, options, rounds=rounds, out=out)
    else:
        measure_against(against, server_url, options, rounds=rounds, out=out)


def measure_against(
    revision: str, server_url: str, options: Options, *, rounds: int, out: Path
) -> None:
    """Measure another version and this one in turn, and print the table. Raises FleetMeterError."""
    with checked_out(revision) as old, _explained():
        asyncio.run(_compare(old, server_url, options, rounds, out))


async def _compare(old: Version, server_url: str, options: Options, rounds: int, out: Path) -> None:
    on = await machine(server_url) | {"old": old.name, "new": this_revision()}
    with progress_bars() as progress:
        lines = await compare.measure(server_url, (old, THIS), options, rounds, progress)
    report.show_compared(lines, on)
    result_file.write_compared(out, lines, on, options)


def measure(
    server_url: str, settings: Settings, options: Options, *, rounds: int, out: Path
) -> None:
    """Measure, print the tables, write the file. Raises FleetMeterError."""
    with _explained():
        asyncio.run(_bench(server_url, settings, options, rounds, out))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (OSError, asyncpg.PostgresError) as error:
        raise FleetMeterError(f"the database cannot be used for a benchmark: {error}") from error


async def _bench(
    server_url: str, settings: Settings, options: Options, rounds: int, out: Path
) -> None:
    on = await machine(server_url)
    with progress_bars() as progress:
        done = [await measure_once(server_url, settings, options, progress) for _ in range(rounds)]
    figures = Round(
        ingest_result.medians([each.ingest for each in done]),
        answers.medians([each.answers for each in done]),
        columnstore.medians([each.columnstore for each in done]),
        file_results.medians([each.files for each in done]),
        done[-1].keys,
        done[-1].influx,
        done[-1].detected,
    )
    if figures.ingest:
        report.show(figures.ingest, on)
    if figures.keys:
        report.show_sides(figures.keys, on, ("without keys", "with a key"))
    if figures.influx:
        report.show_sides(figures.influx, on, ("JSON", "line protocol"))
    if figures.files:
        report.show_files(figures.files, on)
    if figures.answers:
        report.show_answers(figures.answers, on)
    if figures.columnstore:
        report.show_columnstore(figures.columnstore, on)
    if figures.detected:
        report.show_detected(figures.detected, on)
    result_file.write(out, figures, on, options)
