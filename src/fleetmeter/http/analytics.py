"""Analytics: where the energy went, for one vehicle, one meter, the fleet and its sites."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from fleetmeter.access.reach import Reach
from fleetmeter.anomalies.incidents.reports import anomaly_counts
from fleetmeter.database.pool import Database
from fleetmeter.energy import answers, fleet_answers
from fleetmeter.energy.answers import Part
from fleetmeter.energy.fleet import (
    EnergyBalance,
    MeterSums,
    RankedVehicle,
    SiteBalance,
    SiteSums,
    Sort,
    TotalEnergyBalance,
    VehicleShare,
    balance,
    ranked,
)
from fleetmeter.energy.fleet_answers import Rank
from fleetmeter.energy.vehicle import Performance
from fleetmeter.http.anomalies import AnomalyCounts
from fleetmeter.http.shared.authentication import SCOPE
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
    from_time,
    page,
    refuse_unknown_parameters,
    window,
    window_of,
    zone_of_days,
)
from fleetmeter.http.shared.recent import RecentAnswers
from fleetmeter.readings.model import DeviceId

SortBy = Annotated[
    Sort,
    QueryParameter(
        required=False,
        description="What to rank vehicles by; `-` puts the largest first. "
        "Vehicles for which it is unknown come last.",
    ),
]


class MeterBalance(TotalEnergyBalance, kw_only=True):
    """A meter's energy balance: what it metered, who got it, what was left over."""

    meter_id: str
    vehicles: Page[VehicleShare]


class Fleet(TotalEnergyBalance, kw_only=True):
    """The fleet's energy balance, and its vehicles ranked."""

    vehicles_reporting: int
    vehicles_silent: int
    """Known vehicles without a reading in the window."""

    meters_reporting: int
    meters_silent: int
    anomalies: AnomalyCounts
    sites: Page[SiteBalance]
    vehicles: Page[RankedVehicle]


class _Rank(msgspec.Struct, array_like=True):
    """A cursor of ranked vehicles: the window, and the value and id of the last item."""

    start: datetime
    end: datetime
    value: float | None
    vehicle_id: DeviceId


@get("/performance/{vehicle_id:str}", summary="Get a vehicle's energy summary")
async def get_performance(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    vehicle_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
) -> Performance:
    """Shows the AC consumed, the DC delivered, the loss between them, and the coverage.

    The window is the last 24 hours by default, up to 400 days, and exact at both edges.
    """
    span = window(from_, to)
    async with database.answering() as connection:
        return await answers.performance(connection, vehicle_id, span.start, span.end, reach)


@get("/meters/{meter_id:str}", summary="Get a meter's energy balance")
async def get_meter_balance(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    meter_id: DeviceIdPath,
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> MeterBalance:
    """Shows the meter's energy and each vehicle's share; shares and unattributed energy add up."""
    first = after(cursor, tuple[datetime, datetime, DeviceId])
    span = window_of(first[:2]) if first else window(from_, to)
    async with database.answering() as connection:
        sums, shares = await answers.meter_balance(
            connection, meter_id, span.start, span.end, first[2] if first else "", limit + 1, reach
        )
    return balance(
        MeterBalance,
        span.start,
        span.end,
        sums,
        meter_id=meter_id,
        vehicles=page(shares, limit, key=lambda item: (span.start, span.end, item.vehicle_id)),
    )


@get("/fleet", summary="Get the fleet's energy balance, by site and ranked by vehicle")
async def get_fleet(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    from_: From = None,
    to: To = None,
    sort: SortBy = "-loss",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Fleet:
    """Shows totals, efficiency, loss, unattributed energy, and the number of anomalies now.

    The cursor of `vehicles` continues this request with the same window; the cursor of `sites`
    continues at `/v1/analytics/sites`.
    """
    rank = after(cursor, _Rank)
    span = window_of((rank.start, rank.end)) if rank else window(from_, to)
    async with database.answering() as connection:
        report = await fleet_answers.fleet_report(
            connection,
            span.start,
            span.end,
            reach=reach,
            sites=limit + 1,
            vehicles=limit + 1,
            sort=sort,
            after=Rank(rank.value, rank.vehicle_id) if rank else None,
        )
        counts = await anomaly_counts(connection, reach)
    sums = report.totals
    values = {item.vehicle_id: item.value for item in report.vehicles}
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
        anomalies=AnomalyCounts(**counts._asdict()),
        sites=_sites(report.sites, span, limit),
        vehicles=page(
            [ranked(item) for item in report.vehicles],
            limit,
            key=lambda item: _Rank(span.start, span.end, values[item.vehicle_id], item.vehicle_id),
        ),
    )


@get("/sites", summary="List sites with their energy balance")
async def list_sites(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[SiteBalance]:
    """Sites are sorted by name; meters without a site come last."""
    first = after(cursor, tuple[datetime, datetime, DeviceId])
    span = window_of(first[:2]) if first else window(from_, to)
    async with database.answering() as connection:
        report = await fleet_answers.fleet_report(
            connection,
            span.start,
            span.end,
            reach=reach,
            sites=limit + 1,
            vehicles=0,
            after_site=first[2] if first else None,
        )
    return _sites(report.sites, span, limit)


@get("/fleet/energy", summary="List the fleet's energy by quarter hour, hour or day")
async def list_fleet_energy(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    from_: From = None,
    to: To = None,
    bucket: Bucket = "hour",
    tz: TimeZone = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[EnergyBalance]:
    """The series is exact at both edges; empty buckets are left out."""
    span = window(from_, to)
    start = from_time(cursor, span.start)
    zone = zone_of_days(bucket, tz)
    async with database.answering() as connection:
        parts = await fleet_answers.fleet_series(
            connection, start, span.end, bucket, zone, limit + 1, reach
        )
    return page([_balance(part) for part in parts], limit, key=lambda item: item.to)


@get("/sites/{site:str}/energy", summary="List a site's energy by quarter hour, hour or day")
async def list_site_energy(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    site: SitePath,
    from_: From = None,
    to: To = None,
    bucket: Bucket = "hour",
    tz: TimeZone = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[EnergyBalance]:
    """Counts the meters that belong to the site now; exact at both edges."""
    span = window(from_, to)
    start = from_time(cursor, span.start)
    zone = zone_of_days(bucket, tz)
    async with database.answering() as connection:
        parts = await fleet_answers.site_series(
            connection, site, start, span.end, bucket, zone, limit + 1, reach
        )
    return page([_balance(part) for part in parts], limit, key=lambda item: item.to)


def _sites(found: Sequence[SiteSums], span: Window, limit: int) -> Page[SiteBalance]:
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
        for sums in found
    ]
    return page(sites, limit, key=lambda item: (span.start, span.end, item.site))


def _balance(part: Part[MeterSums]) -> EnergyBalance:
    return balance(EnergyBalance, part.start, part.end, part.sums)


analytics = Router(
    "/v1/analytics",
    tags=["Analytics"],
    opt={SCOPE: "read"},
    before_request=refuse_unknown_parameters,
    middleware=[RecentAnswers],
    route_handlers=[
        get_performance,
        get_meter_balance,
        get_fleet,
        list_sites,
        list_fleet_energy,
        list_site_energy,
    ],
)
