"""The energy summary of one vehicle, and how much of it was really measured."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fleetmeter.readings.model import celsius, kwh, percent

REPORTING_INTERVAL_S = 60
"""How often a device is expected to report, seconds."""

COMPLETE = 0.95
"""Coverage of both sides from which an answer counts as complete."""

Status = Literal["complete", "partial", "no_meter", "no_data"]


class Coverage(msgspec.Struct):
    """Readings present ÷ readings expected, 0…1, for each side."""

    dc: float
    ac: float


class Quality(msgspec.Struct):
    """How far the figures can be trusted, and why not further."""

    status: Status
    coverage: Coverage
    reasons: list[str]


class Sums(msgspec.Struct, kw_only=True):
    """What the query `performance` returns: sums in stored units over one window."""

    dc_mwh: int
    metered_dc_mwh: Annotated[int, Meta(description="DC of the hours whose AC is known.")]
    ac_mwh: int | None
    readings: int
    readings_without_meter: int
    hours_without_ac: int
    battery_temp_cdeg_sum: int | None
    battery_temp_cdeg_max: int | None
    soc_bp_min: int | None
    soc_bp_max: int | None
    meter_ids: list[str]
    covered_dc: float
    covered_ac: float
    expected: float


class Performance(msgspec.Struct, rename="camel", kw_only=True):
    """The energy summary of one vehicle over a window."""

    vehicle_id: str
    from_: Annotated[datetime, Meta(description="Inclusive.")] = msgspec.field(name="from")
    to: Annotated[datetime, Meta(description="Exclusive.")]
    total_energy_consumed_ac: Annotated[
        float | None, Meta(description="Its share of the meters' AC, kWh; null when unknown.")
    ]
    total_energy_delivered_dc: Annotated[float, Meta(description="kWh")]
    efficiency_ratio: Annotated[
        float | None,
        Meta(description="DC ÷ AC over the hours whose AC is known; null when there is no AC."),
    ]
    energy_loss: Annotated[
        float | None, Meta(description="AC − DC over the hours whose AC is known, kWh.")
    ]
    avg_battery_temp: Annotated[float | None, Meta(description="°C")]
    max_battery_temp: Annotated[float | None, Meta(description="°C")]
    min_soc: Annotated[float | None, Meta(description="%")]
    max_soc: Annotated[float | None, Meta(description="%")]
    meter_ids: list[str]
    quality: Quality


def summarise(vehicle_id: str, start: datetime, end: datetime, sums: Sums) -> Performance:
    """Turn sums in stored units into the answer in kWh, %, °C."""
    return Performance(
        vehicle_id=vehicle_id,
        from_=start,
        to=end,
        total_energy_consumed_ac=None if sums.ac_mwh is None else kwh(sums.ac_mwh),
        total_energy_delivered_dc=kwh(sums.dc_mwh),
        efficiency_ratio=efficiency_ratio(sums.metered_dc_mwh, sums.ac_mwh),
        energy_loss=None if sums.ac_mwh is None else kwh(sums.ac_mwh - sums.metered_dc_mwh),
        avg_battery_temp=(
            None
            if sums.battery_temp_cdeg_sum is None
            else mean(sums.battery_temp_cdeg_sum, sums.readings, scale=100)
        ),
        max_battery_temp=(
            None if sums.battery_temp_cdeg_max is None else celsius(sums.battery_temp_cdeg_max)
        ),
        min_soc=None if sums.soc_bp_min is None else percent(sums.soc_bp_min),
        max_soc=None if sums.soc_bp_max is None else percent(sums.soc_bp_max),
        meter_ids=sums.meter_ids,
        quality=quality(sums),
    )


def efficiency_ratio(dc_mwh: int, ac_mwh: int | None) -> float | None:
    """DC ÷ AC; null when AC is unknown or zero."""
    return dc_mwh / ac_mwh if ac_mwh else None


def mean(total: int, count: int, scale: int) -> float:
    """Mean of `count` fixed-point values in the natural unit, from their exact sum."""
    return total / (count * scale)


def quality(sums: Sums) -> Quality:
    """Coverage of both sides, the status that follows, and the reasons in sentences."""
    dc = _coverage(sums.covered_dc, sums.expected)
    ac = _coverage(sums.covered_ac, sums.expected)
    reasons = []
    if sums.readings == 0:
        reasons.append("the vehicle reported nothing in this window")
    elif dc < COMPLETE:
        reasons.append(f"vehicle readings cover {dc:.1%} of the window")
    if sums.readings_without_meter:
        reasons.append(
            f"{sums.readings_without_meter} of {sums.readings} vehicle readings belong to no "
            "meter; assign one with a `since` before them"
        )
    if sums.hours_without_ac:
        reasons.append(
            f"the meter reported nothing in {sums.hours_without_ac} of the hours; their DC is not "
            "part of the ratio"
        )
    if sums.ac_mwh is not None and sums.metered_dc_mwh > sums.ac_mwh:
        reasons.append(
            "more DC was delivered than AC was metered: check the meter assignment and the clocks"
        )
    if sums.meter_ids and ac < COMPLETE:
        reasons.append(f"meter readings cover {ac:.1%} of the window")
    status: Status
    if sums.readings == 0:
        status = "no_data"
    elif not sums.meter_ids:
        status = "no_meter"
    elif dc >= COMPLETE and ac >= COMPLETE:
        status = "complete"
    else:
        status = "partial"
    return Quality(status, Coverage(dc, ac), reasons)


def _coverage(covered: float, expected: float) -> float:
    return round(min(covered / expected, 1.0), 4) if expected > 0 else 0.0
