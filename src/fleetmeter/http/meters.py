"""Meters: what every device has, and exchanges."""

from typing import Annotated

from msgspec import Meta

from fleetmeter.energy.answers import Part, meter_series
from fleetmeter.energy.fleet import EnergyBalance, MeterSumsWithVoltage, balance
from fleetmeter.energy.vehicle import in_unit_or_null, mean
from fleetmeter.http.devices import Series, device_router
from fleetmeter.http.exchanges import EXCHANGES
from fleetmeter.http.shared.parameters import (
    DeviceIdPath,
)
from fleetmeter.readings.kinds import METER
from fleetmeter.readings.model import volts


class MeterEnergy(EnergyBalance, kw_only=True):
    """A meter's energy balance in one quarter hour, hour or day, cut to the window."""

    readings: Annotated[int, Meta(description="Number of the meter's readings.")]
    avg_voltage: Annotated[float | None, Meta(description="V")]
    min_voltage: Annotated[float | None, Meta(description="V")]
    max_voltage: Annotated[float | None, Meta(description="V")]


def _energy(part: Part[MeterSumsWithVoltage]) -> MeterEnergy:
    sums = part.sums
    return balance(
        MeterEnergy,
        part.start,
        part.end,
        sums,
        readings=sums.meter_readings,
        avg_voltage=mean(sums.voltage_mv_sum, sums.voltage_mv_count, scale=1000),
        min_voltage=in_unit_or_null(sums.voltage_mv_min, volts),
        max_voltage=in_unit_or_null(sums.voltage_mv_max, volts),
    )


def _id(meter_id: DeviceIdPath) -> str:
    return meter_id


meters = device_router(METER, Series(MeterEnergy, meter_series, _energy), _id, EXCHANGES)
