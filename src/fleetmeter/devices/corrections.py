"""Correcting a stored reading: values are replaced or it is voided, and versions are kept."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

import msgspec
from asyncpg import Record

from fleetmeter.access.reach import EVERYTHING, Reach
from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.devices.correction_log import record_change, record_void
from fleetmeter.devices.reach import is_within, require_meter_within
from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.kinds import METER, SESSION, DeviceKind
from fleetmeter.readings.model import microseconds, rfc3339, time_of
from fleetmeter.readings.stored import attribute, reading_of, telemetry_of
from fleetmeter.readings.validate import Bounds, Invalid, Reading, checked

MOST_VERSIONS = 100
"""Maximum number of corrections of one reading."""


class CorrectionError(FleetMeterError):
    """The correction cannot be made."""

    code: str
    """Stable identifier for programs."""


class UnknownReadingError(CorrectionError):
    """The reading does not exist."""

    code = "unknown_reading"


class VoidedReadingError(CorrectionError):
    """The reading is voided, and the correction does not ask to restore it."""

    code = "voided_reading"


class TooManyVersionsError(CorrectionError):
    """The reading takes no more corrections."""

    code = "too_many_versions"


class Correction(NamedTuple):
    """The change to one reading."""

    kind: DeviceKind
    device_id: str
    time: datetime
    values: Mapping[str, Any]
    """New values by attributes of Telemetry; absent ones stay."""

    who: str
    reason: str
    void: bool | None = None
    """True voids the reading, False restores it."""


class Corrected(NamedTuple):
    """The version now in force, whether it is new, and the reading as stored."""

    version: int
    changed: bool
    reading: Record | None
    """None when it is voided."""


async def correct(database: Database, correction: Correction, reach: Reach) -> Corrected:
    """Correct one reading, in a transaction of its own.

    Raises CorrectionError, Invalid for values that a device may not send, and OutOfReachError for
    a meter outside the reach that the vehicle is to have charged from.
    """

    async def run() -> Corrected:
        async with database.transaction() as connection:
            await _require_within(connection, correction, reach)
            version, changed = await _correct(connection, correction)
            reading = await queries.reading(connection, **_key(correction), **reach.parameters())
            return Corrected(version, changed, reading)

    return await retried(run)


class _Done(NamedTuple):
    """The version now in force, and whether it is new."""

    version: int
    changed: bool


async def _require_within(connection: Connection, correction: Correction, reach: Reach) -> None:
    if not await is_within(connection, correction.kind.name, correction.device_id, reach):
        raise _unknown(correction)
    meter_id = correction.values.get("meter_id")
    if meter_id is not None:
        await require_meter_within(connection, meter_id, reach)


def _unknown(correction: Correction) -> UnknownReadingError:
    return UnknownReadingError(
        f"{correction.device_id} has no reading of {rfc3339(correction.time)}"
    )


class _Key(TypedDict):
    """The arguments of a query that name a reading."""

    kind: str
    device_id: str
    time: datetime


def _key(correction: Correction) -> _Key:
    return {
        "kind": correction.kind.name,
        "device_id": correction.device_id,
        "time": correction.time,
    }


async def _correct(connection: Connection, correction: Correction) -> _Done:
    """Correct a reading; other changes of its device wait until the end of the transaction."""
    kind, device_id, time, sent, who, reason, void = correction
    key = _key(correction)
    await queries.begin_correction(connection, kind=kind.name, device_id=device_id)
    stored = await queries.reading(connection, **key, **EVERYTHING.parameters())
    if stored is None:
        return await _correct_voided(connection, correction)
    if void:
        if sent:
            raise Invalid(
                "contradictory",
                "void applies to the whole reading; send it without values",
                "$.void",
            )
        _check_versions(stored)
        version = await queries.void_reading(connection, **key, who=who, reason=reason)
        await record_void(connection, kind, device_id, time, stored, reason)
        return _Done(version, True)
    sends = _sends_register(stored)
    if stored["energy_mwh"] is not None:
        sends = stored["register_mwh"] is not None
    _check_energy(kind, sends, sent)
    wanted = _wanted(kind, stored, time, sent)
    values = await _changed(connection, reading_of(kind, stored), wanted)
    if not values:
        return _Done(stored["replaced"] + 1, False)
    _check_versions(stored)
    columns = dict(stored)
    before = {column: columns[column] for column in values}
    return await _give(connection, correction, values, before)


async def _correct_voided(connection: Connection, correction: Correction) -> _Done:
    """Restore a voided reading, with the values that the correction has."""
    kind, device_id, time, sent, _, _, void = correction
    key = _key(correction)
    voided = await queries.voided_reading(connection, **key)
    if voided is None:
        raise _unknown(correction)
    if void:
        return _Done(voided["replaced"] + 1, False)
    if void is None:
        raise VoidedReadingError(
            f"the reading of {rfc3339(time)} is voided; to restore it, send void: false"
        )
    _check_versions(voided)
    was = msgspec.structs.asdict(telemetry_of(kind, voided))
    given = {name for name, value in was.items() if value is not None}
    _check_energy(kind, _sends_register(voided), given | sent.keys())
    wanted = _wanted(kind, voided, time, sent)
    nothing = (None,) * len(kind.measurements)
    empty = Reading(kind, device_id, microseconds(time), None, None, None, None, nothing)
    await queries.bring_back_reading(connection, **key)
    return await _give(connection, correction, await _changed(connection, empty, wanted))


async def _give(
    connection: Connection,
    correction: Correction,
    values: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> _Done:
    """Replace values of a reading, by columns of history; without any before, it was voided."""
    version = await queries.correct_reading(
        connection,
        **_key(correction),
        values=msgspec.json.encode(values).decode(),
        who=correction.who,
        reason=correction.reason,
    )
    await record_change(
        connection,
        correction.kind,
        correction.device_id,
        correction.time,
        before,
        {**values, "reason": correction.reason},
    )
    return _Done(version, True)


def _wanted(kind: DeviceKind, stored: Record, time: datetime, sent: Mapping[str, Any]) -> Reading:
    """Return a stored reading with the values that were sent. Raises Invalid."""
    wanted = checked(
        msgspec.structs.replace(telemetry_of(kind, stored), **sent), Bounds(time, time)
    )
    if wanted.dropped:  # devices cannot be asked again, but whoever corrects a value can
        raise wanted.dropped[0]
    return wanted


def _check_versions(stored: Record) -> None:
    if stored["replaced"] >= MOST_VERSIONS:
        raise TooManyVersionsError(
            f"the reading has been corrected {MOST_VERSIONS} times; it takes no more corrections"
        )


def _sends_register(stored: Record) -> bool | None:
    """Return whether a reading's device sends a register, or None before it sent energy."""
    return stored["sends_register"] if stored["has_sent_energy"] else None


def _check_energy(kind: DeviceKind, sends_register: bool | None, given: Collection[str]) -> None:
    """Raise Invalid for a change from interval energy to a register, or back."""
    if sends_register is None:
        return
    wrong, right = kind.energy.field, kind.energy.register_field
    if not sends_register:
        wrong, right = right, wrong
    if attribute(wrong) in given:
        has = "a register" if sends_register else "interval energy"
        raise Invalid("mixed_energy", f"the device sends {has}; correct {right}", f"$.{wrong}")


async def _changed(connection: Connection, was: Reading, wanted: Reading) -> dict[str, Any]:
    """Return the values that differ, by columns of history."""
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
    if wanted.interval_start != was.interval_start:
        start = wanted.interval_start
        values["interval_start"] = None if start is None else rfc3339(time_of(start))
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
