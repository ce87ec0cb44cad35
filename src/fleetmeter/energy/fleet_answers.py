"""Energy answers about the fleet and its sites, like those of `answers` about one device."""

from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.energy.answers import UTC_ZONE, Part, series
from fleetmeter.energy.buckets import Bucket, bounds
from fleetmeter.energy.fleet import FleetSums, MeterSums, RankedSums, SiteSums, Sort
from fleetmeter.errors import UnknownSiteError


class FleetReport(NamedTuple):
    """The fleet over one window: its totals, a page of sites and a page of ranked vehicles."""

    totals: FleetSums
    sites: list[SiteSums]
    vehicles: list[RankedSums]


class Rank(NamedTuple):
    """A place in a ranking of vehicles: the value they are ranked by, and the id."""

    value: float | None
    vehicle_id: str


async def fleet_report(
    connection: Connection,
    start: datetime,
    end: datetime,
    *,
    reach: Reach,
    sites: int,
    vehicles: int,
    sort: Sort = "vehicleId",
    after_site: str | None = None,
    after: Rank | None = None,
) -> FleetReport:
    """Return the fleet's totals, its `sites` first sites and its `vehicles` first vehicles.

    The totals are of the vehicles and the meters within reach; a site's, of its meters within
    reach and all vehicles there. `sort` is what vehicles are ranked by; a `-` before it puts
    the largest first.
    """
    row = await queries.fleet(
        connection,
        start=start,
        end=end,
        after_site=after_site,
        sites=sites,
        sort=sort.removeprefix("-"),
        reverse=sort.startswith("-"),
        after_value=after.value if after else None,
        after_id=after.vehicle_id if after else None,
        vehicles=vehicles,
        **reach.parameters(),
    )
    return FleetReport(
        msgspec.json.decode(row["totals"], type=FleetSums),
        msgspec.json.decode(row["sites"], type=list[SiteSums]),
        msgspec.json.decode(row["vehicles"], type=list[RankedSums]),
    )


async def fleet_series(
    connection: Connection,
    start: datetime,
    end: datetime,
    bucket: Bucket,
    zone: ZoneInfo | None,
    most: int,
    reach: Reach,
) -> list[Part[MeterSums]]:
    """Return the whole fleet's energy by bucket, oldest first, without empty buckets."""
    return await series(
        MeterSums,
        bounds(start, end, bucket, zone or UTC_ZONE),
        most,
        lambda some, limit: queries.fleet_energy(
            connection, bounds=some, limit=limit, **reach.parameters()
        ),
    )


async def site_series(
    connection: Connection,
    site: str,
    start: datetime,
    end: datetime,
    bucket: Bucket,
    zone: ZoneInfo | None,
    most: int,
    reach: Reach,
) -> list[Part[MeterSums]]:
    """Return the energy of the meters that belong to a site now. Raises UnknownSiteError."""
    meter_ids = await queries.site_meters(connection, site=site, **reach.parameters())
    if meter_ids is None:
        raise UnknownSiteError(f"no charger belongs to the site {site}")
    return await series(
        MeterSums,
        bounds(start, end, bucket, zone or UTC_ZONE),
        most,
        lambda some, limit: queries.meters_energy(
            connection, meter_ids=meter_ids, bounds=some, limit=limit
        ),
    )
