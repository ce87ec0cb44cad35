"""Analytics: where the energy went, of one vehicle, of one meter, of the fleet and its sites."""

from datetime import datetime
from typing import Annotated

import msgspec
from asyncpg import Record
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.energy.fleet import (
    EnergyBalance,
    FleetSums,
    MeterSums,
    RankedSums,
    RankedVehicle,
    SiteBalance,
    SiteSums,
    Sort,
    TotalEnergyBalance,
    VehicleShare,
    balance,
    ranked,
    share,
)
from fleetmeter.energy.performance import Performance, VehicleSums, summarise
from fleetmeter.http.anomalies import AnomalyCounts, anomaly_counts
from fleetmeter.http.shared.existing import require_meter, require_vehicle
from fleetmeter.http.shared.parameters import (
    Bucket,
    Cursor,
    DeviceIdPath,
    From,
    Limit,
    Page,
    SitePath,
    TimeZone,
    To,
    Window,
    after,
    bounds_of,
    check_time,
    first_rows,
    from_time,
    page,
    refuse_unknown_parameters,
    window,
)
from fleetmeter.http.shared.problems import not_found
from fleetmeter.readings.model import DeviceId

SortBy = Annotated[
    Sort,
    QueryParameter(
        required=False,
        description="What the vehicles are ranked by; with - the largest first. "
        "Vehicles that it is not known of come last.",
    ),
]


class MeterBalance(TotalEnergyBalance, kw_only=True):
    """What one meter metered, who got it, what was left."""

    meter_id: str
    vehicles: Page[VehicleShare]


class Fleet(TotalEnergyBalance, kw_only=True):
    """What the whole fleet took, and the vehicles ranked."""

    vehicles_reporting: int
    vehicles_silent: int
    """Known, and no reading in the window."""

    meters_reporting: int
    meters_silent: int
    anomalies: AnomalyCounts
    sites: Page[SiteBalance]
    vehicles: Page[RankedVehicle]


class _Rank(msgspec.Struct, array_like=True):
    """Where a page of ranked vehicles begins: behind a value and id, in the first page's window."""

    start: datetime
    end: datetime
    value: float | None
    vehicle_id: DeviceId


@get("/performance/{vehicle_id:str}", summary="The energy summary of one vehicle")
async def get_performance(
    database: NamedDependency[Database], vehicle_id: DeviceIdPath, from_: From = None, to: To = None
) -> Performance:
    """AC taken, DC delivered, the loss between, and how much of it was measured.

    The last 24 hours by default; any window up to 400 days, exact at both edges.
    """
    span = window(from_, to)
    async with database.answering() as connection:
        rows = [
            row
            async for row in queries.vehicle_energy(
                connection, vehicle_id=vehicle_id, bounds=[span.start, span.end], limit=1
            )
        ]
        if not rows:
            await require_vehicle(connection, vehicle_id)
    sums = msgspec.convert(dict(rows[0]), VehicleSums) if rows else VehicleSums()
    return summarise(vehicle_id, span.start, span.end, sums)


