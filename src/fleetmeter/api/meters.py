"""Meters: live state, history and energy series."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from asyncpg import Record
from litestar import Router, get
from litestar.di import NamedDependency
from msgspec import Meta

from fleetmeter.api.parameters import (
    BUCKETS,
    Bucket,
    Cursor,
    DeviceIdPath,
    From,
    Limit,
    Page,
    To,
    after_id,
    from_time,
    page,
    refuse_unknown_parameters,
    window,
)
from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.energy.performance import mean
from fleetmeter.problems import not_found
from fleetmeter.readings.model import MeterReading, MeterState, kwh, volts


class MeterEnergy(msgspec.Struct, rename="camel", kw_only=True):
    """One meter's energy in one hour or day, cut to the window."""

    from_: Annotated[datetime, Meta(description="Inclusive.")] = msgspec.field(name="from")
    to: Annotated[datetime, Meta(description="Exclusive.")]
    energy_consumed_ac: Annotated[float, Meta(description="kWh")]
    readings: int
    avg_voltage: Annotated[float, Meta(description="V")]
    min_voltage: Annotated[float, Meta(description="V")]
    max_voltage: Annotated[float, Meta(description="V")]


@get("/", summary="Live state of all meters, in the order of their ids")
async def list_meters(
    database: NamedDependency[Database], limit: Limit = 100, cursor: Cursor = None
) -> Page[MeterState]:
    """Keyset-paged: stable while meters come and go."""
    async with database.connection() as connection:
        rows = [
            row async for row in queries.meters(connection, after=after_id(cursor), limit=limit + 1)
        ]
    return page([_state(row) for row in rows], limit, key=lambda item: item.meter_id)


@get("/{meter_id:str}", summary="Live state of one meter")
async def get_meter(database: NamedDependency[Database], meter_id: DeviceIdPath) -> MeterState:
    """Its newest reading."""
    async with database.connection() as connection:
        row = await queries.meter(connection, meter_id=meter_id)
    if row is None:
        raise not_found("meter", meter_id)
    return _state(row)


@get("/{meter_id:str}/readings", summary="A meter's history, oldest first")
async def list_meter_readings(
    database: NamedDependency[Database],
    meter_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[MeterReading]:
    """Every stored reading of the window."""
    span = window(from_, to)
    async with database.connection() as connection:
        rows = [
            row
            async for row in queries.meter_history(
                connection,
                meter_id=meter_id,
                start=from_time(cursor, span.start),
                end=span.end,
                limit=limit + 1,
            )
        ]
        if not rows:
            await _require_meter(connection, meter_id)
    readings = [
        MeterReading(
            meter_id=meter_id,
            timestamp=row["time"],
            kwh_consumed_ac=kwh(row["energy_mwh"]),
            voltage=volts(row["voltage_mv"]),
        )
        for row in rows
    ]
    return page(readings, limit, key=lambda item: item.timestamp + timedelta(microseconds=1))


@get("/{meter_id:str}/energy", summary="A meter's energy by hour or day of UTC")
async def list_meter_energy(
    database: NamedDependency[Database],
    meter_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    bucket: Bucket = "hour",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[MeterEnergy]:
    """Exact to the reading at both edges; empty buckets are left out."""
    span = window(from_, to)
    size = BUCKETS[bucket]
    async with database.connection() as connection:
        rows = [
            row
            async for row in queries.meter_energy(
                connection,
                meter_id=meter_id,
                start=from_time(cursor, span.start),
                end=span.end,
                bucket=size,
                limit=limit + 1,
            )
        ]
        if not rows:
            await _require_meter(connection, meter_id)
    series = [
        MeterEnergy(
            from_=max(row["bucket"], span.start),
            to=min(row["bucket"] + size, span.end),
            energy_consumed_ac=kwh(row["ac_mwh"]),
            readings=row["readings"],
            avg_voltage=mean(row["voltage_mv_sum"], row["readings"], scale=1000),
            min_voltage=volts(row["voltage_mv_min"]),
            max_voltage=volts(row["voltage_mv_max"]),
        )
        for row in rows
    ]
    return page(series, limit, key=lambda item: item.to)


async def _require_meter(connection: Connection, meter_id: str) -> None:
    if not await queries.meter_known(connection, meter_id=meter_id):
        raise not_found("meter", meter_id)


def _state(row: Record) -> MeterState:
    return MeterState(
        meter_id=row["meter_id"],
        timestamp=row["time"],
        kwh_consumed_ac=kwh(row["energy_mwh"]),
        voltage=volts(row["voltage_mv"]),
        last_seen=row["last_seen"],
    )


meters = Router(
    "/v1/meters",
    tags=["Meters"],
    before_request=refuse_unknown_parameters,
    route_handlers=[list_meters, get_meter, list_meter_readings, list_meter_energy],
)
