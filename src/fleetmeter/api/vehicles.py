"""Vehicles: live state, history, energy series and charging sessions."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

import msgspec
from asyncpg import Record
from litestar import Router, delete, get
from litestar.di import NamedDependency
from msgspec import Meta

from fleetmeter.api.device_settings import patch_vehicle
from fleetmeter.api.known import require_vehicle
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
from fleetmeter.api.versions import StoredVehicleReading, Versions, vehicle_readings
from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.devices import VehicleWithSettings, vehicle_state
from fleetmeter.energy.performance import (
    ConsumedAc,
    Efficiency,
    Loss,
    VehicleSums,
    kwh_or_null,
    mean,
    vehicle_quality,
)
from fleetmeter.energy.quality import Quality
from fleetmeter.energy.sessions import Session, SessionSums, session
from fleetmeter.problems import not_found
from fleetmeter.readings.model import celsius, kwh, percent

SESSIONS_AT_ONCE = timedelta(days=31)
"""Sessions are looked for in windows of this length, from the newest back."""


class VehicleEnergy(msgspec.Struct, rename="camel", kw_only=True):
    """One vehicle's energy in one hour or day, cut to the window."""

    from_: Annotated[datetime, Meta(description="Inclusive.")] = msgspec.field(name="from")
    to: Annotated[datetime, Meta(description="Exclusive.")]
    energy_delivered_dc: Annotated[float, Meta(description="kWh")]
    energy_consumed_ac: ConsumedAc
    efficiency_ratio: Efficiency
    energy_loss: Loss
    readings: int
    avg_battery_temp: Annotated[float, Meta(description="°C")]
    max_battery_temp: Annotated[float, Meta(description="°C")]
    min_soc: Annotated[float, Meta(description="%")]
    max_soc: Annotated[float, Meta(description="%")]
    meter_ids: list[str]
    quality: Quality


@get("/", summary="Live state of all vehicles, in the order of their ids")
async def list_vehicles(
    database: NamedDependency[Database], limit: Limit = 100, cursor: Cursor = None
) -> Page[VehicleWithSettings]:
    """Keyset-paged: stable while vehicles come and go."""
    async with database.connection() as connection:
        rows = [
            row
            async for row in queries.vehicles(connection, after=after_id(cursor), limit=limit + 1)
        ]
    return page([vehicle_state(row) for row in rows], limit, key=lambda item: item.vehicle_id)


@get("/{vehicle_id:str}", summary="Live state of one vehicle")
async def get_vehicle(
    database: NamedDependency[Database], vehicle_id: DeviceIdPath
) -> VehicleWithSettings:
    """Its newest reading, and what is set for it."""
    async with database.connection() as connection:
        row = await _vehicle(connection, vehicle_id)
    if row is None or row["removed_at"]:
        raise not_found("vehicle", vehicle_id, removed=row is not None)
    return vehicle_state(row)


@delete("/{vehicle_id:str}", summary="Take a vehicle out of live state and lists")
async def remove_vehicle(database: NamedDependency[Database], vehicle_id: DeviceIdPath) -> None:
    """Its history and what is set for it stay; it comes back with its next reading."""
    async with database.transaction() as connection:
        if not await queries.remove_vehicle(connection, vehicle_id=vehicle_id):
            raise not_found("vehicle", vehicle_id)


@get("/{vehicle_id:str}/readings", summary="A vehicle's history, oldest first")
async def list_vehicle_readings(
    database: NamedDependency[Database],
    vehicle_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    versions: Versions = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[StoredVehicleReading]:
    """Every stored reading of the window."""
    span = window(from_, to)
    async with database.connection() as connection:
        rows = [
            row
            async for row in queries.vehicle_history(
                connection,
                vehicle_id=vehicle_id,
                start=from_time(cursor, span.start),
                end=span.end,
                limit=limit + 1,
            )
        ]
        if not rows:
            await require_vehicle(connection, vehicle_id)
        replaced = partial(queries.replaced_vehicle_readings, connection, vehicle_id=vehicle_id)
        return await vehicle_readings(rows, limit, replaced if versions else None)


@get("/{vehicle_id:str}/energy", summary="A vehicle's energy by hour or day")
async def list_vehicle_energy(
    database: NamedDependency[Database],
    vehicle_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    bucket: Bucket = "hour",
    tz: TimeZone = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[VehicleEnergy]:
    """Exact to the reading at both edges; empty buckets are left out."""
    span = window(from_, to)
    start = from_time(cursor, span.start)
    async with database.answering() as connection:
        device_tz = None
        if bucket == "day" and not tz and (row := await _vehicle(connection, vehicle_id)):
            device_tz = row["time_zone"]
        rows = await first_rows(
            bounds_of(Window(start, span.end), bucket, tz, device_tz),
            limit,
            lambda bounds, most: queries.vehicle_energy(
                connection, vehicle_id=vehicle_id, bounds=bounds, limit=most
            ),
        )
        if not rows:
            await require_vehicle(connection, vehicle_id)
    return page([_energy(row) for row in rows], limit, key=lambda item: item.to)


@get("/{vehicle_id:str}/sessions", summary="A vehicle's charging sessions, newest first")
async def list_sessions(
    database: NamedDependency[Database],
    vehicle_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Session]:
    """Those that begin in the window, each whole; derived from runs of readings with energy."""
    span = window(from_, to)
    end = min(from_time(cursor, span.start), span.end) if cursor else span.end
    rows: list[Record] = []
    async with database.answering() as connection:
        while end > span.start and len(rows) <= limit:
            start = max(span.start, end - SESSIONS_AT_ONCE)
            rows += [
                row
                async for row in queries.sessions(
                    connection,
                    vehicle_id=vehicle_id,
                    start=start,
                    end=end,
                    limit=limit + 1 - len(rows),
                )
            ]
            end = start
        if not rows:
            await require_vehicle(connection, vehicle_id)
    items = [session(msgspec.convert(dict(row), SessionSums)) for row in rows]
    return page(items, limit, key=lambda item: item.from_)


async def _vehicle(connection: Connection, vehicle_id: str) -> Record | None:
    row: Record | None = await queries.vehicle(connection, vehicle_id=vehicle_id)
    return row


def _energy(row: Record) -> VehicleEnergy:
    sums = msgspec.convert(dict(row), VehicleSums)
    return VehicleEnergy(
        from_=row["starts"],
        to=row["ends"],
        energy_delivered_dc=kwh(sums.dc_mwh),
        energy_consumed_ac=kwh_or_null(sums.ac_mwh),
        efficiency_ratio=sums.efficiency_ratio,
        energy_loss=kwh_or_null(sums.loss_mwh),
        readings=sums.readings,
        avg_battery_temp=mean(row["battery_temp_cdeg_sum"], sums.readings, scale=100),
        max_battery_temp=celsius(row["battery_temp_cdeg_max"]),
        min_soc=percent(row["soc_bp_min"]),
        max_soc=percent(row["soc_bp_max"]),
        meter_ids=sums.meter_ids,
        quality=vehicle_quality(sums),
    )


vehicles = Router(
    "/v1/vehicles",
    tags=["Vehicles"],
    before_request=refuse_unknown_parameters,
    route_handlers=[
        list_vehicles,
        get_vehicle,
        patch_vehicle,
        remove_vehicle,
        list_vehicle_readings,
        list_vehicle_energy,
        list_sessions,
    ],
)
