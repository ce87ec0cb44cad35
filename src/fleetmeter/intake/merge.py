"""Merges late and resent readings, and what else a batch cannot simply append to history."""

from functools import partial

import asyncpg
import numpy as np

from fleetmeter.database.pool import Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.intake.batch_start import begin_batch
from fleetmeter.intake.driver_values import copy_into
from fleetmeter.intake.history_columns import columns_as_sent
from fleetmeter.intake.rows import CONFLICT, DEVICE, DUPLICATE, MIXED, NEW, Matrix, Statuses
from fleetmeter.intake.writer_cache import WriterCache


async def merge(
    database: Database, cache: WriterCache, rows: Matrix, devices_version: int
) -> Statuses:
    """Merge readings, and again when a device was changed through another service meanwhile.

    Returns what became of each. Raises StaleNumbersError, DatabaseUnavailableError.
    """
    cache.forget(rows[DEVICE])
    attempt = partial(_merge, database, cache, rows, devices_version)
    try:
        return await retried(attempt)
    except asyncpg.UniqueViolationError:
        return await retried(attempt)


async def _merge(
    database: Database, cache: WriterCache, rows: Matrix, devices_version: int
) -> Statuses:
    """Merge through the temporary table; return what became of each reading."""
    columns = columns_as_sent(rows)
    items = np.arange(rows.shape[1])
    async with database.transaction() as connection:
        await begin_batch(connection, cache, devices_version)
        await copy_into(connection, "incoming", {"item": items, **columns})
        outcome = await queries.store_readings(connection)
    statuses = np.full(len(items), DUPLICATE, np.int8)
    for of_status, status in (
        (outcome["stored"], NEW),
        (outcome["mixed"], MIXED),
        (outcome["conflicts"], CONFLICT),
    ):
        if of_status:
            statuses[of_status] = status
    return statuses
