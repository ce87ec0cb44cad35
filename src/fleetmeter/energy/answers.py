"""Energy answers: asks the database for exact sums over windows, for any protocol to show.

Sums are in stored units; `performance`, `fleet` and `sessions` turn them into answers. A window
counts the energy used in start < t ≤ end; it may have any length and is exact at both edges.
Answers are about devices within reach, and name no others: docs/reach.md.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from asyncpg import Record

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.devices.reach import require_within
from fleetmeter.devices.state import require_device, time_zone_of
from fleetmeter.energy.buckets import Bucket, bounds
from fleetmeter.energy.fleet import (
    MeterSums,
    MeterSumsWithVoltage,
    VehicleShare,
    share,
)
from fleetmeter.energy.sessions import Session, SessionSums, session
from fleetmeter.energy.vehicle import Performance, VehicleSums, summarise
from fleetmeter.readings.kinds import METER, VEHICLE, DeviceKind

SESSIONS_AT_ONCE = timedelta(days=31)
"""Sessions are searched in windows of this length, newest first."""

UTC_ZONE = ZoneInfo("UTC")

Sums = TypeVar("Sums", bound=msgspec.Struct)


class Part(NamedTuple, Generic[Sums]):
    """One bucket of a series."""

    start: datetime
    end: datetime
    sums: Sums


async def performance(
    connection: Connection, vehicle_id: str, start: datetime, end: datetime, reach: Reach
) -> Performance:
    """Return the energy summary of one vehicle. Raises UnknownDeviceError."""
    await require_within(connection, VEHICLE.name, vehicle_id, reach)
    rows = queries.vehicle_energy(
        connection, vehicle_id=vehicle_id, bounds=[start, end], limit=1, **reach.parameters()
    )
    found = [msgspec.convert(dict(row), VehicleSums) async for row in rows]
    if not found:
        await require_device(connection, VEHICLE.name, vehicle_id)
    return summarise(vehicle_id, start, end, found[0] if found else VehicleSums())


async def vehicle_series(
    connection: Connection,
    vehicle_id: str,
    start: datetime,
    end: datetime,
    bucket: Bucket,
    zone: ZoneInfo | None,
    most: int,
    reach: Reach,
) -> list[Part[VehicleSums]]:
    """Return one vehicle's energy by bucket, oldest first, without empty buckets.

    Days are those of `zone`, by default of the vehicle's time zone, else of UTC. Raises
    UnknownDeviceError.
    """
    await require_within(connection, VEHICLE.name, vehicle_id, reach)
    edges = await _edges(connection, VEHICLE, vehicle_id, start, end, bucket, zone)
    parts = await series(
        VehicleSums,
        edges,
        most,
        lambda some, limit: queries.vehicle_energy(
            connection, vehicle_id=vehicle_id, bounds=some, limit=limit, **reach.parameters()
        ),
    )
    if not parts:
        await require_device(connection, VEHICLE.name, vehicle_id)
    return parts


async def meter_series(
    connection: Connection,
    meter_id: str,
    start: datetime,
    end: datetime,
    bucket: Bucket,
    zone: ZoneInfo | None,
    most: int,
    reach: Reach,
) -> list[Part[MeterSumsWithVoltage]]:
    """Return one meter's energy by bucket, oldest first, without empty buckets.

    Days are those of `zone`, by default of the meter's time zone, else of UTC. Raises
    UnknownDeviceError.
    """
    await require_within(connection, METER.name, meter_id, reach)
    edges = await _edges(connection, METER, meter_id, start, end, bucket, zone)
    parts = await series(
        MeterSumsWithVoltage,
        edges,
        most,
        lambda some, limit: queries.meters_energy(
            connection, meter_ids=[meter_id], bounds=some, limit=limit
        ),
    )
    if not parts:
        await require_device(connection, METER.name, meter_id)
    return parts


async def charging_sessions(
    connection: Connection,
    vehicle_id: str,
    start: datetime,
    end: datetime,
    most: int,
    reach: Reach,
) -> list[Session]:
    """Return the sessions that begin in a window, newest first. Raises UnknownDeviceError."""
    await require_within(connection, VEHICLE.name, vehicle_id, reach)
    found: list[Session] = []
    until = end
    while until > start and len(found) < most:
        since = max(start, until - SESSIONS_AT_ONCE)
        rows = queries.sessions(
            connection,
            vehicle_id=vehicle_id,
            start=since,
            end=until,
            limit=most - len(found),
            **reach.parameters(),
        )
        found += [session(msgspec.convert(dict(row), SessionSums)) async for row in rows]
        until = since
    if not found:
        await require_device(connection, VEHICLE.name, vehicle_id)
    return found


async def meter_balance(
    connection: Connection,
    meter_id: str,
    start: datetime,
    end: datetime,
    after: str,
    most: int,
    reach: Reach,
) -> tuple[MeterSums, list[VehicleShare]]:
    """Return what one meter metered, and the shares of the vehicles whose ids come after one.

    The sums are of all vehicles there; the shares are those of vehicles within reach. Raises
    UnknownDeviceError.
    """
    await require_within(connection, METER.name, meter_id, reach)
    edges = [start, end]
    rows = queries.meters_energy(connection, meter_ids=[meter_id], bounds=edges, limit=1)
    sums = [msgspec.convert(dict(row), MeterSums) async for row in rows]
    if not sums:
        await require_device(connection, METER.name, meter_id)
    shares = queries.meter_shares(
        connection,
        meter_id=meter_id,
        bounds=edges,
        after=after,
        limit=most,
        **reach.parameters(),
    )
    return sums[0] if sums else MeterSums(), [share(dict(row)) async for row in shares]


async def _edges(
    connection: Connection,
    kind: DeviceKind,
    device_id: str,
    start: datetime,
    end: datetime,
    bucket: Bucket,
    zone: ZoneInfo | None,
) -> list[datetime]:
    if zone is None and bucket == "day":
        own = await time_zone_of(connection, kind, device_id)
        zone = ZoneInfo(own) if own else None
    return bounds(start, end, bucket, zone or UTC_ZONE)


async def series(
    kind: type[Sums],
    edges: Sequence[datetime],
    most: int,
    ask: Callable[[Sequence[datetime], int], AsyncIterator[Record]],
) -> list[Part[Sums]]:
    """Return the first `most` buckets between edges that have rows.

    Asks for as many buckets as could suffice, then for more and more while most are empty.
    """
    rows: list[Record] = []
    at, buckets_at_once = 0, most
    while at < len(edges) - 1 and len(rows) < most:
        some = edges[at : at + buckets_at_once + 1]
        rows += [row async for row in ask(some, most - len(rows))]
        at += buckets_at_once
        buckets_at_once *= 2
    return [Part(row["starts"], row["ends"], _sums(kind, row)) for row in rows]


def _sums(kind: type[Sums], row: Any) -> Sums:
    return msgspec.convert(dict(row), kind)
