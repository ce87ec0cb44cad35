"""Meters: live state, history and energy series."""

from functools import partial
from typing import Annotated

import msgspec
from asyncpg import Record
from litestar import Router, delete, get
from litestar.di import NamedDependency
from msgspec import Meta

from fleetmeter.api.device_settings import patch_meter
from fleetmeter.api.known import require_meter
from fleetmeter.api.parameters import (
    Bucket,
    Cursor,
    DeviceIdPath,
    From,
    Limit,
    Page,
    TimeZone,
    To,
    Window,
    after_id,
    bounds_of,
    first_rows,
    from_time,
    page,
    refuse_unknown_parameters,
    window,
)
from fleetmeter.api.versions import StoredMeterReading, Versions, meter_readings
from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.devices import MeterWithSettings, meter_state
from fleetmeter.energy.fleet import EnergyBalance, MeterSums, balance
from fleetmeter.energy.performance import mean
from fleetmeter.problems import not_found
from fleetmeter.readings.model import volts


class MeterEnergy(EnergyBalance, kw_only=True):
    """One meter's energy in one hour or day, cut to the window, and where it went."""

    readings: Annotated[int, Meta(description="Of the meter.")]
    avg_voltage: Annotated[float | None, Meta(description="V")]
    min_voltage: Annotated[float | None, Meta(description="V")]
    max_voltage: Annotated[float | None, Meta(description="V")]


@get("/", summary="Live state of all meters, in the order of their ids")
async def list_meters(
    database: NamedDependency[Database], limit: Limit = 100, cursor: Cursor = None
) -> Page[MeterWithSettings]:
    """Keyset-paged: stable while meters come and go."""
    async with database.connection() as connection:
        rows = [
            row async for row in queries.meters(connection, after=after_id(cursor), limit=limit + 1)
        ]
    return page([meter_state(row) for row in rows], limit, key=lambda item: item.meter_id)


@get("/{meter_id:str}", summary="Live state of one meter")
async def get_meter(
    database: NamedDependency[Database], meter_id: DeviceIdPath
) -> MeterWithSettings:
    """Its newest reading, and what is set for it."""
    async with database.connection() as connection:
        row = await _meter(connection, meter_id)
    if row is None or row["removed_at"]:
        raise not_found("meter", meter_id, removed=row is not None)
    return meter_state(row)


@delete("/{meter_id:str}", summary="Take a meter out of live state and lists")
async def remove_meter(database: NamedDependency[Database], meter_id: DeviceIdPath) -> None:
    """Its history and what is set for it stay; it comes back with its next reading."""
    async with database.transaction() as connection:
        if not await queries.remove_meter(connection, meter_id=meter_id):
            raise not_found("meter", meter_id)


@get("/{meter_id:str}/readings", summary="A meter's history, oldest first")
async def list_meter_readings(
    database: NamedDependency[Database],
    meter_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    versions: Versions = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[StoredMeterReading]:
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
            await require_meter(connection, meter_id)
        replaced = partial(queries.replaced_meter_readings, connection, meter_id=meter_id)
        return await meter_readings(rows, limit, replaced if versions else None)


@get("/{meter_id:str}/energy", summary="A meter's energy by hour or day")
async def list_meter_energy(
    database: NamedDependency[Database],
    meter_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    bucket: Bucket = "hour",
    tz: TimeZone = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[MeterEnergy]:
    """Exact to the reading at both edges; empty buckets are left out."""
    span = window(from_, to)
    start = from_time(cursor, span.start)
    async with database.answering() as connection:
        device_tz = None
        if bucket == "day" and not tz and (row := await _meter(connection, meter_id)):
            device_tz = row["time_zone"]
        rows = await first_rows(
            bounds_of(Window(start, span.end), bucket, tz, device_tz),
            limit,
            lambda bounds, most: queries.meters_energy(
                connection, meter_ids=[meter_id], bounds=bounds, limit=most
            ),
        )
        if not rows:
            await require_meter(connection, meter_id)
    return page([_energy(row) for row in rows], limit, key=lambda item: item.to)


async def _meter(connection: Connection, meter_id: str) -> Record | None:
    row: Record | None = await queries.meter(connection, meter_id=meter_id)
    return row


def _energy(row: Record) -> MeterEnergy:
    sums = msgspec.convert(dict(row), MeterSums)
    total, lowest, highest = (row[f"voltage_mv_{name}"] for name in ("sum", "min", "max"))
    return balance(
        MeterEnergy,
        row["starts"],
        row["ends"],
        sums,
        readings=sums.meter_readings,
        avg_voltage=None if total is None else mean(total, sums.meter_readings, scale=1000),
        min_voltage=None if lowest is None else volts(lowest),
        max_voltage=None if highest is None else volts(highest),
    )


meters = Router(
    "/v1/meters",
    tags=["Meters"],
    before_request=refuse_unknown_parameters,
    route_handlers=[
        list_meters,
        get_meter,
        patch_meter,
        remove_meter,
        list_meter_readings,
        list_meter_energy,
    ],
)
