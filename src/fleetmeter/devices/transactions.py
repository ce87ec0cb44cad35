"""Transactions that charging stations report: sessions of record.

While a transaction lasts, the vehicle that its token stands for is assigned to its meter. Messages
may come late, twice and out of order: what is recorded depends on what they say, not on when they
arrive (sql/routines/52_transactions.sql).
"""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial
from math import isfinite
from typing import Any, Literal

import msgspec
from asyncpg import Record

from fleetmeter.access.audit import record
from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.devices.assignments import restamp
from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.ids import is_device_id, is_session_id
from fleetmeter.readings.kinds import MAX_REGISTER_KWH
from fleetmeter.readings.validate import MWH

Measures = Literal["ac", "dc"]

MOST_STATION_ID = 255
MOST_TOKEN = 64
_MOST_REASON = 64
MOST_CONNECTOR = 2**31 - 1


class InvalidTransactionError(FleetMeterError):
    """A message about a transaction cannot be recorded; the text says which field is wrong."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a station says about the start of a transaction."""

    station_id: str
    """Identity of the charge point, 1 to 255 printable characters."""
    connector: int
    """connectorId of OCPP 1.6, EVSE id of 2.0.1."""
    meter_id: str
    """The meter that the outlet's readings are of."""
    transaction_id: str | None
    """What the station calls it, 1 to 64 printable characters; None: its number is to be its id."""
    token: str | None
    """idTag, idToken: at most 64 printable characters; upper and lower case mean the same."""
    at: datetime
    register_kwh: float | None
    """The outlet's register; one that no meter can show is not recorded."""
    measures: Measures


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction as it is recorded."""

    number: int
    """Unique, from 1 to 2**31 - 1: the transactionId of OCPP 1.6."""
    transaction_id: str
    """What the station calls it, or its number; the `sessionId` of its readings."""
    station_id: str
    connector: int
    meter_id: str
    measures: Measures
    token: str | None
    driver: str | None
    vehicle_id: str | None
    """Whom the token stood for when it began."""
    started_at: datetime | None
    """None: it is known by its end alone."""
    register_start_kwh: float | None
    ended_at: datetime | None
    """None: it is open."""
    register_end_kwh: float | None
    reason: str | None


async def begin(database: Database, start: Start) -> Transaction:
    """Record the start of a transaction, and assign its vehicle; returns once both are committed.

    The same transaction again (by its own id; without one, by station, connector, time, token and
    register) gives the same record: its earliest start counts, and the first that says a token.
    Raises InvalidTransactionError and DatabaseUnavailableError.
    """
    query = partial(
        queries.begin_transaction,
        station_id=_text("station id", start.station_id, MOST_STATION_ID),
        connector=_connector(start.connector),
        meter_id=_meter_id(start.meter_id),
        own_id=_own_id(start.transaction_id),
        token=_token(start.token),
        at=_time(start.at),
        register_mwh=_register_mwh(start.register_kwh),
        measures=start.measures,
    )
    recorded = await _store(database, query)
    assert recorded is not None  # noqa: S101 - a start is always recorded
    return recorded


async def finish(
    database: Database,
    station_id: str,
    transaction_id: str | None,
    *,
    at: datetime,
    register_kwh: float | None,
    reason: str | None,
    connector: int | None = None,
    token: str | None = None,
    meter_id: str | None = None,
    measures: Measures = "ac",
) -> Transaction | None:
    """Record the end of a transaction; its vehicle goes back to what was in force before.

    Of several ends, the earliest counts. An unknown transaction is recorded without a start if its
    connector and meter are given, else None is returned; without a `transaction_id`, it is the same
    if connector, time, token and register are. `token` counts only as long as no start is known.
    Raises InvalidTransactionError and DatabaseUnavailableError.
    """
    query = partial(
        queries.finish_transaction,
        station_id=_text("station id", station_id, MOST_STATION_ID),
        transaction_id=_own_id(transaction_id),
        at=_time(at),
        register_mwh=_register_mwh(register_kwh),
        reason=reason[:_MOST_REASON] if reason and reason.isprintable() else None,
        connector=None if connector is None else _connector(connector),
        token=_token(token),
        meter_id=None if meter_id is None else _meter_id(meter_id),
        measures=measures,
    )
    return await _store(database, query)


async def find(database: Database, station_id: str, transaction_id: str) -> Transaction | None:
    """Return what a station calls so, if it is known."""
    if not (is_session_id(transaction_id) and station_id.isprintable()):
        return None
    async with database.connection() as connection:
        number = await queries.number_of_transaction(
            connection, station_id=station_id, transaction_id=transaction_id
        )
        return None if number is None else await _of_number(connection, number)


async def open_at(database: Database, station_id: str, connector: int) -> Transaction | None:
    """Return the newest transaction at a connector that is open, if there is one."""
    if not station_id.isprintable() or not 0 <= connector <= MOST_CONNECTOR:
        return None
    async with database.connection() as connection:
        number = await queries.open_transaction(
            connection, station_id=station_id, connector=connector
        )
        return None if number is None else await _of_number(connection, number)


async def _store(
    database: Database, query: Callable[[Connection], AsyncIterator[Any]]
) -> Transaction | None:
    """Record a message and the assignments that follow; return None if too little is known."""

    async def store() -> tuple[Transaction | None, set[int]]:
        async with database.transaction() as connection:
            found, vehicles = None, set()
            for row in [row async for row in query(connection)]:
                found = row["number"]
                if row["vehicle"] is not None:
                    vehicles.add(row["vehicle"])
                    await record_change(connection, row)
            return None if found is None else await _of_number(connection, found), vehicles

    recorded, vehicles = await retried(store)
    await restamp(database, vehicles)
    return recorded


async def record_change(connection: Connection, row: Record) -> None:
    """Record in the audit log how a transaction changed an assignment."""
    await record(
        connection,
        "assign",
        f"vehicle {row['vehicle_id']}",
        before={"meter_id": row["was_id"]},
        after={
            "since": row["since"],
            "meter_id": row["meter_id"],
            "transaction": row["by_number"],
        },
    )


async def _of_number(connection: Connection, number: int) -> Transaction | None:
    row = await queries.transaction_record(connection, number=number)
    return None if row is None else transaction(row)


def transaction(row: Record) -> Transaction:
    """Return a row of the queries as a transaction, in kWh."""
    values = dict(row)
    for name in ("register_start", "register_end"):
        mwh = values.pop(f"{name}_mwh")
        values[f"{name}_kwh"] = None if mwh is None else mwh / MWH
    return Transaction(**values)


def _text(name: str, text: str, most: int) -> str:
    if not (1 <= len(text) <= most and text.isprintable()):
        raise InvalidTransactionError(f"the {name} must be 1 to {most} printable characters")
    return text


def _own_id(transaction_id: str | None) -> str | None:
    if transaction_id is not None and not is_session_id(transaction_id):
        raise InvalidTransactionError("the transaction id must be 1 to 64 printable characters")
    return transaction_id


def _token(token: str | None) -> str | None:
    """Return a token without the spaces around it that some readers add, None for an empty one."""
    stripped = token.strip(" \t\r\n\0") if token else None
    return _text("token", stripped, MOST_TOKEN) if stripped else None


def _meter_id(meter_id: str) -> str:
    if not is_device_id(meter_id):
        raise InvalidTransactionError(f"{meter_id!r} cannot be the id of a meter")
    return meter_id


def _connector(connector: int) -> int:
    if not 0 <= connector <= MOST_CONNECTOR:
        raise InvalidTransactionError(f"the connector must be from 0 to {MOST_CONNECTOR}")
    return connector


def _time(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise InvalidTransactionError("the time must have an offset")
    return at


def _register_mwh(register_kwh: float | None) -> int | None:
    if register_kwh is None or not isfinite(register_kwh):
        return None
    return round(register_kwh * MWH) if 0 <= register_kwh <= MAX_REGISTER_KWH else None
