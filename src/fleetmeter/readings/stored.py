"""Readings of history and live state: as they were sent, and as answers show them."""

from typing import Any

from asyncpg import Record
from msgspec import UNSET

from fleetmeter.readings.model import (
    MeterRow,
    VehicleRow,
    celsius,
    derived_kwh,
    kwh,
    microseconds,
    percent,
    register_kwh,
    volts,
)
from fleetmeter.readings.validate import Telemetry


def vehicle_as_sent(stored: Record) -> VehicleRow:
    """A vehicle's reading as the row that came in: a register's total, only a declared meter."""
    declared = stored["meter_declared"]
    return (
        stored["vehicle_id"],
        microseconds(stored["time"]),
        _energy_as_sent(stored),
        stored["soc_bp"],
        stored["battery_temp_cdeg"],
        stored["meter_id"] if declared else None,
        declared,
    )


def meter_as_sent(stored: Record) -> MeterRow:
    """A meter's reading as the row that came in."""
    time = microseconds(stored["time"])
    return (stored["meter_id"], time, _energy_as_sent(stored), stored["voltage_mv"])


def _energy_as_sent(stored: Record) -> int:
    register: int | None = stored["register_mwh"]
    energy: int = stored["energy_mwh"]
    return energy if register is None else register


def vehicle_telemetry(stored: Record) -> Telemetry:
    """A vehicle's reading as a device would send it again."""
    energy = kwh(_energy_as_sent(stored))
    register = stored["register_mwh"] is not None
    return Telemetry(
        vehicle_id=stored["vehicle_id"],
        timestamp=stored["time"],
        kwh_delivered_dc=None if register else energy,
        kwh_delivered_dc_total=energy if register else None,
        soc=percent(stored["soc_bp"]),
        battery_temp=celsius(stored["battery_temp_cdeg"]),
        meter_id=stored["meter_id"] if stored["meter_declared"] else None,
    )


def meter_telemetry(stored: Record) -> Telemetry:
    """A meter's reading as a device would send it again."""
    energy = kwh(_energy_as_sent(stored))
    register = stored["register_mwh"] is not None
    return Telemetry(
        meter_id=stored["meter_id"],
        timestamp=stored["time"],
        kwh_consumed_ac=None if register else energy,
        kwh_consumed_ac_total=energy if register else None,
        voltage=volts(stored["voltage_mv"]),
    )


def vehicle_fields(stored: Record) -> dict[str, Any]:
    """The fields of a VehicleReading in an answer."""
    register, span_ms = stored["register_mwh"], stored["span_ms"]
    return {
        "vehicle_id": stored["vehicle_id"],
        "timestamp": stored["time"],
        "kwh_delivered_dc": derived_kwh(stored["energy_mwh"], register, span_ms),
        "kwh_delivered_dc_total": register_kwh(register),
        "reset": stored["reset"] or UNSET,
        "soc": percent(stored["soc_bp"]),
        "battery_temp": celsius(stored["battery_temp_cdeg"]),
        "meter_id": stored["meter_id"],
    }


def meter_fields(stored: Record) -> dict[str, Any]:
    """The fields of a MeterReading in an answer."""
    register, span_ms = stored["register_mwh"], stored["span_ms"]
    return {
        "meter_id": stored["meter_id"],
        "timestamp": stored["time"],
        "kwh_consumed_ac": derived_kwh(stored["energy_mwh"], register, span_ms),
        "kwh_consumed_ac_total": register_kwh(register),
        "reset": stored["reset"] or UNSET,
        "voltage": volts(stored["voltage_mv"]),
    }
