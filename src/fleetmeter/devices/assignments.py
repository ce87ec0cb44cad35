"""Assigning a vehicle to a meter: the change, and the readings that follow it."""

from datetime import datetime
from typing import NamedTuple

from fleetmeter.database.pool import LONG_S, Database, retried
from fleetmeter.database.queries import AssignMeterRow
from fleetmeter.database.sql import queries


class Assigned(NamedTuple):
    """An assignment as recorded, and how many stored readings were stamped with it."""

    since: datetime
    until: datetime | None
    restamped: int


async def assign(
    database: Database, vehicle_id: str, meter_id: str | None, since: datetime | None
) -> Assigned:
    """Record that a vehicle charges at a meter, None: at none, from now on when `since` is None.

    Returns when the readings that were there already have followed.
    """

    async def record() -> AssignMeterRow:
        async with database.connection() as connection:
            return await queries.assign_meter(
                connection, vehicle_id=vehicle_id, meter_id=meter_id, since=since
            )

    recorded = await retried(record)
    vehicle, begins = recorded["vehicle"], recorded["since"]

    async def restamp() -> Assigned:
        async with database.session() as connection:
            restamped = await connection.fetchval(
                queries.restamp_readings.sql, vehicle, begins, timeout=LONG_S
            )
            until = await queries.assignment_end(connection, vehicle=vehicle, since=begins)
            return Assigned(begins, until, restamped)

    async with database.long_work:
        return await retried(restamp)
