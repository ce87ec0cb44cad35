"""Defines when DC exceeds AC, and how far the search for the cause goes."""

from typing import Annotated

from msgspec import Meta

from fleetmeter.anomalies.thresholds.base import ReopenWithin, Thresholds


class DcExceedsAc(Thresholds, frozen=True, kw_only=True):
    """Thresholds of dc_exceeds_ac."""

    kind = "dc_exceeds_ac"

    reopen_within_h: ReopenWithin = 96.0
    excess_kwh: Annotated[
        float,
        Meta(ge=0.01, le=1000, description="Opens when DC exceeds AC in an hour by more, kWh."),
    ] = 0.4
    excess_share: Annotated[
        float, Meta(ge=0, le=1, description="And by more than this part of DC.")
    ] = 0.04
    coverage: Annotated[
        float, Meta(ge=0.1, le=1, description="Part of the hour that the meter must cover.")
    ] = 0.7
    other_meters: Annotated[
        int, Meta(ge=0, le=20, description="How many other meters are compared, at most.")
    ] = 8
    largest_offset_min: Annotated[
        float, Meta(ge=5, le=720, description="Largest clock offset that is looked for, minutes.")
    ] = 720.0
    smallest_offset_s: Annotated[
        float,
        Meta(ge=30, le=3600, description="Smaller clock offsets are not a fault, seconds."),
    ] = 150.0
    clear_kwh: Annotated[
        float, Meta(ge=0.1, le=1000, description="Clears after this much DC that fits, kWh.")
    ] = 3.0
