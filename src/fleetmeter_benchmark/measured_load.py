"""Does a job, and measures what the processes that handle it use."""

from datetime import timedelta
from typing import NamedTuple

import psutil

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.ingest_jobs import lead
from fleetmeter_benchmark.ingest_result import Measured, quantile
from fleetmeter_benchmark.load_job import Job
from fleetmeter_benchmark.options import Progress
from fleetmeter_benchmark.processes import SAMPLE_S, Usage, load

_LONGEST = timedelta(minutes=4)
"""Longest data time: what is newer is fresh, whatever the minute of the hour."""


class Loaded(NamedTuple):
    """Holds the result of a load, and how many readings were acknowledged, and how many as new."""

    line: Measured
    handled: int
    accepted: int


async def measure_load(
    name: str,
    job: Job,
    service_process: psutil.Process | None,
    database_process: psutil.Process | None,
    progress: Progress,
) -> Loaded:
    """Do a job and measure what the processes use. Raises FleetMeterError."""
    if lead(job) > _LONGEST:
        raise FleetMeterError(
            f"{name}: so many readings of {job.traffic.devices:,} devices reach more than "
            f"{_LONGEST.total_seconds() / 60:g} minutes back; take more devices or fewer readings"
        )
    total = round(job.rate * job.seconds) if job.rate else job.readings
    progress(name, 0, total)
    async with Usage(service_process) as used, Usage(database_process) as database:
        result = await load(job, lambda done: progress(name, done, total))
    if not result.latencies_ms:
        raise FleetMeterError(f"{name}: nothing was acknowledged: {result.answers}")
    progress(name, total, total)
    million = result.handled / 1_000_000
    per_minute = round(60 / SAMPLE_S)
    line = Measured(
        scenario=name,
        rate=result.readings / result.seconds,
        p50_ms=quantile(result, 50),
        p99_ms=quantile(result, 99),
        answers=result.answers,
        rss_mib=max(used.rss_mib, default=0.0),
        rss_by_minute_mib=used.rss_mib[per_minute - 1 :: per_minute],
        service_cpu_s=used.cpu_s / million,
        database_cpu_s=database.cpu_s / million if database_process else None,
        load_cpu_s=result.cpu_s / result.readings * 1_000_000,
    )
    return Loaded(line, result.handled, result.accepted)
