"""Vehicles: what every device has, energy series and charging sessions."""

from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency, Provide
from msgspec import Meta

from fleetmeter.database.pool import Database
from fleetmeter.energy.answers import Part, charging_sessions, vehicle_series
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
from fleetmeter.energy.sessions import Session
from fleetmeter.http.devices import device_handlers
from fleetmeter.http.shared.parameters import (
    Bucket,
    Cursor,
    DeviceIdPath,
    From,
    Limit,
    Page,
    TimeZone,
    To,
    from_time,
    page,
    refuse_unknown_parameters,
    window,
    zone_of_days,
)
from fleetmeter.readings.kinds import VEHICLE
from fleetmeter.readings.model import kwh


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
    zone = zone_of_days(bucket, tz)
    async with database.answering() as connection:
        parts = await vehicle_series(
            connection, vehicle_id, start, span.end, bucket, zone, limit + 1
        )
    return page([_energy(part) for part in parts], limit, key=lambda item: item.to)


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
    async with database.answering() as connection:
        found = await charging_sessions(connection, vehicle_id, span.start, end, limit + 1)
    return page(found, limit, key=lambda item: item.from_)


def _energy(part: Part[VehicleSums]) -> VehicleEnergy:
    sums = part.sums
    return VehicleEnergy(
        from_=part.start,
        to=part.end,
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
