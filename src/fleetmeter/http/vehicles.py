"""Vehicles: what every device has, and charging sessions."""

from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from msgspec import Meta

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.energy.answers import Part, charging_sessions, vehicle_series
from fleetmeter.energy.quality import Quality
from fleetmeter.energy.sessions import Session
from fleetmeter.energy.vehicle import (
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
from fleetmeter.http.devices import Series, device_router
from fleetmeter.http.shared.parameters import (
    Cursor,
    DeviceIdPath,
    From,
    Limit,
    Page,
    To,
    from_time,
    page,
    window,
)
from fleetmeter.readings.kinds import VEHICLE
from fleetmeter.readings.model import kwh


class VehicleEnergy(msgspec.Struct, rename="camel", kw_only=True):
    """A vehicle's energy in one quarter hour, hour or day, cut to the window."""

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


@get("/{vehicle_id:str}/sessions", summary="List a vehicle's charging sessions")
async def list_sessions(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    vehicle_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Session]:
    """Lists sessions that begin in the window, newest first, derived from readings with energy."""
    span = window(from_, to)
    end = min(from_time(cursor, span.start), span.end) if cursor else span.end
    async with database.answering() as connection:
        found = await charging_sessions(connection, vehicle_id, span.start, end, limit + 1, reach)
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


def _id(vehicle_id: DeviceIdPath) -> str:
    return vehicle_id


vehicles = device_router(
    VEHICLE, Series(VehicleEnergy, vehicle_series, _energy), _id, [list_sessions]
)
