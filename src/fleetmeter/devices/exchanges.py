"""Meter exchanges: the last value of the old meter and the first value of the new one."""

from datetime import datetime
from typing import NamedTuple

from asyncpg import Record

from fleetmeter.access.audit import record
from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.devices.reach import require_within
from fleetmeter.devices.state import require_device
from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.kinds import METER
from fleetmeter.readings.validate import MWH


class OtherExchangeError(FleetMeterError):
    """A different exchange is recorded for that time."""


class Exchange(NamedTuple):
    """A recorded exchange, for one register of a meter."""

    at: datetime
    is_reverse: bool
    """Whether it is the register of exported energy."""
    last_mwh: int
    first_mwh: int
    stated_at: datetime | None = None


async def state(database: Database, meter_id: str, exchange: Exchange, reach: Reach) -> Exchange:
    """Record a meter exchange; returns once later readings have been derived again.

    Raises OtherExchangeError, DatabaseUnavailableError, and UnknownDeviceError for a meter outside
    the reach.
    """

    values = exchange._asdict()
    del values["stated_at"]

    async def run() -> Exchange:
        async with database.transaction() as connection:
            device = await _begin(connection, meter_id, reach)
            found = _exchange(await queries.state_exchange(connection, device=device, **values))
            if found[:4] == exchange[:4]:
                await record(connection, "exchange", f"meter {meter_id}", after=values)
            return found

    stated = await retried(run)
    if stated[:4] != exchange[:4]:
        raise OtherExchangeError(
            f"a different exchange is recorded for that time ({stated.last_mwh / MWH} kWh of the "
            f"old meter, {stated.first_mwh / MWH} kWh of the new one); delete it first"
        )
    return stated


async def withdraw(
    database: Database, meter_id: str, at: datetime, reach: Reach, *, is_reverse: bool
) -> bool:
    """Delete a recorded exchange; return whether there was one.

    Raises UnknownDeviceError for a meter outside the reach.
    """

    async def run() -> bool:
        async with database.transaction() as connection:
            device = await _begin(connection, meter_id, reach)
            found: bool = await queries.withdraw_exchange(
                connection, device=device, is_reverse=is_reverse, at=at
            )
            if found:
                key = {"at": at, "is_reverse": is_reverse}
                await record(connection, "withdraw-exchange", f"meter {meter_id}", before=key)
            return found

    return await retried(run)


async def stated(
    connection: Connection,
    meter_id: str,
    at: datetime,
    is_reverse: bool,
    limit: int,
    reach: Reach,
) -> list[Exchange]:
    """Return a meter's exchanges after one of them, oldest first.

    Raises UnknownDeviceError.
    """
    await require_within(connection, METER.name, meter_id, reach)
    found = [
        _exchange(row)
        async for row in queries.exchanges(
            connection,
            kind=METER.name,
            device_id=meter_id,
            at=at,
            is_reverse=is_reverse,
            limit=limit,
        )
    ]
    if not found:
        await require_device(connection, METER.name, meter_id)
    return found


async def _begin(connection: Connection, meter_id: str, reach: Reach) -> int:
    await require_within(connection, METER.name, meter_id, reach)
    await queries.begin_correction(connection, kind=METER.name, device_id=meter_id)
    device: int = await queries.number_device(connection, kind=METER.name, device_id=meter_id)
    return device


def _exchange(row: Record) -> Exchange:
    return Exchange(*(row[name] for name in Exchange._fields))
