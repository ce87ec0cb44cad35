"""Live state: the newest known values of each device, with its settings."""

from collections.abc import Sequence
from typing import Any

import msgspec
from asyncpg import Record

from fleetmeter.access.audit import record
from fleetmeter.access.reach import EVERYTHING, Reach
from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.devices.reach import require_within
from fleetmeter.devices.settings import contradicts, device_state
from fleetmeter.errors import UnknownDeviceError
from fleetmeter.readings.kinds import DeviceKind, KindName


async def require_device(connection: Connection, kind: KindName, device_id: str) -> None:
    """Raise UnknownDeviceError for a device that has neither reported nor been assigned."""
    if not await queries.device_known(connection, kind=kind, device_id=device_id):
        raise UnknownDeviceError(kind, device_id)


async def live_states(
    connection: Connection, kind: DeviceKind, after: str, most: int, reach: Reach
) -> Sequence[msgspec.Struct]:
    """Return the states of a kind's devices within reach after an id, sorted by id."""
    rows = queries.devices(
        connection,
        kind=kind.name,
        after=after,
        last=None,
        since=None,
        limit=most,
        **reach.parameters(),
    )
    return [device_state(kind, row) async for row in rows]


async def live_state(
    connection: Connection, kind: DeviceKind, device_id: str, habit: int, reach: Reach
) -> msgspec.Struct:
    """Return the state of one device, and how it reports where that differs from its settings.

    After `habit` pauses in a row between charges it is taken to report only while it charges.
    Raises UnknownDeviceError.
    """
    await require_within(connection, kind.name, device_id, reach)
    row = await _row(connection, kind, device_id, reach)
    if row is None or row["removed_at"]:
        raise UnknownDeviceError(kind.name, device_id, removed=row is not None)
    habits = await queries.device_habits(connection, kind=kind.name, device_id=device_id)
    observed: dict[str, Any] = {}
    if habits is None:  # it has been purged meanwhile
        return device_state(kind, row)
    if contradicts(habits["observed_interval_s"], habits["reporting_interval_s"]):
        observed["observed_interval_s"] = habits["observed_interval_s"]
    if row["reports"] is None and habits["pauses"] >= habit:
        observed["observed_reports"] = "while_charging"
    return device_state(kind, row, **observed)


async def time_zone_of(connection: Connection, kind: DeviceKind, device_id: str) -> str | None:
    """Return the time zone set for a device, or None."""
    row = await _row(connection, kind, device_id, EVERYTHING)
    return None if row is None else row["time_zone"]


async def remove_device(database: Database, kind: DeviceKind, device_id: str, reach: Reach) -> None:
    """Take a device out of live state until its next reading. Raises UnknownDeviceError."""
    async with database.transaction() as connection:
        await require_within(connection, kind.name, device_id, reach)
        if not await queries.remove_device(connection, kind=kind.name, device_id=device_id):
            raise UnknownDeviceError(kind.name, device_id)
        await record(connection, "remove", f"{kind.name} {device_id}")


async def _row(
    connection: Connection, kind: DeviceKind, device_id: str, reach: Reach
) -> Record | None:
    row: Record | None = await queries.device(
        connection, kind=kind.name, device_id=device_id, **reach.parameters()
    )
    return row
