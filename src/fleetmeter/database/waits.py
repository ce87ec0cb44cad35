"""Logs sessions that wait for locks in the database, once something has waited too long."""

import asyncio
from time import monotonic
from typing import Any

import asyncpg
import structlog

from fleetmeter.database.queries import LockWaitsRow
from fleetmeter.database.sql import queries

_PAUSE_S = 10
"""Minimum time between reports."""

_MOST = 5
"""Maximum number of waiting sessions in a report: those that have waited longest."""

_TIMEOUT_S = 5

_log = structlog.get_logger()


class Waits:
    """Reports lock waits, at most once every ten seconds."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._next = 0.0
        self._unreported = 0
        self._task: asyncio.Task[None] | None = None

    def note(self, what: str) -> None:
        """Count a wait that took too long, and report it unless a report was just made."""
        self._unreported += 1
        if monotonic() >= self._next:
            self._next = monotonic() + _PAUSE_S
            self._task = asyncio.create_task(self._report(what))

    async def close(self) -> None:
        """Finish the report that is being written."""
        if self._task is not None:
            await self._task

    async def _report(self, what: str) -> None:
        times, self._unreported = self._unreported, 0
        try:
            async with self._pool.acquire(timeout=_TIMEOUT_S) as connection:
                async with asyncio.timeout(_TIMEOUT_S):
                    rows = queries.lock_waits(connection, most=_MOST)
                    waits = [_described(row) async for row in rows]
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning(f"{what} took too long", times=times, unknown=str(error) or "no answer")
        else:
            _log.warning(f"{what} took too long", times=times, waits=waits)


def _described(row: LockWaitsRow) -> dict[str, Any]:
    return {
        "for": row["lock"],
        "s": round(row["waits_s"], 1),
        "statement": row["statement"],
        "held_by": row["holders"],
    }
