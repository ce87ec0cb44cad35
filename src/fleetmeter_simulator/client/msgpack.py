"""Encodes readings as MessagePack, which costs both sides least."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fleetmeter.readings.kinds import BATTERY_TEMP, SOC, VOLTAGE
from fleetmeter.readings.model import kwh, time_of
from fleetmeter_simulator.client.link import Arrival

CONTENT_TYPE = "application/msgpack"


class _Vehicle(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    vehicle_id: str
    soc: float
    battery_temp: float
    timestamp: datetime
    meter_id: str | None = None
    kwh_delivered_dc: float | None = None
    kwh_delivered_dc_total: float | None = None
    session_id: str | None = None


class _Meter(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    meter_id: str
    voltage: float
    timestamp: datetime
    kwh_consumed_ac: float | None = None
    kwh_consumed_ac_total: float | None = None
    session_id: str | None = None


_encode = msgspec.msgpack.Encoder().encode


def body(arrivals: Sequence[Arrival]) -> bytes:
    """Encode the body of a request."""
    return _encode([_reading(arrival) for arrival in arrivals])


def _reading(arrival: Arrival) -> _Vehicle | _Meter:
    _, kind, row = arrival
    if len(row) == 5:
        meter_id, time, energy_mwh, voltage_mv, session_id = row
        meter = _Meter(meter_id, voltage_mv / VOLTAGE.scale, time_of(time), session_id=session_id)
        if kind == "meters":
            meter.kwh_consumed_ac = kwh(energy_mwh)
        else:
            meter.kwh_consumed_ac_total = kwh(energy_mwh)
        return meter
    vehicle_id, time, energy_mwh, soc_bp, temp_cdeg, declared, session_id = row
    vehicle = _Vehicle(
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
