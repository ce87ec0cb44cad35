"""The jobs of the scenarios of ingest: how many readings, how old, how fast."""

from datetime import UTC, datetime, timedelta

import msgspec

from fleetmeter_benchmark.fleet import FRESH, STEP, Age, Traffic
from fleetmeter_benchmark.load_job import WARM_UP, Job
from fleetmeter_benchmark.options import Options
from fleetmeter_benchmark.processes import Running

IN_FLIGHT = 40_000
"""Readings that the clients of a closed loop wait for together."""

SINGLE_CONNECTIONS = 64


def bulk_job(options: Options, batch: int, age: Age = FRESH) -> Job:
    """Build requests of so many readings, sent as fast as answers come."""
    traffic = Traffic(
        devices=options.devices,
        groups=IN_FLIGHT // batch,
        batch=batch,
        start=datetime.now(UTC),
    )
    return _aged(Job(target="", traffic=traffic, readings=options.readings), age)


def singles_job(options: Options, age: Age = FRESH) -> Job:
    """Build requests of one reading, sent as fast as answers come."""
    job = bulk_job(options, 1000)
    return _aged(
        msgspec.structs.replace(
            job,
            traffic=msgspec.structs.replace(job.traffic, groups=SINGLE_CONNECTIONS, batch=1),
            readings=max(options.readings // 20, 4 * options.devices),
        ),
        age,
    )


def paced_job(job: Job, *, rate: float, seconds: float, connections: int) -> Job:
    """Return the same job at a steady rate."""
    return _aged(
        msgspec.structs.replace(job, rate=rate, seconds=seconds, connections=connections), FRESH
    )


def _aged(job: Job, age: Age) -> Job:
    """Return the same job, with its last reading of that age when it is sent, or not much older."""
    start = datetime.now(UTC) - age.ago - lead(job)
    return msgspec.structs.replace(
        job, traffic=msgspec.structs.replace(job.traffic, start=start.replace(microsecond=0))
    )


def lead(job: Job) -> timedelta:
    """Return how old the first reading must be when sent, so that none is in the future."""
    readings = job.rate * job.seconds * (1 + WARM_UP) if job.rate else job.readings
    span = readings / job.traffic.devices * STEP
    return max(span - timedelta(seconds=job.seconds), timedelta(0))


def at(job: Job, running: Running) -> Job:
    """Return the same job for a running server."""
    return msgspec.structs.replace(job, target=running.target)
