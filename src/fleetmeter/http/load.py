"""Load profiles of sites, meters and the fleet."""

from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.energy.load import Load, Measured, TooManyBucketsError, load_profile
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.parameters import (
    Bucket,
    From,
    TimeZone,
    To,
    check_device_id,
    check_site,
    takes,
    window,
    zone_of_days,
)
from fleetmeter.http.shared.problems import invalid_parameter
from fleetmeter.http.shared.recent import RecentAnswers

SiteQuery = Annotated[
    str | None,
    QueryParameter(name="site", required=False, description="Whose load; by default the fleet's."),
]
MeterQuery = Annotated[
    str | None,
    QueryParameter(
        name="meterId", required=False, description="The load of this meter alone, of any role."
    ),
]
MeasuredQuery = Annotated[
    Measured | None,
    QueryParameter(
        name="measured",
        required=False,
        description="Which meters to add up: those at the grid connection (role `site`) or those "
        "of chargers. By default `grid` for a site that has any, else `chargers`; the fleet's "
        "load is that of its chargers. Solar, storage and other meters are never added.",
    ),
]


@get("/load", summary="Get a load profile by quarter hour, hour or day")
async def get_load(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    site: SiteQuery = None,
    meter_id: MeterQuery = None,
    measured: MeasuredQuery = None,
    from_: From = None,
    to: To = None,
    bucket: Bucket = "15min",
    tz: TimeZone = None,
) -> Load:
    """Shows what the meters of a site, one meter or the fleet took, and the highest quarter hour.

    Meters belong to the site that they have now. One answer has up to 4,000 buckets.
    """
    if meter_id is not None:
        check_device_id("meterId", meter_id)
        if site is not None or measured is not None:
            other = "site" if site is not None else "measured"
            raise invalid_parameter(other, "is not allowed beside meterId")
    if site is not None:
        check_site("site", site)
    span = window(from_, to)
    zone = zone_of_days(bucket, tz)
    async with database.answering() as connection:
        try:
            return await load_profile(
                connection,
                span.start,
                span.end,
                bucket,
                zone,
                reach,
                meter_id=meter_id,
                site=site,
                measured=measured,
            )
        except TooManyBucketsError as error:
            raise invalid_parameter("bucket", str(error)) from None


load = Router(
    "/v1/analytics",
    tags=["Analytics"],
    opt={SCOPE: "read"},
    before_request=takes("site", "meterId", "measured", "from", "to", "bucket", "tz"),
    middleware=[RecentAnswers],
    route_handlers=[get_load],
)
