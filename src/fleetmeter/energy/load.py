"""Load profiles: what meters took by quarter hour, hour or day, and the highest quarter hour.

Sums what meters metered, without accounting for vehicles, so that a month of quarter hours of
hundreds of meters takes less than a second.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.energy.answers import UTC_ZONE
from fleetmeter.energy.buckets import Bucket, bounds
from fleetmeter.energy.vehicle import WindowEnd, WindowStart, kwh_or_null
from fleetmeter.errors import FleetMeterError, UnknownDeviceError, UnknownSiteError
from fleetmeter.readings.kinds import METER
from fleetmeter.readings.model import kwh

QUARTER_HOUR = timedelta(minutes=15)

MOST_BUCKETS = 4000
"""In one answer: more than the quarter hours of a month and the week before it."""

Measured = Literal["grid", "chargers"]
_ROLES: dict[Measured, str] = {"grid": "site", "chargers": "charger"}

MeanPower = Annotated[
    float,
    Meta(description="Energy ÷ the time of the bucket that has passed, kW."),
]
PeakPower = Annotated[
    float | None,
    Meta(description="Highest mean power of a whole quarter hour in it, kW; null without one."),
]
Coverage = Annotated[
    float,
    Meta(description="The time that the meters' readings cover ÷ the time that has passed, 0–1."),
]


class TooManyBucketsError(FleetMeterError):
    """A window has more buckets than one answer may have."""


class QuarterHour(msgspec.Struct, rename="camel", kw_only=True):
    """A quarter hour and its mean power."""

    from_: datetime = msgspec.field(name="from")
    to: datetime
    power_kw: Annotated[float, Meta(description="Mean power of the quarter hour, kW.")]


class LoadBucket(msgspec.Struct, rename="camel", kw_only=True):
    """What the meters took in one bucket."""

    from_: WindowStart = msgspec.field(name="from")
    to: WindowEnd
    energy_consumed_ac: Annotated[float, Meta(description="kWh")]
    mean_power_kw: MeanPower
    peak_power_kw: PeakPower
    coverage: Coverage


class Load(msgspec.Struct, rename="camel", kw_only=True):
    """The load profile of a site, a meter or the fleet."""

    from_: WindowStart = msgspec.field(name="from")
    to: WindowEnd
    measured: Annotated[
        Measured | None,
        Meta(description="Which meters were added up; null for a single meter."),
    ]
    meters: Annotated[int, Meta(description="How many meters were added up.")]
    energy_consumed_ac: Annotated[
        float | None, Meta(description="kWh; null if they metered nothing in the window.")
    ]
    coverage: Coverage
    peak: Annotated[
        QuarterHour | None,
        Meta(
            description="The whole quarter hour with the highest mean power, the first of several "
            "that are equal; null without one."
        ),
    ]
    buckets: Annotated[
        list[LoadBucket], Meta(description="Oldest first; those that no reading covers are absent.")
    ]


class _Row(msgspec.Struct):
    """A bucket as the query `load_of_meters` returns it, in stored units."""

    starts: datetime
    ends: datetime
    ac_mwh: int
    covered_ac_s: float
    elapsed_s: float
    peak_mwh: int | None
    peak_at: datetime | None


async def load_profile(
    connection: Connection,
    start: datetime,
    end: datetime,
    bucket: Bucket,
    zone: ZoneInfo | None,
    reach: Reach,
    *,
    meter_id: str | None = None,
    site: str | None = None,
    measured: Measured | None = None,
) -> Load:
    """Return the load of one meter, of the meters of a site, or of all, by bucket.

    Of a site, the meters at its grid connection (role `site`) are added up if it has any, else its
    chargers; of the fleet, all chargers. `measured` says which instead. Raises UnknownDeviceError,
    UnknownSiteError and TooManyBucketsError.
    """
    edges = bounds(start, end, bucket, zone or UTC_ZONE)
    if len(edges) > MOST_BUCKETS + 1:
        raise TooManyBucketsError(
            f"the window has {len(edges) - 1:,} buckets; at most {MOST_BUCKETS:,} are answered at "
            "once: ask for a shorter window or a longer bucket"
        )
    if meter_id is None and site is None:
        measured = measured or "chargers"
    rows = queries.load_meters(
        connection,
        meter_id=meter_id,
        site=site,
        roles=None if meter_id else [_ROLES[measured]] if measured else list(_ROLES.values()),
        **reach.parameters(),
    )
    meters = [row async for row in rows]
    if meter_id is not None and not meters:
        raise UnknownDeviceError(METER.name, meter_id)
    if site is not None and not meters:
        what = {"grid": "meter at the grid", "chargers": "charger", None: "meter"}[measured]
        raise UnknownSiteError(f"no {what} belongs to the site {site}")
    if site is not None and measured is None:
        measured = "grid" if any(row["role"] == _ROLES["grid"] for row in meters) else "chargers"
        meters = [row for row in meters if row["role"] == _ROLES[measured]]
    found = queries.load_of_meters(
        connection, meters=[row["device"] for row in meters], bounds=edges
    )
    parts = [msgspec.convert(dict(row), _Row) async for row in found]
    expected = sum(row["is_expected"] for row in meters) or len(meters)
    elapsed_s = max((min(end, datetime.now(UTC)) - start).total_seconds(), 0.0)
    return Load(
        from_=start,
        to=end,
        measured=measured,
        meters=len(meters),
        energy_consumed_ac=kwh_or_null(sum(part.ac_mwh for part in parts) if parts else None),
        coverage=_coverage(sum(part.covered_ac_s for part in parts), elapsed_s, expected),
        peak=_peak(parts),
        buckets=[_bucket(part, expected) for part in parts],
    )


def _bucket(part: _Row, expected: int) -> LoadBucket:
    return LoadBucket(
        from_=part.starts,
        to=part.ends,
        energy_consumed_ac=kwh(part.ac_mwh),
        mean_power_kw=_power_kw(part.ac_mwh, part.elapsed_s),
        peak_power_kw=None if part.peak_mwh is None else _quarter_power_kw(part.peak_mwh),
        coverage=_coverage(part.covered_ac_s, part.elapsed_s, expected),
    )


def _peak(parts: list[_Row]) -> QuarterHour | None:
    found = max(
        (part for part in parts if part.peak_mwh is not None),
        key=lambda part: part.peak_mwh or 0,
        default=None,
    )
    if found is None or found.peak_mwh is None or found.peak_at is None:
        return None
    return QuarterHour(
        from_=found.peak_at,
        to=found.peak_at + QUARTER_HOUR,
        power_kw=_quarter_power_kw(found.peak_mwh),
    )


def _quarter_power_kw(energy_mwh: int) -> float:
    return _power_kw(energy_mwh, QUARTER_HOUR.total_seconds())


def _power_kw(energy_mwh: int, seconds: float) -> float:
    """Return the mean power of an energy; a reading may be stamped a little after now."""
    return round(kwh(energy_mwh) * 3600 / seconds, 6) if seconds > 0 else 0.0


def _coverage(covered_s: float, elapsed_s: float, meters: int) -> float:
    return min(1.0, round(covered_s / (elapsed_s * meters), 4)) if elapsed_s and meters else 0.0
