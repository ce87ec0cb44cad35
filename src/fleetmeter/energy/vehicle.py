"""The energy summary of one vehicle over a window."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetmeter.energy.quality import Compared, Quality, coverage, quality, reset_reasons
from fleetmeter.readings.model import celsius, kwh, percent

WindowStart = Annotated[datetime, Meta(description="Counts energy used after this time.")]
WindowEnd = Annotated[datetime, Meta(description="Counts energy used up to this time.")]
ConsumedAc = Annotated[
    float | None, Meta(description="The vehicle's share of the meters' AC, kWh; null when unknown.")
]
Efficiency = Annotated[
    float | None,
    Meta(description="DC ÷ AC over the time that both sides cover; null if there is no such time."),
]
Loss = Annotated[float | None, Meta(description="AC − DC over the same time, kWh.")]


class VehicleSums(Compared, kw_only=True):
    """A bucket as the query `vehicle_energy` returns it, in stored units."""

    readings: int = 0
    readings_without_meter: int = 0
    resets: int = 0
    expected_s: float = 0.0
    battery_temp_cdeg_count: int | None = 0
    battery_temp_cdeg_sum: int | None = None
    battery_temp_cdeg_max: int | None = None
    soc_bp_min: int | None = None
    soc_bp_max: int | None = None
    meters: int = 0
    """Number of meters it was at."""

    meter_ids: list[str] = msgspec.field(default_factory=list)
    """Those of these meters that are within reach."""


class Performance(msgspec.Struct, rename="camel", kw_only=True):
    """The energy summary of one vehicle over a window."""

    vehicle_id: str
    from_: WindowStart = msgspec.field(name="from")
    to: WindowEnd
    total_energy_consumed_ac: ConsumedAc
    total_energy_delivered_dc: Annotated[float, Meta(description="kWh")]
    efficiency_ratio: Efficiency
    energy_loss: Loss
    avg_battery_temp: Annotated[float | None, Meta(description="°C")]
    max_battery_temp: Annotated[float | None, Meta(description="°C")]
    min_soc: Annotated[float | None, Meta(description="%")]
    max_soc: Annotated[float | None, Meta(description="%")]
    meter_ids: list[str]
    quality: Quality


def summarise(vehicle_id: str, start: datetime, end: datetime, sums: VehicleSums) -> Performance:
    """Turn sums in stored units into the answer in kWh, %, °C."""
    return Performance(
        vehicle_id=vehicle_id,
        from_=start,
        to=end,
        total_energy_consumed_ac=kwh_or_null(sums.ac_mwh),
        total_energy_delivered_dc=kwh(sums.dc_mwh),
        efficiency_ratio=sums.efficiency_ratio,
        energy_loss=kwh_or_null(sums.loss_mwh),
        **battery(sums),
        meter_ids=sums.meter_ids,
        quality=vehicle_quality(sums),
    )


def battery(sums: VehicleSums) -> dict[str, float | None]:
    """Return the temperature and state-of-charge fields; null where nothing was measured."""
    return {
        "avg_battery_temp": mean(
            sums.battery_temp_cdeg_sum, sums.battery_temp_cdeg_count, scale=100
        ),
        "max_battery_temp": in_unit_or_null(sums.battery_temp_cdeg_max, celsius),
        "min_soc": in_unit_or_null(sums.soc_bp_min, percent),
        "max_soc": in_unit_or_null(sums.soc_bp_max, percent),
    }


def kwh_or_null(energy_mwh: int | None) -> float | None:
    """Return energy in kWh, or None when it is unknown."""
    return None if energy_mwh is None else kwh(energy_mwh)


def in_unit_or_null(value: int | None, unit: Callable[[int], float]) -> float | None:
    """Return a stored value in the natural unit, or None when it is unknown."""
    return None if value is None else unit(value)


def mean(total: int | None, count: int | None, scale: int) -> float | None:
    """Return the mean of `count` fixed-point values in the natural unit, from their exact sum."""
    return total / (count * scale) if total is not None and count else None


def vehicle_quality(sums: VehicleSums) -> Quality:
    """Return the coverage of both sides, the status that follows, and reasons as sentences."""
    about = []
    # an interval may go through a window in which no reading is stamped
    reported = bool(sums.readings or sums.covered_dc_s)
    if not reported:
        about.append("the vehicle reported nothing in this window")
    if sums.readings_without_meter:
        about.append(
            f"{sums.readings_without_meter} of {sums.readings} vehicle readings belong to no "
            "meter; assign one with a `since` before them"
        )
    if sums.meters and sums.ac_mwh is None:
        silent = " and ".join(sums.meter_ids[:3]) or "the meter"
        about.append(f"{silent} reported nothing at that time")
    found = quality(
        sums,
        coverage(sums, sums.expected_s, sums.expected_s),
        has_vehicles=reported,
        has_meters=bool(sums.meters),
        about=about + reset_reasons(sums.resets),
    )
    if not reported:
        found.status = "no_data"
    elif not sums.meters:
        found.status = "no_meter"
    return found
