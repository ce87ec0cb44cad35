"""A writer: stores the readings that share a transaction.

Readings newer than all of their device cannot be duplicates and are appended to history: few in
one statement, many by COPY, and those that may be rolled up already (a backlog, an import) in a
transaction of their own. Late and resent ones are merged: copied into a temporary table, then
inserted where history does not know them, and derived from the readings around them; and so is a
register that does more than rise or flutter.
"""

from functools import partial

import asyncpg
import numpy as np

from fleetmeter.database.pool import Database, retried
from fleetmeter.intake.append import Appender, OvertakenError
from fleetmeter.intake.batch_start import learn_devices
from fleetmeter.intake.commit_plan import plan_commit, repeated, resent
from fleetmeter.intake.merge import merge
from fleetmeter.intake.registers import advance
from fleetmeter.intake.rows import (
    DEVICE,
    DUPLICATE,
    METER,
    NEW,
    TIME,
    Matrix,
    Statuses,
    last_of_each,
)
from fleetmeter.intake.writer_cache import NEVER, WriterCache
from fleetmeter.metrics import STORED
from fleetmeter.traces import span

_FEW = 600
"""Readings that go in one statement: a round trip costs as much as copying some hundred."""

_TRIES = 4
"""Number of times versions are read again before a batch is merged."""

_STATE_CHANGED = "FM001"
"""SQLSTATE of refuse_batch(): live state differs from the writer's cache."""


class DatabaseWriter:
    """Commits readings; the writers of a service share a cache, and may meet at a device."""

    def __init__(self, database: Database, cache: WriterCache | None = None) -> None:
        self._database = database
        self._cache = cache or WriterCache()
        self.appender = Appender(database, self._cache)

    async def commit(self, rows: Matrix, devices_version: int) -> Statuses:
        """Store the readings; return what became of each.

        Raises StaleNumbersError (nothing was stored), DatabaseUnavailableError (nothing was
        acknowledged, sending again is safe).
        """
        order = np.lexsort((rows[TIME], rows[DEVICE]))
        rows = rows[:, order]
        if (again := repeated(rows)).any():
            repeats, originals = resent(rows, again)
            distinct = np.ones(len(order), np.bool_)
            distinct[repeats] = False
            statuses = np.empty(len(order), np.int8)
            statuses[distinct] = await self._store(rows[:, distinct], devices_version)
            statuses[repeats] = np.where(statuses[originals] == NEW, DUPLICATE, statuses[originals])
        else:
            statuses = await self._store(rows, devices_version)
        unsorted = np.empty_like(statuses)
        unsorted[order] = statuses
        return unsorted

    async def _store(self, rows: Matrix, devices_version: int) -> Statuses:
        """Store readings that are sorted by key, each once; as commit()."""
        statuses = np.full(rows.shape[1], DUPLICATE, np.int8)
        cache = self._cache
        cache.make_room(int(rows[DEVICE, -1]))
        await learn_devices(self._database, cache, rows[DEVICE], devices_version)
        plan = plan_commit(rows, cache)
        for chosen in (plan.backlog, plan.fresh):
            # the backlog first, so that the rest is still newer than all of its device
            if chosen.any():
                if await self._append(rows[:, chosen], devices_version):
                    statuses[chosen] = NEW
                else:
                    plan.to_merge[chosen] = True
        if (late := np.flatnonzero(plan.to_merge)).size:
            with span("merge", late=int(late.size)):
                statuses[late] = await merge(self._database, cache, rows[:, late], devices_version)
            STORED.labels("merged").inc(late.size)
        STORED.labels("appended").inc(rows.shape[1] - late.size)
        return statuses

    async def _append(self, rows: Matrix, devices_version: int) -> bool:
        """Append readings newer than all of their device; return whether all were, or none."""
        appender, cache, devices = self.appender, self._cache, rows[DEVICE]
        for _ in range(_TRIES):
            await learn_devices(self._database, cache, devices, devices_version)
            append = appender.by_statement if self._is_few(rows) else appender.by_copy
            try:
                if await retried(partial(append, rows, devices_version)):
                    self._advance(rows)
                    return True
            except (OvertakenError, asyncpg.UniqueViolationError):
                break  # somebody else has written newer ones, or some of them
            except asyncpg.PostgresError as error:
                if error.sqlstate != _STATE_CHANGED:
                    raise
                cache.forget(devices)  # another replica has written to these devices
        return False

    def _advance(self, rows: Matrix) -> None:
        """Bring the cache to readings newer than all of their device, which have been stored."""
        devices = rows[DEVICE]
        newest = last_of_each(devices)
        self._cache.advance(devices[newest], rows[TIME, newest])
        advance(rows, self._cache)

    def _is_few(self, rows: Matrix) -> bool:
        """Return whether one statement will do: few, one of each device, all with live state."""
        cache, devices = self._cache, rows[DEVICE]
        return len(devices) <= _FEW and bool(
            np.all(devices[1:] != devices[:-1])
            and np.all(cache.time[devices] != NEVER)
            and np.all((rows[METER] != 0) | (rows[TIME] >= cache.since[devices]))
        )
