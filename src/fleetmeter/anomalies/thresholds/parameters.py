"""What can be set of each rule: thresholds with their unit, limits and defaults.

Where the defaults come from is said in `catalogue.RULES`. A value outside its limits, and a
threshold to clear on the wrong side of the one to open, are refused when a struct is decoded
(msgspec.ValidationError).
"""

from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

ReopenWithin = Annotated[
    float,
    Meta(
        ge=0,
        le=744,
        description="What comes back sooner after its end is the same anomaly, hours.",
    ),
]

# DC ÷ AC of a healthy vehicle by the AC power at which it charges, kW.
EXPECTED = (
    (0.5, 0.40),
    (1.4, 0.64),
    (2.3, 0.76),
    (3.0, 0.81),
    (3.7, 0.84),
    (5.0, 0.88),
    (7.4, 0.91),
    (11.0, 0.94),
    (22.0, 0.94),
)


def require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


class Parameters(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What every rule has."""

    enabled: Annotated[bool, Meta(description="Whether the rule is applied at all.")] = True
    reopen_within_h: ReopenWithin = 24.0


class Efficiency(Parameters, frozen=True, kw_only=True):
    """Which sessions can be judged, and what is expected of them."""

    reopen_within_h: ReopenWithin = 96.0
    expected: Annotated[
        tuple[tuple[float, float], ...],
        Meta(
            min_length=1,
            max_length=20,
            description="Pairs of AC power, kW, and DC ÷ AC expected; between in straight lines.",
        ),
    ] = EXPECTED
    cold_below_c: Annotated[
        float,
        Meta(ge=-40, le=40, description="Batteries colder than this may take more, °C."),
    ] = 15.0
    cold_per_c: Annotated[
        float,
        Meta(ge=0, le=0.05, description="Efficiency that each °C below may cost."),
    ] = 0.004
    cold_at_most: Annotated[
        float,
        Meta(
            ge=0,
            le=0.5,
            description="Efficiency that cold may cost at most; all of it is allowed where no "
            "temperature is measured.",
        ),
    ] = 0.14
    minimum_kwh: Annotated[
        float,
        Meta(ge=0.5, le=1000, description="AC that must have been compared, kWh."),
    ] = 3.0

    def __post_init__(self) -> None:
        powers = [power for power, _ in self.expected]
        require(
            all(low < high for low, high in pairwise(powers)),
            "expected: the powers must increase",
        )
        require(
            all(power >= 0 and 0 < value <= 1 for power, value in self.expected),
            "expected: a power must not be negative, an efficiency lies between 0 and 1",
        )


class EfficiencyLow(Efficiency, frozen=True, kw_only=True):
    """Thresholds of efficiency_low."""

    margin: Annotated[
        float, Meta(ge=0.01, le=0.5, description="Opens this far below what is expected.")
    ] = 0.07
    clear_margin: Annotated[
        float, Meta(ge=0, le=0.5, description="Clears when less than this below it.")
    ] = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.clear_margin <= self.margin, "clearMargin must not exceed margin")


class EfficiencyDrop(Efficiency, frozen=True, kw_only=True):
    """Thresholds of efficiency_drop."""

    minimum_sessions: Annotated[
        int, Meta(ge=3, le=30, description="Sessions that a baseline takes.")
    ] = 5
    baseline_days: Annotated[
        float, Meta(ge=3, le=23, description="How far back a baseline reaches, days.")
    ] = 23.0
    mad_factor: Annotated[
        float,
        Meta(ge=1, le=20, description="Opens this many robust standard deviations below."),
    ] = 3.0
    least_drop: Annotated[
        float, Meta(ge=0.01, le=0.5, description="But at least this far below the median.")
    ] = 0.05
    clear_share: Annotated[
        float,
        Meta(ge=0, le=1, description="Clears when less than this part of the way below."),
    ] = 0.6


class DcExceedsAc(Parameters, frozen=True, kw_only=True):
    """Thresholds of dc_exceeds_ac."""

    reopen_within_h: ReopenWithin = 96.0
    excess_kwh: Annotated[
        float, Meta(ge=0.01, le=1000, description="DC beyond AC in an hour, kWh, and")
    ] = 0.4
    excess_share: Annotated[
        float, Meta(ge=0, le=1, description="DC beyond AC in an hour as a part of DC.")
    ] = 0.04
    coverage: Annotated[
        float, Meta(ge=0.1, le=1, description="Part of the hour that the meter must cover.")
    ] = 0.7
    other_meters: Annotated[
        int, Meta(ge=0, le=20, description="How many other meters are compared.")
    ] = 8
    largest_offset_min: Annotated[
        float, Meta(ge=5, le=720, description="Largest clock offset that is looked for, minutes.")
    ] = 720.0
    smallest_offset_s: Annotated[
        float,
        Meta(ge=30, le=3600, description="Smaller differences of clocks are no fault, seconds."),
    ] = 150.0
    clear_kwh: Annotated[
        float, Meta(ge=0.1, le=1000, description="DC that must fit again to clear, kWh.")
    ] = 3.0


class StandbyLoss(Parameters, frozen=True, kw_only=True):
    """Thresholds of standby_loss."""

    open_w: Annotated[
        float, Meta(ge=1, le=100_000, description="Mean power without charging that opens, W.")
    ] = 150.0
    clear_w: Annotated[
        float, Meta(ge=0, le=100_000, description="Below this it counts as over, W.")
    ] = 100.0
    ceiling_w: Annotated[
        float,
        Meta(
            ge=1,
            le=1_000_000,
            description="More is no standby but a vehicle that is not counted, W.",
        ),
    ] = 1500.0
    hours: Annotated[
        int, Meta(ge=1, le=24, description="Hours in a row, others without charging between none.")
    ] = 6
    hours_alone: Annotated[
        int,
        Meta(ge=1, le=24, description="The same at a meter where no vehicle reports."),
    ] = 24
    clear_hours: Annotated[int, Meta(ge=1, le=24, description="Hours in a row to clear.")] = 2
    coverage: Annotated[
        float, Meta(ge=0.1, le=1, description="Part of the hour that both sides must cover.")
    ] = 0.7

    def __post_init__(self) -> None:
        require(self.clear_w <= self.open_w, "clearW must not exceed openW")
        require(self.open_w < self.ceiling_w, "ceilingW must exceed openW")
