"""Computes what the meters of sites, solar panels, storage and others metered, by site."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.energy.vehicle import WindowEnd, WindowStart, kwh_or_null


class Metered(msgspec.Struct, rename="camel", kw_only=True):
    """What the meters of one role metered together."""

    meters: int
    energy_consumed_ac: Annotated[
        float | None, Meta(description="kWh; null if they metered nothing in the window.")
    ]
    coverage: Annotated[
        float, Meta(description="The time that their readings cover ÷ the time of the window, 0–1.")
    ]


class SiteSupply(msgspec.Struct, rename="camel", kw_only=True):
    """What a site took from the grid and its solar panels, and what else is metered there."""

    from_: WindowStart = msgspec.field(name="from")
    to: WindowEnd
    name: Annotated[str | None, Meta(description="Null for meters without a site.")] = (
        msgspec.field(name="site")
    )
    grid: Annotated[
        Metered | None, Meta(description="Meters with the role `site`; null: it has none.")
    ]
    solar: Metered | None
    storage: Metered | None
    other: Metered | None


async def site_supply(
    connection: Connection,
    start: datetime,
    end: datetime,
    reach: Reach,
    most: int,
    after_site: str | None = None,
) -> list[SiteSupply]:
    """Return the sites that have meters other than chargers', by name; meters without one last."""
    rows = queries.site_supply(
        connection, start=start, end=end, after_site=after_site, limit=most, **reach.parameters()
    )
    found: dict[str | None, dict[str, Metered]] = {}
    async for row in rows:
        found.setdefault(row["site"], {})[row["role"]] = Metered(
            meters=row["meters"],
            energy_consumed_ac=kwh_or_null(row["ac_mwh"]),
            coverage=min(1.0, round((row["covered_ac_s"] or 0.0) / row["expected_ac_s"], 4)),
        )
    return [
        SiteSupply(
            from_=start,
            to=end,
            name=site,
            grid=roles.get("site"),
            solar=roles.get("solar"),
            storage=roles.get("storage"),
            other=roles.get("other"),
        )
        for site, roles in found.items()
    ]
