"""Meters: what every device has, energy series and exchanges."""

from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency, Provide
from msgspec import Meta

from fleetmeter.database.pool import Database
from fleetmeter.energy.answers import Part, meter_series
from fleetmeter.energy.fleet import EnergyBalance, MeterSumsWithVoltage, balance
from fleetmeter.energy.performance import known, mean
from fleetmeter.http.devices import device_handlers
from fleetmeter.http.exchanges import EXCHANGES
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
from fleetmeter.readings.kinds import METER
from fleetmeter.readings.model import volts


class MeterEnergy(EnergyBalance, kw_only=True):
    """One meter's energy in one quarter hour, hour or day, cut to the window, and where it went."""

    readings: Annotated[int, Meta(description="Of the meter.")]
    avg_voltage: Annotated[float | None, Meta(description="V")]
    min_voltage: Annotated[float | None, Meta(description="V")]
    max_voltage: Annotated[float | None, Meta(description="V")]


@get("/{meter_id:str}/energy", summary="A meter's energy by quarter hour, hour or day")
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
    """Exact at both edges; empty buckets are left out."""
    span = window(from_, to)
    start = from_time(cursor, span.start)
    zone = zone_of_days(bucket, tz)
    async with database.answering() as connection:
        parts = await meter_series(connection, meter_id, start, span.end, bucket, zone, limit + 1)
    return page([_energy(part) for part in parts], limit, key=lambda item: item.to)


def _energy(part: Part[MeterSumsWithVoltage]) -> MeterEnergy:
    sums = part.sums
    return balance(
        MeterEnergy,
        part.start,
        part.end,
        sums,
        readings=sums.meter_readings,
        avg_voltage=mean(sums.voltage_mv_sum, sums.voltage_mv_count, scale=1000),
        min_voltage=known(sums.voltage_mv_min, volts),
        max_voltage=known(sums.voltage_mv_max, volts),
    )


def provide_id(meter_id: DeviceIdPath) -> str:
    """Return the id of the path, for what every device has."""
    return meter_id


meters = Router(
    "/v1/meters",
    tags=["Meters"],
    before_request=refuse_unknown_parameters,
    dependencies={"device_id": Provide(provide_id, sync_to_thread=False)},
    route_handlers=[*device_handlers(METER), list_meter_energy, *EXCHANGES],
)
