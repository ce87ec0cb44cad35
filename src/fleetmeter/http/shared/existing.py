"""Whether a device is known: 404 for one that is not."""

from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.http.shared.problems import not_found
from fleetmeter.readings.kinds import KindName


async def require_device(connection: Connection, kind: KindName, device_id: str) -> None:
    """Raise 404 for a device that has neither reported nor been assigned."""
    if not await queries.device_known(connection, kind=kind, device_id=device_id):
        raise not_found(kind, device_id)


async def require_vehicle(connection: Connection, vehicle_id: str) -> None:
    """Raise 404 for a vehicle that has neither reported nor been assigned."""
    await require_device(connection, "vehicle", vehicle_id)


async def require_meter(connection: Connection, meter_id: str) -> None:
    """Raise 404 for a meter that has neither reported nor been assigned."""
    await require_device(connection, "meter", meter_id)
