"""Meters: what every device has, energy series and exchanges."""

from typing import Annotated

import msgspec
from asyncpg import Record
from litestar import Router, get
from litestar.di import NamedDependency, Provide
from msgspec import Meta

from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.energy.fleet import EnergyBalance, MeterSums, balance
from fleetmeter.energy.performance import known, mean
from fleetmeter.http.devices import device_handlers, device_row
from fleetmeter.http.exchanges import EXCHANGES
from fleetmeter.http.shared.existing import require_meter
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
    async with database.answering() as connection:
        device_tz = None
        if bucket == "day" and not tz and (row := await device_row(connection, METER, meter_id)):
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


def _energy(row: Record) -> MeterEnergy:
    sums = msgspec.convert(dict(row), MeterSums)
    total, lowest, highest = (row[f"voltage_mv_{name}"] for name in ("sum", "min", "max"))
    return balance(
        MeterEnergy,
        row["starts"],
        row["ends"],
        sums,
        readings=sums.meter_readings,
        avg_voltage=mean(total, row["voltage_mv_count"], scale=1000),
        min_voltage=known(lowest, volts),
        max_voltage=known(highest, volts),
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
