"""Stores one batch: copied into temporary tables, then merged by one statement a kind."""

from collections.abc import Sequence

from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.readings.model import MeterRow, VehicleRow


async def store(
    database: Database, vehicles: Sequence[VehicleRow], meters: Sequence[MeterRow]
) -> int:
    """Commit the readings in one transaction; how many of them were not stored before.

    Each (device, time) must occur once. Raises DatabaseUnavailableError: nothing was acknowledged,
    and sending the same readings again is safe.
    """
    stored = 0
    async with database.transaction() as connection:
        if vehicles:
            await _copy(connection, "incoming_vehicle_readings", VehicleRow._fields, vehicles)
            stored += await queries.store_vehicle_readings(connection)
        if meters:
            await _copy(connection, "incoming_meter_readings", MeterRow._fields, meters)
            stored += await queries.store_meter_readings(connection)
    return stored


async def _copy(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[VehicleRow] | Sequence[MeterRow],
) -> None:
    await connection.copy_records_to_table(table, columns=columns, records=rows)
