"""Charging sessions, which the database derives from a vehicle's readings."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetmeter.energy.quality import Quality
from fleetmeter.energy.vehicle import (
    ConsumedAc,
    Efficiency,
    Loss,
    VehicleSums,
    in_unit_or_null,
    kwh_or_null,
    vehicle_quality,
)
from fleetmeter.readings.model import celsius, kwh, percent


class SessionSums(VehicleSums, kw_only=True):
    """A session as the query `sessions` returns it, in stored units."""

    begins: datetime
    finishes: datetime
    meter_id: str | None
    session_id: str | None
    register_from_mwh: int | None
    register_to_mwh: int | None
    soc_bp_from: int | None
    soc_bp_to: int | None
    peak_mw: float
    is_open: bool


class Session(msgspec.Struct, rename="camel", kw_only=True):
    """A charging session: consecutive readings of a vehicle with energy."""

    from_: Annotated[datetime, Meta(description="Start of its first interval.")] = msgspec.field(
        name="from"
    )
    to: Annotated[datetime, Meta(description="Time of the last reading with energy so far.")]
    open: Annotated[bool, Meta(description="True while it may still continue.")]
    session_id: Annotated[str | None, Meta(description="The id that its readings carry.")]
    meter_id: str | None
    meter_start: Annotated[
        float | None, Meta(description="The vehicle's register at its start, kWh.")
    ]
    meter_end: Annotated[float | None, Meta(description="The vehicle's register at its end, kWh.")]
    energy_consumed_ac: ConsumedAc
    energy_delivered_dc: Annotated[float, Meta(description="kWh")]
    efficiency_ratio: Efficiency
    energy_loss: Loss
    soc_from: Annotated[float | None, Meta(description="%")]
    soc_to: Annotated[float | None, Meta(description="%")]
    mean_power: Annotated[float, Meta(description="DC, kW")]
    peak_power: Annotated[
        float, Meta(description="DC, kW; the highest mean power of one interval.")
    ]
    max_battery_temp: Annotated[float | None, Meta(description="°C")]
    quality: Quality


def session(sums: SessionSums) -> Session:
    """Turn a session in stored units into the answer in kWh, kW, %, °C."""
    seconds = (sums.finishes - sums.begins).total_seconds()
    mean_power = round(sums.dc_mwh * 3600 / seconds / 1_000_000, 6)
    return Session(
        from_=sums.begins,
        to=sums.finishes,
        open=sums.is_open,
        session_id=sums.session_id,
        meter_id=sums.meter_id,
        meter_start=kwh_or_null(sums.register_from_mwh),
        meter_end=kwh_or_null(sums.register_to_mwh),
        energy_consumed_ac=kwh_or_null(sums.ac_mwh),
        energy_delivered_dc=kwh(sums.dc_mwh),
        efficiency_ratio=sums.efficiency_ratio,
        energy_loss=kwh_or_null(sums.loss_mwh),
        soc_from=in_unit_or_null(sums.soc_bp_from, percent),
        soc_to=in_unit_or_null(sums.soc_bp_to, percent),
        mean_power=mean_power,
        # intervals that overlap are more together than each by itself
        peak_power=max(sums.peak_mw / 1_000_000, mean_power),
        max_battery_temp=in_unit_or_null(sums.battery_temp_cdeg_max, celsius),
        quality=vehicle_quality(sums),
    )
