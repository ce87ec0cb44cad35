"""The service's background work: rollups follow late readings, anomalies show, old history goes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from fleetmeter.anomalies.evaluation.runner import Evaluator
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.errors import DatabaseUnavailableError

INTERVAL_S = 1.0
"""How soon after its acknowledgement a late reading is looked for, seconds."""

EVALUATION_INTERVAL_S = 2.0
"""How soon hours that are over and late devices are evaluated, seconds."""

JOBS_INTERVAL_S = 300.0
"""How often the database's own jobs are looked at, seconds."""

RETENTION_INTERVAL_S = 600.0
"""How often history that is older than it is kept is looked for, seconds."""

_LONGEST_PAUSE_S = 300.0
"""Work that keeps failing is tried less and less often, down to this."""

_PATIENCE = 30
"""Rounds that work may be put off before it is told."""

_log = structlog.get_logger()


@asynccontextmanager
async def maintenance(database: Database) -> AsyncIterator[None]:
    """Run the background work for the length of the block."""
    evaluator = Evaluator(database)
    tasks = [
        asyncio.create_task(_repeat(work, interval_s))
        for work, interval_s in (
            (lambda: database.run(queries.refresh_late_hours.sql), INTERVAL_S),
            (lambda: database.run(queries.restamp_pending.sql), INTERVAL_S),
            (lambda: database.run(queries.derive_pending.sql), INTERVAL_S),
            (lambda: database.run(queries.account_hours.sql), INTERVAL_S),
            (lambda: database.run(queries.pack_rollups.sql), RETENTION_INTERVAL_S),
            (evaluator.run, EVALUATION_INTERVAL_S),
            (lambda: database.run(queries.drop_old_history.sql), RETENTION_INTERVAL_S),
            (lambda: database.run(queries.forget_register_events.sql), RETENTION_INTERVAL_S),
            (lambda: _tell_failing_jobs(database), JOBS_INTERVAL_S),
        )
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(work: Callable[[], Awaitable[object]], interval_s: float) -> None:
    """For ever; what fails is logged and stays to be done in a later round.

    It rests twice as long as it worked, so that readings keep most of the database.
    """
    pause_s = INTERVAL_S  # the first round is soon
    took_s = 0.0
    put_off = 0
    while True:
        await asyncio.sleep(max(pause_s, 2 * took_s))
        started = time.monotonic()
        try:
            await work()
            pause_s = interval_s
            put_off = 0
        except DatabaseUnavailableError as error:
            # the database is away, or one of its policies refreshes the same range right now
            put_off += 1
            if put_off % _PATIENCE == 0:
                _log.warning("maintenance waits", error=str(error), rounds=put_off)
        except Exception:
            pause_s = min(max(pause_s * 2, interval_s), _LONGEST_PAUSE_S)
            _log.warning("maintenance failed", exc_info=True, again_in_s=pause_s)
        took_s = time.monotonic() - started


async def _tell_failing_jobs(database: Database) -> None:
    async with database.connection() as connection:
        async for row in queries.failing_jobs(connection):
            _log.error("a background job of the database fails", job=row["job"], error=row["error"])
