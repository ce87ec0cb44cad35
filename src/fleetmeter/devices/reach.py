"""Keeps whoever asks about one device, or changes it, within reach."""

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.errors import OutOfReachError, UnknownDeviceError
from fleetmeter.readings.kinds import METER, KindName


async def require_within(
    connection: Connection, kind: KindName, device_id: str, reach: Reach
) -> None:
    """Raise UnknownDeviceError for a device outside, exactly as for one that never reported."""
    if not await is_within(connection, kind, device_id, reach):
        raise UnknownDeviceError(kind, device_id)


async def require_meter_within(connection: Connection, meter_id: str, reach: Reach) -> None:
    """Raise OutOfReachError for a meter that a vehicle is to charge at, known or not."""
    if not await is_within(connection, METER.name, meter_id, reach):
        raise OutOfReachError(f"the meter {meter_id} is not within your reach")


async def is_within(connection: Connection, kind: KindName, device_id: str, reach: Reach) -> bool:
    """Return whether a device is within reach; one that nobody knows belongs to no site."""
    return reach.whole or await queries.device_within_reach(
        connection, kind=kind, device_id=device_id, **reach.parameters()
    )
