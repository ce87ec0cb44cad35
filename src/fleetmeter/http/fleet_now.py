"""What an overview of the fleet needs beside its energy: what reports, and the sites' supply."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from msgspec import Meta

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.devices.reporting import DeviceCounts, reporting_now
from fleetmeter.energy.supply import SiteSupply, site_supply
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.parameters import (
    Cursor,
    From,
    Limit,
    Page,
    To,
    after,
    page,
    takes,
    window,
    window_of,
)
from fleetmeter.http.shared.recent import RecentAnswers


class DevicesNow(msgspec.Struct, rename="camel", kw_only=True):
    """How many devices of a kind there are, by how recent their newest reading is."""

    known: Annotated[int, Meta(description="All that have reported and were not removed.")]
    reporting: Annotated[int, Meta(description="Newest reading at most 3 reporting intervals ago.")]
    late: Annotated[int, Meta(description="3 to 30 reporting intervals ago.")]
    silent: Annotated[int, Meta(description="More than 30 reporting intervals ago.")]
    resting: Annotated[
        int,
        Meta(description="Neither late nor silent: they report only while they charge."),
    ]


class FleetNow(msgspec.Struct, rename="camel", kw_only=True):
    """What reports at this moment."""

    at: datetime
    readings_per_s: Annotated[
        float,
        Meta(description="Mean of the minute that ended 30 seconds ago, by timestamps of readings"),
    ]
    reporting_interval_s: Annotated[
        int, Meta(description="Of devices whose settings have no `reportingIntervalS`, seconds.")
    ]
    vehicles: DevicesNow
    meters: DevicesNow


@get("/now", summary="Count the devices that report, are late or silent", before_request=takes())
async def get_fleet_now(
    database: NamedDependency[Database], reach: NamedDependency[Reach]
) -> FleetNow:
    """Shows how recent the devices' newest readings are, and how many readings arrive."""
    now = datetime.now(UTC)
    async with database.answering() as connection:
        found = await reporting_now(connection, now, reach)
    return FleetNow(
        at=now,
        readings_per_s=round(found.readings_per_s, 3),
        reporting_interval_s=found.reporting_interval_s,
        vehicles=_devices(found.vehicles),
        meters=_devices(found.meters),
    )


@get(
    "/supply",
    summary="List the sites that meter their supply",
    before_request=takes("from", "to", "limit", "cursor"),
)
async def list_site_supply(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[SiteSupply]:
    """Shows what meters other than chargers' metered: the grid connection, solar, storage, others.

    Sites are sorted by name; meters without a site come last. What the chargers of a site used is
    in `/v1/analytics/sites`.
    """
    first = after(cursor, tuple[datetime, datetime, str])
    span = window_of(first[:2]) if first else window(from_, to)
    async with database.answering() as connection:
        sites = await site_supply(
            connection, span.start, span.end, reach, limit + 1, first[2] if first else None
        )
    return page(sites, limit, key=lambda item: (span.start, span.end, item.name))


def _devices(counts: DeviceCounts) -> DevicesNow:
    return DevicesNow(**counts._asdict())


fleet_now = Router(
    "/v1/analytics",
    tags=["Analytics"],
    opt={SCOPE: "read"},
    middleware=[RecentAnswers],
    route_handlers=[get_fleet_now, list_site_supply],
)
