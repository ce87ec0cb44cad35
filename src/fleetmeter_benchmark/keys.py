"""Measures what keys and their limits cost: a service with a key, and one without, in turn.

Both run all the time. Rounds are short and many, so that whatever else keeps the machine busy
disturbs both alike.
"""

import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.comparison import Comparison
from fleetmeter_benchmark.contenders import prepared
from fleetmeter_benchmark.fleet import STEP
from fleetmeter_benchmark.ingest_jobs import at, bulk_job, singles_job
from fleetmeter_benchmark.load_job import Job
from fleetmeter_benchmark.measured_load import measure_load
from fleetmeter_benchmark.options import Options, Progress
from fleetmeter_benchmark.pairs import Compared, Target
from fleetmeter_benchmark.processes import THIS, Running, database_process, service

_BATCH = 1000

_BULK = Options(devices=10_000, readings=100_000)
_SINGLES = Options(devices=1000, readings=4000)
"""Readings in a round, and the devices that send them; about a second of the service's CPU."""

_TARGETS = {"singles": Target(at_most=1.1), "bulk": Target(at_most=1.05)}


class _Side(NamedTuple):
    """A service, and the key that is sent to it, which may be none."""

    name: str
    running: Running
    key: str


async def measure(server_url: str, options: Options, progress: Progress) -> list[Compared]:
    """Compare the CPU time of services without keys and with one. Raises FleetMeterError."""
    database = await database_process(server_url)
    jobs = {
        "singles": msgspec.structs.replace(singles_job(_SINGLES), readings=_SINGLES.readings),
        "bulk": bulk_job(_BULK, _BATCH),
    }
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(
            prepared(THIS, server_url, database, _BULK.devices // 2, options.workers, progress)
        )
        sides = []
        for name, key in (("without keys", ""), ("with a key", _new_key())):
            url = await stack.enter_async_context(fleet.database())
            running = await stack.enter_async_context(service(url, options.workers, key=key))
            sides.append(_Side(name, running, key))
        comparison = Comparison([], None, options, progress)
        start = datetime.now(UTC) - options.key_pairs * sum(map(_span, jobs.values()), timedelta(0))
        for _ in range(options.key_pairs):
            for name, job in jobs.items():
                await _compare(comparison, name, _from(job, start), sides)
                start += _span(job)
    return comparison.pairs.lines(_TARGETS)


async def _compare(comparison: Comparison, name: str, job: Job, sides: Sequence[_Side]) -> None:
    load = partial(_cpu_us, comparison.progress, name, job)
    comparison.pairs.add(name, "µs a reading", *await comparison.in_turn(name, load, sides))


async def _cpu_us(progress: Progress, name: str, job: Job, side: _Side) -> float:
    """Return the CPU time of the service for a reading, µs."""
    name = f"{name}, {side.name}"
    traffic = msgspec.structs.replace(job.traffic, key=side.key)
    job = msgspec.structs.replace(at(job, side.running), traffic=traffic)
    line, handled, accepted = await measure_load(name, job, side.running.process, None, progress)
    if set(line.answers) != {"200"} or accepted != handled:
        raise FleetMeterError(f"{name}: {accepted:,} of {handled:,} were new: {line.answers}")
    return line.service_cpu_s


def _from(job: Job, start: datetime) -> Job:
    traffic = msgspec.structs.replace(job.traffic, start=start)
    return msgspec.structs.replace(job, traffic=traffic)


def _span(job: Job) -> timedelta:
    """Return the data time that a round takes up, at most: no reading is sent twice."""
    readings = job.readings + job.traffic.groups * job.traffic.batch
    return (readings // job.traffic.devices + 1) * STEP


def _new_key() -> str:
    return f"fm_{secrets.token_hex(5)}_{secrets.token_hex(24)}"
