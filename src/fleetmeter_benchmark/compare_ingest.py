"""Compares how fast two versions take readings in."""

from collections.abc import Callable
from functools import partial

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.contenders import Contender
from fleetmeter_benchmark.fleet import AGES, FRESH, Age
from fleetmeter_benchmark.ingest_jobs import at, bulk_job, singles_job
from fleetmeter_benchmark.ingest_result import Measured
from fleetmeter_benchmark.load_job import Job
from fleetmeter_benchmark.measured_load import measure_load
from fleetmeter_benchmark.processes import empty_handler

_BATCH = 5000


async def compare_bulk(comparison: Comparison) -> None:
    """Measure batches of readings of each age."""
    await _ages(comparison, "bulk", partial(bulk_job, comparison.options, _BATCH))


async def compare_singles(comparison: Comparison) -> None:
    """Measure single readings of each age, and an empty handler."""
    async with empty_handler() as running:
        job = at(singles_job(comparison.options), running)
        empty = (
            await measure_load("empty handler", job, running.process, None, comparison.progress)
        ).line
    fresh = await _ages(comparison, "singles", partial(singles_job, comparison.options))
    ratios = [line.rate / empty.rate for line in fresh]
    comparison.pairs.add("singles, fresh ÷ empty handler", "", *ratios)


async def _ages(
    comparison: Comparison, scenario: str, job_of: Callable[[Age], Job]
) -> list[Measured]:
    """Measure fresh readings and old ones; return the lines of the fresh ones."""
    fresh: list[Measured] = []
    for age in AGES:
        name = f"{scenario}, {age.name}"
        load = partial(_load, comparison, name, job_of, age)
        lines = await comparison.in_turn(name, load, comparison.contenders)
        comparison.pairs.add(name, "readings/s", *(line.rate for line in lines))
        for process, seconds in (
            ("service", [line.service_cpu_s for line in lines]),
            ("database", [line.database_cpu_s for line in lines]),
        ):
            comparison.pairs.add(f"{name}, CPU of the {process}", "s a million", *seconds)
        if age is FRESH:
            fresh = lines
        else:
            ratios = (line.rate / of.rate for line, of in zip(lines, fresh, strict=True))
            comparison.pairs.add(f"{name} ÷ fresh", "", *ratios)
    return fresh


async def _load(
    comparison: Comparison, name: str, job_of: Callable[[Age], Job], age: Age, contender: Contender
) -> Measured:
    """Return what a load reached."""
    name = f"{name}: {contender.version.name}"
    async with contender.database() as url, contender.running(url) as running:
        job = at(job_of(age), running)
        line, handled, accepted = await measure_load(
            name, job, running.process, comparison.database, comparison.progress
        )
    if set(line.answers) != {"200"} or accepted != handled:
        raise FleetMeterError(f"{name}: {accepted:,} of {handled:,} were new: {line.answers}")
    return line
