"""Assigning vehicles to meters, and updating the readings that a change concerns."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import NamedTuple

from fleetmeter.access.audit import record
from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import LONG_S, Connection, Database, retried
from fleetmeter.database.queries import AssignMeterRow
from fleetmeter.database.sql import queries
from fleetmeter.devices.reach import require_meter_within, require_within
from fleetmeter.devices.state import require_device
from fleetmeter.readings.kinds import VEHICLE


class Assigned(NamedTuple):
    """A recorded assignment, and how many stored readings were updated."""

    since: datetime
    until: datetime | None
    restamped: int


class Assignment(NamedTuple):
    """The meter that a vehicle charges at for a span of time, or None."""

    meter_id: str | None
    since: datetime
    until: datetime | None
    """Start of the next assignment; None while this one is in force."""
    transaction: int | None
    """Number of the transaction that began or ended then; None: somebody said so."""


async def assign(
    database: Database,
    vehicle_id: str,
    meter_id: str | None,
    since: datetime | None,
    reach: Reach,
) -> Assigned:
    """Assign a vehicle to a meter (None unassigns it), by default from now on.

    Returns once stored readings have been updated. Raises UnknownDeviceError for a vehicle and
    OutOfReachError for a meter outside the reach.
    """

    async def store() -> AssignMeterRow:
        async with database.transaction() as connection:
            await require_within(connection, VEHICLE.name, vehicle_id, reach)
            if meter_id is not None:
                await require_meter_within(connection, meter_id, reach)
            before = await queries.assignment_at(connection, vehicle_id=vehicle_id, at=since)
            assigned = await queries.assign_meter(
                connection, vehicle_id=vehicle_id, meter_id=meter_id, since=since
            )
            was = None if before is None else dict(before)
            now = {"since": assigned["since"], "meter_id": meter_id}
            if was != now:
                await record(connection, "assign", f"vehicle {vehicle_id}", before=was, after=now)
            return assigned

    recorded = await retried(store)
    vehicle, begins = recorded["vehicle"], recorded["since"]
    restamped = await restamp(database, [vehicle])
    async with database.connection() as connection:
        until = await queries.assignment_end(connection, vehicle=vehicle, since=begins)
    return Assigned(begins, until, restamped)


async def restamp(database: Database, vehicles: Iterable[int]) -> int:
    """Stamp what assignments of vehicles (by number) have left to stamp; return how many changed.

    If it is interrupted, maintenance does the rest.
    """

    async def run(vehicle: int, since: datetime) -> int:
        async with database.session() as connection:
            changed: int = await connection.fetchval(
                queries.restamp_readings.sql, vehicle, since, timeout=LONG_S
            )
            return changed

    restamped = 0
    for vehicle in vehicles:
        async with database.connection() as connection:
            rows = queries.assignments_to_stamp(connection, vehicle=vehicle)
            waiting = [row["since"] async for row in rows]
        for since in waiting:
            async with database.long_work:
                restamped += await retried(partial(run, vehicle, since))
    return restamped


async def assignments_of(
    connection: Connection, vehicle_id: str, start: datetime, most: int, reach: Reach
) -> list[Assignment]:
    """Return a vehicle's assignments from a time on, oldest first.

    Those to meters outside the reach are left out. Raises UnknownDeviceError.
    """
    await require_within(connection, VEHICLE.name, vehicle_id, reach)
    rows = queries.assignments(
        connection, vehicle_id=vehicle_id, start=start, limit=most, **reach.parameters()
    )
    found = [
        Assignment(row["meter_id"], row["since"], row["until"], row["by_transaction"])
        async for row in rows
    ]
    if not found:
        await require_device(connection, VEHICLE.name, vehicle_id)
    return found
