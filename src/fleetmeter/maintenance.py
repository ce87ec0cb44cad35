"""The service's background work: rollups follow late readings, interrupted assignments finish."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.errors import DatabaseUnavailableError

INTERVAL_S = 1.0
"""How soon after its acknowledgement a late reading is looked for, seconds."""

_log = structlog.get_logger()


@asynccontextmanager
async def maintenance(database: Database) -> AsyncIterator[None]:
    """Run the background work for the length of the block."""
    task = asyncio.create_task(_forever(database), name="maintenance")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _forever(database: Database) -> None:
    while True:
        await asyncio.sleep(INTERVAL_S)
        for work in (queries.refresh_late_hours, queries.restamp_pending):
            await _attempt(database, work)


async def _attempt(database: Database, work: Callable[[Connection], Awaitable[object]]) -> None:
    """Once; what fails is logged and stays to be done in the next round."""
    try:
        async with database.connection() as connection:
            await work(connection)
    except DatabaseUnavailableError as error:
        _log.debug("maintenance waits for the database", error=str(error))
    except Exception:
        _log.warning("maintenance failed; it will be tried again", exc_info=True)
