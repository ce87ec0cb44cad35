"""Whether a device is known: 404 for one that is not."""

from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.problems import not_found


async def require_vehicle(connection: Connection, vehicle_id: str) -> None:
    """404 for a vehicle that has neither reported nor been assigned."""
    if not await queries.vehicle_known(connection, vehicle_id=vehicle_id):
        raise not_found("vehicle", vehicle_id)


async def require_meter(connection: Connection, meter_id: str) -> None:
    """404 for a meter that has neither reported nor been assigned."""
    if not await queries.meter_known(connection, meter_id=meter_id):
        raise not_found("meter", meter_id)
