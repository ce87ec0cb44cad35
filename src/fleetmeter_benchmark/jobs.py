"""Pauses the database's own jobs during measurements, and runs them on demand.

This works on TimescaleDB, whatever its tables are called but for `roll_up`; nothing is done
elsewhere.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import asyncpg
import psutil

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.client import ask, client_of, request
from fleetmeter_benchmark.fleet import rfc3339
from fleetmeter_benchmark.processes import Running, Usage, connected

_ATTEMPTS = 60
"""Most attempts at a job, a second apart, while another one is in its way."""

_EARLIER_MINUTES = 2 * 24 * 60
_QUIET_SHARE = 0.1
"""Share of a core below which an idle service and its database stay."""

_QUIET_S = 6
"""Seconds to watch: longer than the service waits between the turns of its own jobs."""

_LONGEST_S = 900


async def pause_jobs(url: str) -> bool:
    """Keep a database from refreshing, packing and dropping by itself; False if it never does."""
    async with connected(url) as connection:
        has_jobs: bool = await connection.fetchval(_HAS_TIMESCALEDB)
        if has_jobs:
            await connection.execute(_PAUSE_JOBS)
        return has_jobs


async def refresh_rollups(url: str) -> None:
    """Roll up what the policies would, in the order in which they were made."""
    await _run_jobs(url, "%refresh%")


async def roll_up(url: str, end: datetime) -> None:
    """Roll up all readings up to a time, in this version's rollups."""
    async with connected(url) as connection:
        if await connection.fetchval(_HAS_TIMESCALEDB):
            for rollup in ("quarter_hourly", "hourly"):
                # an hour includes its end
                await _retried(connection, _REFRESH, rollup, end + timedelta(microseconds=1))


async def convert_to_columnstore(url: str) -> None:
    """Convert what the policies would."""
    await _run_jobs(url, "%compression%")


async def account_hours(url: str, start: datetime, end: datetime) -> None:
    """Share out the whole hours of a time that is rolled up. Raises FleetMeterError.

    The service does a few of them and then rests for longer than `quiet` waits.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + _LONGEST_S
    hours = (end - start) // timedelta(hours=1)
    async with connected(url) as connection:
        if not await connection.fetchval(_HAS_TIMESCALEDB):
            return
        while loop.time() < ends:
            await connection.execute(f"call account_hours(35, {hours})")
            if await connection.fetchval(_ACCOUNTED, start, end) == hours:
                return
            # the service is at it, or at readings that came late: one session at a time
            await asyncio.sleep(1)
    raise FleetMeterError("hours that are rolled up cannot be accounted for")


async def roll_up_earlier(url: str, running: Running) -> None:
    """Bring a database into the state of one in use: its rollups have come up to now.

    They do with readings of two devices over the last two days, which no measurement uses.
    """
    if not await pause_jobs(url):
        return
    now = datetime.now(UTC)
    readings = [
        device | {"timestamp": rfc3339(now - minutes * timedelta(minutes=1))}
        for minutes in reversed(range(_EARLIER_MINUTES))
        for device in _DEVICES
    ]
    async with client_of(running.target) as client:
        await ask(client, request("POST", "/v1/ingest", readings))
    await refresh_rollups(url)


_DEVICES = (
    {"vehicleId": "EV-earlier", "soc": 50, "kwhDeliveredDc": 0.1, "batteryTemp": 20},
    {"meterId": "MTR-earlier", "kwhConsumedAc": 0.1, "voltage": 230},
)


async def quiet(services: Sequence[psutil.Process], database: psutil.Process | None) -> None:
    """Wait until they have been idle for some seconds, or for a quarter of an hour."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + _LONGEST_S
    seconds = 0
    while seconds < _QUIET_S and loop.time() < ends:
        async with AsyncExitStack() as stack:
            usages = [
                await stack.enter_async_context(Usage(each)) for each in (*services, database)
            ]
            await asyncio.sleep(1)
        used_s = sum(usage.cpu_s for usage in usages)
        seconds = seconds + 1 if used_s < _QUIET_SHARE else 0


async def _run_jobs(url: str, name: str) -> None:
    async with connected(url) as connection:
        if await connection.fetchval(_HAS_TIMESCALEDB):
            for (job,) in await connection.fetch(_JOBS, name):
                await _retried(connection, f"call run_job({job})")


async def _retried(
    connection: "asyncpg.Connection[asyncpg.Record]", statement: str, *arguments: object
) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            await connection.execute(statement, *arguments)
            return
        except asyncpg.ObjectNotInPrerequisiteStateError:
            # a job that had started before it could be paused holds the same hours
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(1)


_HAS_TIMESCALEDB = "select exists (select from pg_extension where extname = 'timescaledb')"

_REFRESH = "call refresh_continuous_aggregate($1::text::regclass, null, $2::timestamptz)"

_ACCOUNTED = """
select count(*)
from accounted_hours as a
where a.hour >= $1
    and a.hour < $2
    and not exists (select from late_hours as h where h.hour = a.hour)
"""

# A refresh of the database's own would collide with ours, or work while we measure.
_PAUSE_JOBS = """
select alter_job(job_id, scheduled => false)
from timescaledb_information.jobs
where proc_name like 'policy\\_%'
    and hypertable_name is not null
"""

_JOBS = """
select job_id
from timescaledb_information.jobs
where proc_name like 'policy\\_%'
    and proc_name like $1
    and hypertable_name is not null
order by job_id
"""
