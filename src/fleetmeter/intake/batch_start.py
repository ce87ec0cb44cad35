"""The start of a batch: the versions that it holds for, and what the cache lacks of its devices."""

import asyncio

import numpy as np

from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.intake.rows import Column
from fleetmeter.intake.writer_cache import WriterCache
from fleetmeter.readings.model import microseconds

_AT_A_TIME = 1000
"""Devices that are learnt in one turn of the event loop."""


class StaleNumbersError(FleetMeterError):
    """The numbers of devices are stale, since some were purged; ask again."""


async def begin_batch(connection: Connection, cache: WriterCache, devices_version: int) -> None:
    """Begin a batch: bring the cache to its versions. Raises StaleNumbersError."""
    terms = await queries.begin_batch(connection)
    if terms["devices_version"] != devices_version:
        raise StaleNumbersError("devices were purged meanwhile")
    cache.at_version(terms["assignments_version"])
    cache.horizon = microseconds(terms["horizon"])


async def learn_devices(
    database: Database, cache: WriterCache, devices: Column, devices_version: int
) -> None:
    """Read what the cache lacks of the devices. Raises StaleNumbersError."""

    async def ask() -> None:
        async with database.transaction() as connection:
            await begin_batch(connection, cache, devices_version)
            unknown, version = cache.unknown(np.unique(devices)), cache.version
            rows = [row async for row in queries.writer_state(connection, devices=unknown.tolist())]
            for first in range(0, len(rows), _AT_A_TIME):
                if first:
                    await asyncio.sleep(0)
                cache.learn(rows[first : first + _AT_A_TIME], version)

    while cache.unknown(devices).size:
        await retried(ask)
