"""Vehicles: live state, history and energy series."""

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
from fleetmeter.energy.performance import efficiency_ratio, mean
from fleetmeter.problems import not_found
from fleetmeter.readings.model import VehicleReading, VehicleState, celsius, kwh, percent


class VehicleEnergy(msgspec.Struct, rename="camel", kw_only=True):
    """One vehicle's energy in one hour or day, cut to the window."""

    from_: Annotated[datetime, Meta(description="Inclusive.")] = msgspec.field(name="from")
    to: Annotated[datetime, Meta(description="Exclusive.")]
    energy_delivered_dc: Annotated[float, Meta(description="kWh")]
    energy_consumed_ac: Annotated[
        float | None, Meta(description="Its share of the meters' AC, kWh; null when unknown.")
    ]
    efficiency_ratio: Annotated[
        float | None, Meta(description="DC ÷ AC over the hours whose AC is known.")
    ]
    readings: int
    avg_battery_temp: Annotated[float, Meta(description="°C")]
    max_battery_temp: Annotated[float, Meta(description="°C")]
    min_soc: Annotated[float, Meta(description="%")]
    max_soc: Annotated[float, Meta(description="%")]
    meter_ids: list[str]


async def require_vehicle(connection: Connection, vehicle_id: str) -> None:
    """404 for a vehicle that has neither reported nor been assigned."""
    if not await queries.vehicle_known(connection, vehicle_id=vehicle_id):
        raise not_found("vehicle", vehicle_id)


@get("/", summary="Live state of all vehicles, in the order of their ids")
async def list_vehicles(
    database: NamedDependency[Database], limit: Limit = 100, cursor: Cursor = None
) -> Page[VehicleState]:
    """Keyset-paged: stable while vehicles come and go."""
    async with database.connection() as connection:
        rows = [
            row
            async for row in queries.vehicles(connection, after=after_id(cursor), limit=limit + 1)
        ]
    return page([_state(row) for row in rows], limit, key=lambda item: item.vehicle_id)


@get("/{vehicle_id:str}", summary="Live state of one vehicle")
async def get_vehicle(
    database: NamedDependency[Database], vehicle_id: DeviceIdPath
) -> VehicleState:
    """Its newest reading."""
    async with database.connection() as connection:
        row = await queries.vehicle(connection, vehicle_id=vehicle_id)
    if row is None:
        raise not_found("vehicle", vehicle_id)
    return _state(row)


@get("/{vehicle_id:str}/readings", summary="A vehicle's history, oldest first")
async def list_vehicle_readings(
    database: NamedDependency[Database],
    vehicle_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[VehicleReading]:
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
    readings = [
        VehicleReading(
            vehicle_id=vehicle_id,
            timestamp=row["time"],
            kwh_delivered_dc=kwh(row["energy_mwh"]),
            soc=percent(row["soc_bp"]),
            battery_temp=celsius(row["battery_temp_cdeg"]),
            meter_id=row["meter_id"],
        )
        for row in rows
    ]
    return page(readings, limit, key=lambda item: item.timestamp + timedelta(microseconds=1))


@get("/{vehicle_id:str}/energy", summary="A vehicle's energy by hour or day of UTC")
async def list_vehicle_energy(
    database: NamedDependency[Database],
    vehicle_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    bucket: Bucket = "hour",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[VehicleEnergy]:
    """Exact to the reading at both edges; empty buckets are left out."""
    span = window(from_, to)
    size = BUCKETS[bucket]
    async with database.connection() as connection:
        rows = [
            row
            async for row in queries.vehicle_energy(
                connection,
                vehicle_id=vehicle_id,
                start=from_time(cursor, span.start),
                end=span.end,
                bucket=size,
                limit=limit + 1,
            )
        ]
        if not rows:
            await require_vehicle(connection, vehicle_id)
    series = [
        VehicleEnergy(
            from_=max(row["bucket"], span.start),
            to=min(row["bucket"] + size, span.end),
            energy_delivered_dc=kwh(row["dc_mwh"]),
            energy_consumed_ac=None if row["ac_mwh"] is None else kwh(row["ac_mwh"]),
            efficiency_ratio=efficiency_ratio(row["metered_dc_mwh"], row["ac_mwh"]),
            readings=row["readings"],
            avg_battery_temp=mean(row["battery_temp_cdeg_sum"], row["readings"], scale=100),
            max_battery_temp=celsius(row["battery_temp_cdeg_max"]),
            min_soc=percent(row["soc_bp_min"]),
            max_soc=percent(row["soc_bp_max"]),
            meter_ids=row["meter_ids"],
        )
        for row in rows
    ]
    return page(series, limit, key=lambda item: item.to)


def _state(row: Record) -> VehicleState:
    return VehicleState(
        vehicle_id=row["vehicle_id"],
        timestamp=row["time"],
        kwh_delivered_dc=kwh(row["energy_mwh"]),
        soc=percent(row["soc_bp"]),
        battery_temp=celsius(row["battery_temp_cdeg"]),
        meter_id=row["meter_id"],
        last_seen=row["last_seen"],
    )


vehicles = Router(
    "/v1/vehicles",
    tags=["Vehicles"],
    before_request=refuse_unknown_parameters,
    route_handlers=[list_vehicles, get_vehicle, list_vehicle_readings, list_vehicle_energy],
)
