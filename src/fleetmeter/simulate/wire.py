"""Readings as devices send them: MessagePack, which costs both sides least."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fleetmeter.readings.model import celsius, kwh, percent, time_of, volts
from fleetmeter.simulate.link import Arrival

CONTENT_TYPE = "application/msgpack"


class _Vehicle(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    vehicle_id: str
    soc: float
    battery_temp: float
    timestamp: datetime
    meter_id: str | None = None
    kwh_delivered_dc: float | None = None
    kwh_delivered_dc_total: float | None = None


class _Meter(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    meter_id: str
    voltage: float
    timestamp: datetime
    kwh_consumed_ac: float | None = None
    kwh_consumed_ac_total: float | None = None


_encode = msgspec.msgpack.Encoder().encode


def body(arrivals: Sequence[Arrival]) -> bytes:
    """A request's body."""
    return _encode([_reading(arrival) for arrival in arrivals])


def _reading(arrival: Arrival) -> _Vehicle | _Meter:
    _, kind, row = arrival
    if len(row) == 4:
        meter_id, time, energy_mwh, voltage_mv = row
        if kind == "meters":
            return _Meter(meter_id, volts(voltage_mv), time_of(time), kwh(energy_mwh))
        return _Meter(meter_id, volts(voltage_mv), time_of(time), None, kwh(energy_mwh))
    vehicle_id, time, energy_mwh, soc_bp, temp_cdeg, declared, _ = row
    reading = _Vehicle(vehicle_id, percent(soc_bp), celsius(temp_cdeg), time_of(time), declared)
    if kind == "vehicles":
        reading.kwh_delivered_dc = kwh(energy_mwh)
    else:
        reading.kwh_delivered_dc_total = kwh(energy_mwh)
    return reading
