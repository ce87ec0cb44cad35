"""Makes readings with the fields of the API from those that simulated devices took."""

from datetime import datetime

import msgspec

from fleetmeter.readings.kinds import BATTERY_TEMP, SOC, VOLTAGE
from fleetmeter.readings.model import kwh, time_of
from fleetmeter_simulator.client.link import Arrival


class VehicleReading(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """A vehicle's reading, with interval energy or a register."""

    vehicle_id: str
    soc: float
    battery_temp: float
    timestamp: datetime
    meter_id: str | None = None
    kwh_delivered_dc: float | None = None
    kwh_delivered_dc_total: float | None = None
    session_id: str | None = None


class MeterReading(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """A meter's reading, with interval energy or a register."""

    meter_id: str
    voltage: float
    timestamp: datetime
    kwh_consumed_ac: float | None = None
    kwh_consumed_ac_total: float | None = None
    session_id: str | None = None


def reading_of(arrival: Arrival) -> VehicleReading | MeterReading:
    """Return the reading that arrives, in the units of the API."""
    _, kind, row = arrival
    if len(row) == 5:
        meter_id, time, energy_mwh, voltage_mv, session_id = row
        meter = MeterReading(
            meter_id, voltage_mv / VOLTAGE.scale, time_of(time), session_id=session_id
        )
        if kind == "meters":
            meter.kwh_consumed_ac = kwh(energy_mwh)
        else:
            meter.kwh_consumed_ac_total = kwh(energy_mwh)
        return meter
    vehicle_id, time, energy_mwh, soc_bp, temp_cdeg, declared, session_id = row
    vehicle = VehicleReading(
        vehicle_id,
        soc_bp / SOC.scale,
        temp_cdeg / BATTERY_TEMP.scale,
        time_of(time),
        declared,
        session_id=session_id,
    )
    if kind == "vehicles":
        vehicle.kwh_delivered_dc = kwh(energy_mwh)
    else:
        vehicle.kwh_delivered_dc_total = kwh(energy_mwh)
    return vehicle
