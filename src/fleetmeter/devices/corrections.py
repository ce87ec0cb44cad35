"""Correcting a stored reading: it gets other values, and what it had stays as a version."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from asyncpg import Record

from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.kinds import KINDS, METER, SESSION, DeviceKind
from fleetmeter.readings.model import rfc3339
from fleetmeter.readings.stored import attribute, reading_of, telemetry_of
from fleetmeter.readings.validate import Bounds, Invalid, Reading, checked

MOST_VERSIONS = 100
"""How often one reading can be corrected."""


class UnknownReadingError(FleetMeterError):
    """There is no such reading."""


class TooManyVersionsError(FleetMeterError):
    """The reading takes no more corrections."""


class Corrected(NamedTuple):
    """The version that is in force, whether it is a new one, and the reading as it is stored."""

    version: int
    changed: bool
    reading: Record


async def correct(
    connection: Connection,
    kind: DeviceKind,
    device_id: str,
    time: datetime,
    sent: Mapping[str, Any],
    who: str,
    reason: str,
) -> Corrected:
    """Give a device's reading of a time the values that were sent, by attributes of Telemetry.

    In the caller's transaction, until whose end other changes of the device's readings wait.
    Raises UnknownReadingError, TooManyVersionsError, and Invalid for what a device may not send.
    """
    key = {"kind": kind.name, "device_id": device_id, "time": time}
    await queries.begin_correction(connection, kind=kind.name, device_id=device_id)
    stored = await queries.reading(connection, **key)
    if stored is None:
        raise UnknownReadingError(f"{device_id} has no reading of {rfc3339(time)}")
    _check_energy(stored, sent)
    wanted = checked(
        msgspec.structs.replace(telemetry_of(kind, stored), **sent), Bounds(time, time)
    )
    if wanted.dropped:  # who corrects a value is told; devices are not asked again
        raise wanted.dropped[0]
    values = await _changed(connection, reading_of(kind, stored), wanted)
    if not values:
        return Corrected(stored["replaced"] + 1, False, stored)
    if stored["replaced"] >= MOST_VERSIONS:
        raise TooManyVersionsError(
            f"the reading has been corrected {MOST_VERSIONS} times; it takes no more corrections"
        )
    version = await queries.correct_reading(
        connection,
        **key,
        values=msgspec.json.encode(values).decode(),
        who=who,
        reason=reason,
    )
    return Corrected(version, True, await queries.reading(connection, **key))


def _check_energy(stored: Record, sent: Mapping[str, Any]) -> None:
    """Raise Invalid for what would turn interval energy into a register, or back."""
    register = stored["register_mwh"] is not None
    has = "a register" if register else "interval energy"
    for energy in (kind.energy for kind in KINDS):
        wrong, right = energy.field, energy.register_field
        if not register:
            wrong, right = right, wrong
        if attribute(wrong) in sent:
            raise Invalid("mixed_energy", f"the device sends {has}; correct {right}", f"$.{wrong}")


async def _changed(connection: Connection, was: Reading, wanted: Reading) -> dict[str, Any]:
    """Return what differs, by columns of history."""
    values: dict[str, Any] = {
        each.column: value
        for each, before, value in zip(
            wanted.kind.measurements, was.values, wanted.values, strict=True
        )
        if value != before
    }
    for column in ("energy_mwh", "register_mwh"):
        if getattr(wanted, column) != getattr(was, column):
            values[column] = getattr(wanted, column)
    if wanted.session_id is not None and wanted.session_id != was.session_id:
        async for row in queries.number_sessions(connection, ids=[wanted.session_id]):
            values[SESSION.column] = row["session"]
    if wanted.meter_id != was.meter_id:
        values["meter_declared"] = wanted.meter_id is not None
        if wanted.meter_id is not None:
            values["meter"] = await queries.number_device(
                connection, kind=METER.name, device_id=wanted.meter_id
            )
    return values
