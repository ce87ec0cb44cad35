"""Readings of history and live state: as they were sent, and as answers show them.

Rows have the columns of history, the device's id as `id`, and that of its meter as `meter_id`.
"""

from functools import cache
from typing import Any

from asyncpg import Record
from msgspec import UNSET, UnsetType

from fleetmeter.readings import telemetry
from fleetmeter.readings.kinds import METER, SESSION, VOLTAGE, VOLTAGES, DeviceKind
from fleetmeter.readings.model import microseconds
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import MWH, Reading

attribute = cache(telemetry.attribute)


def reading_of(kind: DeviceKind, stored: Record) -> Reading:
    """Return a stored reading as it was sent: a register's total, only a declared meter."""
    register = stored["register_mwh"]
    return Reading(
        kind,
        stored["id"],
        microseconds(stored["time"]),
        stored["energy_mwh"] if register is None else None,
        register,
        stored["meter_id"] if stored["meter_declared"] else None,
        None if stored["interval_start"] is None else microseconds(stored["interval_start"]),
        tuple(stored[each.column] for each in kind.measurements),
        stored["session_id"],
    )


def telemetry_of(kind: DeviceKind, stored: Record) -> Telemetry:
    """Return a stored reading as a device would send it again."""
    fields = reading_fields(kind, stored)
    if stored["register_mwh"] is not None:
        del fields[attribute(kind.energy.field)]
    for each in kind.measurements:
        fields[attribute(each.field)] = _scaled(stored[each.column], each.scale)
    if kind.charges and not stored["meter_declared"]:
        del fields["meter_id"]
    del fields["reset"], fields["sent_timestamp"]
    return Telemetry(**{name: value for name, value in fields.items() if value is not UNSET})


def reading_fields(kind: DeviceKind, stored: Record) -> dict[str, Any]:
    """Return the fields of a stored reading in an answer; what was not measured is left out."""
    energy, register = stored["energy_mwh"], stored["register_mwh"]
    opens = register is not None and stored["span_ms"] is None
    fields = {
        attribute(kind.id_field): stored["id"],
        "timestamp": stored["time"],
        "interval_start": UNSET if stored["interval_start"] is None else stored["interval_start"],
        attribute(kind.energy.field): None if opens else _scaled(energy, MWH),
        attribute(kind.energy.register_field): _scaled(register, MWH),
        "session_id": UNSET if stored["session_id"] is None else stored["session_id"],
        # a dip or an exchange has an interval
        "reset": (opens and stored["reset"]) or UNSET,
        "sent_timestamp": stored.get("sent_time") or UNSET,
    }
    for each in kind.measurements:
        fields[attribute(each.field)] = _scaled(stored[each.column], each.scale)
    if stored["reverse_register_mwh"] is not None:
        field = next(each.field for each in kind.measurements if each.column == "reverse_mwh")
        fields[attribute(field)] = _or_null(stored.get("derived_reverse_mwh"))
    if kind is METER and stored["voltage_mv"] is None:
        phases = [stored[each.column] for each in VOLTAGES if stored[each.column] is not None]
        if phases:
            fields["voltage"] = sum(phases) // len(phases) / VOLTAGE.scale
    if kind.charges:
        fields["meter_id"] = stored["meter_id"]
    return fields


def state_fields(kind: DeviceKind, stored: Record) -> dict[str, Any]:
    """Return the fields of a live state in an answer, with the times of those that are older."""
    time = stored["time"]
    measured = {
        each.field: stored[f"{each.column}_at"]
        for each in (*kind.measurements, SESSION)
        if stored[each.column] is not None
    }
    energy = kind.energy
    field = energy.field if stored["register_mwh"] is None else energy.register_field
    measured[field] = stored["energy_at"]
    older = {name: at for name, at in measured.items() if at is not None and at < time}
    return reading_fields(kind, stored) | {
        "last_seen": stored["last_seen"],
        "as_of": older or UNSET,
    }


def _scaled(value: int | None, scale: int) -> float | UnsetType:
    return UNSET if value is None else value / scale


def _or_null(energy_mwh: int | None) -> float | None:
    return None if energy_mwh is None else energy_mwh / MWH
