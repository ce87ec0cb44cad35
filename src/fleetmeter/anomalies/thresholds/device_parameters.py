"""What can be set of the rules about one device alone; parameters.py says how."""

from typing import Annotated

from msgspec import Meta

from fleetmeter.anomalies.thresholds.parameters import Parameters, ReopenWithin, require
from fleetmeter.readings.kinds import MAX_VOLTAGE


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
        require(self.clear_share <= self.share, "clearShare must not exceed share")


class VoltageOutOfRange(Parameters, frozen=True, kw_only=True):
    """Thresholds of voltage_out_of_range."""

    nominal_v: Annotated[
        Annotated[float, Meta(ge=10, le=MAX_VOLTAGE)] | None,
        Meta(
            description="Nominal voltage, V; null: 120, 208, 230, 277, 400 or 480, as the first "
            "day of the meter shows."
        ),
    ] = None
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
        require(self.clear_tolerance <= self.tolerance, "clearTolerance must not exceed tolerance")


class BatteryHot(Parameters, frozen=True, kw_only=True):
    """Thresholds of battery_hot."""

    open_c: Annotated[float, Meta(ge=-40, le=150, description="Opens from here, °C.")] = 45.0
    clear_c: Annotated[float, Meta(ge=-40, le=150, description="Clears below, °C.")] = 42.0
    minutes: Annotated[
        float, Meta(ge=1, le=60, description="How long without a break, minutes.")
    ] = 10.0

    def __post_init__(self) -> None:
        require(self.clear_c <= self.open_c, "clearC must not exceed openC")


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
        require(self.clear_c >= self.open_c, "clearC must not be less than openC")


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
        require(
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


class PowerImplausible(Parameters, frozen=True, kw_only=True):
    """Thresholds of power_implausible."""

    reopen_within_h: ReopenWithin = 168.0
    factor: Annotated[
        float, Meta(ge=1, le=100, description="Opens above ratedPowerKw times this.")
    ] = 1.5
    unrated_kw: Annotated[
        float,
        Meta(ge=1, le=1_000_000, description="Opens above this where no rated power is set, kW."),
    ] = 1000.0
    minutes: Annotated[
        float, Meta(ge=1, le=60, description="How long without a break, minutes.")
    ] = 15.0
    clear_h: Annotated[
        float,
        Meta(ge=1, le=168, description="Clears after this long without such a power, hours."),
    ] = 24.0


class SocStuck(Parameters, frozen=True, kw_only=True):
    """Thresholds of soc_stuck."""

    reopen_within_h: ReopenWithin = 96.0
    minimum_kwh: Annotated[
        float, Meta(ge=0.5, le=1000, description="DC of a session without any change, kWh, and")
    ] = 5.0
    minimum_share: Annotated[
        float, Meta(gt=0, le=1, description="as a part of batteryCapacityKwh, where that is set.")
    ] = 0.08


class SocScale(Parameters, frozen=True, kw_only=True):
    """Thresholds of soc_scale."""

    reopen_within_h: ReopenWithin = 96.0
    minimum_kwh: Annotated[
        float, Meta(ge=0.5, le=1000, description="DC of a session that decides, kWh.")
    ] = 5.0


class RegisterUnstable(Parameters, frozen=True, kw_only=True):
    """Thresholds of register_unstable."""

    times: Annotated[
        int, Meta(ge=2, le=1000, description="How often the register fell or began again.")
    ] = 4
    hours: Annotated[int, Meta(ge=1, le=168, description="Within so many hours.")] = 24
    clear_h: Annotated[
        int, Meta(ge=1, le=168, description="Clears after this long without, hours.")
    ] = 24


class ReadingsRefused(Parameters, frozen=True, kw_only=True):
    """Thresholds of readings_refused."""

    minutes: Annotated[
        float, Meta(ge=1, le=10_080, description="How long readings are refused, minutes.")
    ] = 60.0
