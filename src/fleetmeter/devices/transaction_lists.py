"""Transactions as they are looked up, within a reach: docs/reach.md."""

from datetime import datetime

import msgspec
from asyncpg import Record

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.devices.transactions import Measures
from fleetmeter.errors import FleetMeterError


class UnknownTransactionError(FleetMeterError):
    """No transaction within reach has this number."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which transactions are looked for; all of them by default."""

    start: datetime | None = None
    """Those that began at or after it; of those without a start, that ended."""
    end: datetime | None = None
    """Those that began before it."""
    meter: str | None = None
    vehicle: str | None = None
    station: str | None = None
    own_id: str | None = None
    """What the station calls it, or its number."""
    open: bool | None = None


class ListedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction in stored units, without what is outside the reach."""

    number: int
    at: datetime
    """When it began; when it ended, if its start is not known."""
    transaction_id: str
    station_id: str | None
    connector: int | None
    meter_id: str | None
    measures: Measures
    token: str | None
    driver: str | None
    vehicle_id: str | None
    started_at: datetime | None
    register_start_mwh: int | None
    ended_at: datetime | None
    register_end_mwh: int | None
    energy_mwh: int | None
    """What the register rose by; None if it fell, or one of both is not known."""
    reason: str | None


async def transactions(
    connection: Connection,
    wanted: Filter,
    before: tuple[datetime, int] | None,
    most: int,
    reach: Reach,
) -> list[ListedTransaction]:
    """Return transactions, newest first, from before a time and number on."""
    at, number = before or (None, None)
    rows = queries.transactions_page(
        connection,
        **msgspec.structs.asdict(wanted),
        at=at,
        number=number,
        limit=most,
        **reach.parameters(),
    )
    return [_listed(row) async for row in rows]


async def transaction_of_number(
    connection: Connection, number: int, reach: Reach
) -> ListedTransaction:
    """Return one transaction. Raises UnknownTransactionError, also outside the reach."""
    row = await queries.transaction_within(connection, number=number, **reach.parameters())
    if row is None:
        raise UnknownTransactionError(f"there is no transaction {number}")
    return _listed(row)


def _listed(row: Record) -> ListedTransaction:
    values = dict(row)
    began, ended = values["register_start_mwh"], values["register_end_mwh"]
    known = began is not None and ended is not None and ended >= began
    values["energy_mwh"] = ended - began if known else None
    if not values.pop("meter_within"):
        hidden = ("meter_id", "station_id", "connector", "register_start_mwh", "register_end_mwh")
        values |= dict.fromkeys(hidden)
    if not values.pop("vehicle_within") and values["vehicle_id"] is not None:
        values |= dict.fromkeys(("vehicle_id", "token", "driver"))
    return ListedTransaction(**values)
