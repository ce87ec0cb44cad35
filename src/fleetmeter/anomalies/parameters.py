"""What can be set of each rule: thresholds with their unit, limits and defaults.

Where the defaults come from is said in `rules.RULES`. A value outside its limits, and a threshold
to clear on the wrong side of the one to open, are refused when a struct is decoded
(msgspec.ValidationError).
"""

from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetmeter.readings.kinds import MAX_VOLTAGE

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


def _require(holds: bool, sentence: str) -> None:
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
        _require(
            all(low < high for low, high in pairwise(powers)),
            "expected: the powers must increase",
        )
        _require(
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
        _require(self.clear_margin <= self.margin, "clearMargin must not exceed margin")


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
        _require(self.clear_w <= self.open_w, "clearW must not exceed openW")
        _require(self.open_w < self.ceiling_w, "ceilingW must exceed openW")


class Silent(Parameters, frozen=True, kw_only=True):
    """Thresholds of vehicle_silent and meter_silent."""

    intervals: Annotated[
        float,
        Meta(ge=2, le=10_000, description="Reporting intervals without a reading."),
    ] = 30.0


class SiteSilent(Parameters, frozen=True, kw_only=True):
    """Thresholds of site_silent."""

    minimum_devices: Annotated[
        int, Meta(ge=2, le=10_000, description="Silent devices that it takes.")
    ] = 3
    share: Annotated[
        float, Meta(gt=0, le=1, description="Part of the site's devices that must be silent.")
    ] = 0.8
    clear_share: Annotated[
        float, Meta(ge=0, le=1, description="Clears when a smaller part than this is silent.")
    ] = 0.5

    def __post_init__(self) -> None:
        _require(self.clear_share <= self.share, "clearShare must not exceed share")


class VoltageOutOfRange(Parameters, frozen=True, kw_only=True):
    """Thresholds of voltage_out_of_range."""

    nominal_v: Annotated[float, Meta(ge=10, le=MAX_VOLTAGE, description="Nominal voltage, V.")] = (
        230.0
    )
    tolerance: Annotated[
        float, Meta(gt=0, le=0.5, description="Opens outside nominal ± this part of it.")
    ] = 0.10
    clear_tolerance: Annotated[
        float, Meta(gt=0, le=0.5, description="Clears inside nominal ± this part of it.")
    ] = 0.09
    minimum_readings: Annotated[
        int,
        Meta(
            ge=2, le=600, description="Readings that a mean of ten minutes takes, if so many come."
        ),
    ] = 3
    clear_hours: Annotated[int, Meta(ge=1, le=24, description="Hours in a row to clear.")] = 2

    def __post_init__(self) -> None:
        _require(self.clear_tolerance <= self.tolerance, "clearTolerance must not exceed tolerance")


class BatteryHot(Parameters, frozen=True, kw_only=True):
    """Thresholds of battery_hot."""

    open_c: Annotated[float, Meta(ge=-40, le=150, description="Opens from here, °C.")] = 45.0
    clear_c: Annotated[float, Meta(ge=-40, le=150, description="Clears below, °C.")] = 42.0
    minutes: Annotated[
        float, Meta(ge=1, le=60, description="How long without a break, minutes.")
    ] = 10.0

    def __post_init__(self) -> None:
        _require(self.clear_c <= self.open_c, "clearC must not exceed openC")


class BatteryColdCharging(Parameters, frozen=True, kw_only=True):
    """Thresholds of battery_cold_charging."""

    reopen_within_h: ReopenWithin = 96.0
    open_c: Annotated[float, Meta(ge=-60, le=40, description="Opens below, °C.")] = 0.0
    clear_c: Annotated[float, Meta(ge=-60, le=40, description="Clears from here, °C.")] = 2.0
    minutes: Annotated[
        float, Meta(ge=1, le=60, description="How long without a break, minutes.")
    ] = 15.0
    idle_h: Annotated[
        float, Meta(ge=1, le=168, description="Without charging for this long it is over, hours.")
    ] = 24.0

    def __post_init__(self) -> None:
        _require(self.clear_c >= self.open_c, "clearC must not be less than openC")


class SocMismatch(Parameters, frozen=True, kw_only=True):
    """Thresholds of soc_mismatch."""

    reopen_within_h: ReopenWithin = 96.0
    minimum_gain: Annotated[
        float, Meta(ge=5, le=100, description="State of charge that a session gains, points of %.")
    ] = 15.0
    open_difference: Annotated[
        float,
        Meta(ge=0.05, le=1, description="Opens when DC ÷ (gain × capacity) is this far from 1."),
    ] = 0.2
    clear_difference: Annotated[
        float, Meta(ge=0.01, le=1, description="Clears when it is closer than this.")
    ] = 0.12

    def __post_init__(self) -> None:
        _require(
            self.clear_difference <= self.open_difference,
            "clearDifference must not exceed openDifference",
        )


class ClockSkew(Parameters, frozen=True, kw_only=True):
    """Thresholds of clock_skew."""

    behind_s: Annotated[
        float,
        Meta(ge=10, le=86_400, description="Timestamps older than arrival by more, seconds."),
    ] = 300.0
    ahead_s: Annotated[
        float,
        Meta(ge=5, le=300, description="Timestamps newer than arrival by more, seconds."),
    ] = 60.0
    minutes: Annotated[
        float, Meta(ge=1, le=1440, description="How long with the same skew, minutes.")
    ] = 30.0
    samples: Annotated[int, Meta(ge=2, le=1000, description="Readings that show it, at least.")] = 3
    steady_s: Annotated[
        float, Meta(ge=1, le=3600, description="A skew that moves less is the same, seconds.")
    ] = 60.0
    steady_share: Annotated[
        float, Meta(ge=0, le=1, description="Or by less than this part of it.")
    ] = 0.1
