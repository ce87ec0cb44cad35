"""Declares that the registers of a device begin again with each session."""

from contextlib import suppress

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.devices.settings import set_device
from fleetmeter.errors import OutOfReachError, UnknownDeviceError
from fleetmeter.readings.kinds import DeviceKind


async def count_by_session(
    database: Database, kind: DeviceKind, device_id: str, reach: Reach
) -> bool:
    """Set that the registers of a device count by session, unless it says what they do.

    Returns whether they count by session. Of a device outside the reach, nothing is set: what is
    sent of it will be refused. Raises DatabaseUnavailableError.
    """
    async with database.connection() as connection:
        row = await queries.device_settings(connection, kind=kind.name, device_id=device_id)
    if row is not None and row["register"] is not None:
        return bool(row["register"] == "session")
    with suppress(UnknownDeviceError, OutOfReachError):
        await set_device(database, kind, device_id, {"register": "session"}, reach)
    return True