@get("/meters/{meter_id:str}", summary="What one meter metered, who got it, what was left")
async def get_meter_balance(
    database: NamedDependency[Database],
    meter_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> MeterBalance:
    """The shares of its vehicles and what stayed unattributed add up to it."""
    first = after(cursor, tuple[datetime, datetime, DeviceId])
    span = _window_of(first[:2]) if first else window(from_, to)
    bounds = [span.start, span.end]
    async with database.answering() as connection:
        sums = [
            msgspec.convert(dict(row), MeterSums)
            async for row in queries.meters_energy(
                connection, meter_ids=[meter_id], bounds=bounds, limit=1
            )
        ]
        if not sums:
            await require_meter(connection, meter_id)
        shares = [
            share(dict(row))
            async for row in queries.meter_shares(
                connection,
                meter_id=meter_id,
                bounds=bounds,
                after=first[2] if first else "",
                limit=limit + 1,
            )
        ]
    return balance(
        MeterBalance,
        span.start,
        span.end,
        sums[0] if sums else MeterSums(),
        meter_id=meter_id,
        vehicles=page(shares, limit, key=lambda item: (*bounds, item.vehicle_id)),
    )


@get("/fleet", summary="What the fleet took, by site, and its vehicles ranked")
async def get_fleet(
    database: NamedDependency[Database],
    from_: From = None,
    to: To = None,
    sort: SortBy = "-loss",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Fleet:
    """Totals, efficiency, loss and what stayed unattributed; and what is wrong now.

    The cursor of `vehicles` is for this request, and keeps its window; that of `sites` is for
    `/v1/analytics/sites`.
    """
    rank = after(cursor, _Rank)
    span = _window_of((rank.start, rank.end)) if rank else window(from_, to)
    async with database.answering() as connection:
        row = await _report(connection, span, sort=sort, rank=rank, sites=limit, vehicles=limit)
        counts = await anomaly_counts(connection)
    sums = msgspec.json.decode(row["totals"], type=FleetSums)
    vehicles = msgspec.json.decode(row["vehicles"], type=list[RankedSums])
    values = {item.vehicle_id: item.value for item in vehicles}
    silent = max(sums.vehicles - sums.vehicles_reporting, 0)
    return balance(
        Fleet,
        span.start,
        span.end,
        sums,
        [f"{silent} of {sums.vehicles} vehicles reported nothing"] if silent else [],
        vehicles_reporting=sums.vehicles_reporting,
        vehicles_silent=silent,
        meters_reporting=sums.meters_reporting,
        meters_silent=max(sums.meters - sums.meters_reporting, 0),
        anomalies=counts,
        sites=_sites(row, span, limit),
        vehicles=page(
            [ranked(item) for item in vehicles],
            limit,
            key=lambda item: _Rank(span.start, span.end, values[item.vehicle_id], item.vehicle_id),
        ),
    )


@get("/sites", summary="What the meters of each site metered, and where it went")
async def list_sites(
    database: NamedDependency[Database],
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[SiteBalance]:
    """In the order of their names; meters without a site come last."""
    first = after(cursor, tuple[datetime, datetime, DeviceId])
    span = _window_of(first[:2]) if first else window(from_, to)
    async with database.answering() as connection:
        row = await _report(
            connection, span, after_site=first[2] if first else None, sites=limit, vehicles=-1
        )
    return _sites(row, span, limit)


@get("/fleet/energy", summary="The fleet's energy by quarter hour, hour or day")
async def list_fleet_energy(
    database: NamedDependency[Database],
    from_: From = None,
    to: To = None,
    bucket: Bucket = "hour",
    tz: TimeZone = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[EnergyBalance]:
    """Exact at both edges; empty buckets are left out."""
    span = window(from_, to)
    start = from_time(cursor, span.start)
    async with database.answering() as connection:
        rows = await first_rows(
            bounds_of(Window(start, span.end), bucket, tz),
            limit,
            lambda bounds, most: queries.fleet_energy(connection, bounds=bounds, limit=most),
        )
    return page([_balance(row) for row in rows], limit, key=lambda item: item.to)


@get("/sites/{site:str}/energy", summary="A site's energy by quarter hour, hour or day")
async def list_site_energy(
    database: NamedDependency[Database],
    site: SitePath,
    from_: From = None,
    to: To = None,
    bucket: Bucket = "hour",
    tz: TimeZone = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[EnergyBalance]:
    """The energy of the meters that belong to the site now; exact at both edges."""
    span = window(from_, to)
    start = from_time(cursor, span.start)
    async with database.answering() as connection:
        meter_ids = await queries.site_meters(connection, site=site)
        if meter_ids is None:
            raise not_found("site", site)
        rows = await first_rows(
            bounds_of(Window(start, span.end), bucket, tz),
            limit,
            lambda bounds, most: queries.meters_energy(
                connection, meter_ids=meter_ids, bounds=bounds, limit=most
            ),
        )
    return page([_balance(row) for row in rows], limit, key=lambda item: item.to)


async def _report(
    connection: Connection,
    span: Window,
    *,
    sort: str = "vehicleId",
    rank: _Rank | None = None,
    after_site: str | None = None,
    sites: int,
    vehicles: int,
) -> Record:
    row: Record = await queries.fleet(
        connection,
        start=span.start,
        end=span.end,
        after_site=after_site,
        sites=sites + 1,
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        after_value=rank.value if rank else None,
        after_id=rank.vehicle_id if rank else None,
        vehicles=vehicles + 1,
    )
    return row


def _sites(row: Record, span: Window, limit: int) -> Page[SiteBalance]:
    sites = [
        balance(
            SiteBalance,
            span.start,
            span.end,
            sums,
            site=sums.site,
            meters=sums.meters,
            vehicles=sums.vehicles,
        )
        for sums in msgspec.json.decode(row["sites"], type=list[SiteSums])
    ]
    return page(sites, limit, key=lambda item: (span.start, span.end, item.site))


def _balance(row: Record) -> EnergyBalance:
    sums = msgspec.convert(dict(row), MeterSums)
    return balance(EnergyBalance, row["starts"], row["ends"], sums)


def _window_of(edges: tuple[datetime, datetime]) -> Window:
    """The window that a cursor keeps. Raises 400."""
    start, end = (check_time("cursor", edge) for edge in edges)
    return window(start.isoformat(), end.isoformat())


analytics = Router(
    "/v1/analytics",
    tags=["Analytics"],
    before_request=refuse_unknown_parameters,
    route_handlers=[
        get_performance,
        get_meter_balance,
        get_fleet,
        list_sites,
        list_fleet_energy,
        list_site_energy,
    ],
)
