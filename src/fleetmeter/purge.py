"""Forgetting a device: everything that is stored of it goes, and the rollups follow."""

from typing import Literal, NamedTuple

import asyncpg

from fleetmeter.database.pool import translated
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError

Kind = Literal["vehicle", "meter"]


class Stored(NamedTuple):
    """Rows of a relation, and what is forgotten in them where they are others' (else: all)."""

    relation: str
    change: str | None
    rows: int


async def kind_of(url: str, device_id: str) -> Kind | None:
    """What has that id, or None.

    Raises FleetMeterError when a vehicle and a meter have it.
    """
    async with translated():
        connection = await asyncpg.connect(url, timeout=10)
        try:
            found = await queries.kinds_of_device(connection, device_id=device_id)
        finally:
            await connection.close()
    if found["vehicle"] and found["meter"]:
        raise FleetMeterError(
            f"there is a vehicle {device_id} and a meter {device_id}; say which with --kind"
        )
    return "vehicle" if found["vehicle"] else "meter" if found["meter"] else None


async def purge(url: str, kind: Kind, device_id: str, *, count_only: bool) -> list[Stored]:
    """Remove all that is stored of a device, or only count it. All or nothing."""
    async with translated():
        connection = await asyncpg.connect(url, timeout=10)
        try:
            if not count_only:
                await queries.purge_assignments(connection, kind=kind, device_id=device_id)
            async with connection.transaction():
                return [
                    Stored(row["relation"], row["change"], row["stored"])
                    async for row in queries.purge_device(
                        connection, kind=kind, device_id=device_id, count_only=count_only
                    )
                ]
        finally:
            await connection.close()
