"""Vehicles: what every device has, energy series and charging sessions."""

from datetime import timedelta
from typing import Annotated

import msgspec
from asyncpg import Record
from litestar import Router, get
from litestar.di import NamedDependency, Provide
from msgspec import Meta

from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.energy.performance import (
    ConsumedAc,
    Efficiency,
    Loss,
    VehicleSums,
    WindowEnd,
    WindowStart,
    battery,
    kwh_or_null,
    vehicle_quality,
)
from fleetmeter.energy.quality import Quality
from fleetmeter.energy.sessions import Session, SessionSums, session
from fleetmeter.http.devices import device_handlers, device_row
from fleetmeter.http.shared.existing import require_vehicle
from fleetmeter.http.shared.parameters import (
    Bucket,
    Cursor,
    DeviceIdPath,
    From,
    Limit,
    Page,
    TimeZone,
    To,
    Window,
    bounds_of,
    first_rows,
    from_time,
    page,
    refuse_unknown_parameters,
    window,
)
from fleetmeter.readings.kinds import VEHICLE
from fleetmeter.readings.model import kwh

SESSIONS_AT_ONCE = timedelta(days=31)
"""Sessions are looked for in windows of this length, from the newest back."""


class VehicleEnergy(msgspec.Struct, rename="camel", kw_only=True):
    """One vehicle's energy in one quarter hour, hour or day, cut to the window."""

    from_: WindowStart = msgspec.field(name="from")
    to: WindowEnd
    energy_delivered_dc: Annotated[float, Meta(description="kWh")]
    energy_consumed_ac: ConsumedAc
    efficiency_ratio: Efficiency
    energy_loss: Loss
    readings: int
    avg_battery_temp: Annotated[float | None, Meta(description="°C")]
    max_battery_temp: Annotated[float | None, Meta(description="°C")]
    min_soc: Annotated[float | None, Meta(description="%")]
    max_soc: Annotated[float | None, Meta(description="%")]
    meter_ids: list[str]
    quality: Quality


@get("/{vehicle_id:str}/energy", summary="A vehicle's energy by quarter hour, hour or day")
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
    """Exact at both edges; empty buckets are left out."""
    span = window(from_, to)
    start = from_time(cursor, span.start)
    async with database.answering() as connection:
        device_tz = None
        if (
            bucket == "day"
            and not tz
            and (row := await device_row(connection, VEHICLE, vehicle_id))
        ):
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
        **battery(sums),
        meter_ids=sums.meter_ids,
        quality=vehicle_quality(sums),
    )


def provide_id(vehicle_id: DeviceIdPath) -> str:
    """Return the id of the path, for what every device has."""
    return vehicle_id


vehicles = Router(
    "/v1/vehicles",
    tags=["Vehicles"],
    before_request=refuse_unknown_parameters,
    dependencies={"device_id": Provide(provide_id, sync_to_thread=False)},
    route_handlers=[*device_handlers(VEHICLE), list_vehicle_energy, list_sessions],
)
