"""Evaluates one hour: reads what the rules need, runs them, and isolates devices that fail.

Rules run in threads, so that the service keeps answering. If a rule fails (a defect that unexpected
data reveal), the hour is skipped for the devices with which it fails, and evaluated for all others.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

import msgspec
import structlog

from fleetmeter.anomalies.evaluation import reader
from fleetmeter.anomalies.evaluation.decide import evaluate, needs
from fleetmeter.anomalies.evaluation.newest_readings import NewestReadings
from fleetmeter.anomalies.model import Hour, Subject
from fleetmeter.anomalies.rules.shared.context import Findings
from fleetmeter.anomalies.rules.shared.state import DeviceState, Snapshot, restored, snapshot
from fleetmeter.anomalies.rules.silence.watch import SILENCE_KNOWN
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from fleetmeter.database.pool import Connection

_DEVICE_HOURS = 25_000
"""Maximum number of devices × hours read at once; of a backlog, as many again are read ahead."""

_ALL_ALIKE = 16
"""Devices failing one by one after which the cause is not a single device, and all are skipped."""

T = TypeVar("T")

_log = structlog.get_logger()


class _RuleFailsError(Exception):
    """A rule has raised something."""


async def evaluate_hour(
    connection: Connection,
    hour: Hour,
    states: dict[Subject, DeviceState],
    rulebook: Rulebook,
    newest_readings: NewestReadings | None = None,
) -> Findings:
    """Return what an hour changes for its devices; advance `states` to its end.

    Pass the same `newest_readings` from hour to hour, and history is not queried twice for them.
    """
    before = await asyncio.to_thread(_copied, states)
    try:
        return await _evaluate(connection, hour, states, rulebook, newest_readings)
    except _RuleFailsError as error:
        subjects = _subjects(hour, before)
        failing = await _failing(connection, hour, subjects, before, rulebook)
        _log.error(
            "a rule fails, so an hour of these devices is not evaluated",
            hour=hour.starts.isoformat(),
            devices=len(failing),
            first=[subject.device_id for subject in failing[:3]],
            exc_info=error.__cause__,
        )
    sound = set(subjects).difference(failing)
    findings, of_sound = Findings(), _part(before, sound)
    if sound:
        try:
            findings = await _evaluate(connection, _hour_of(hour, sound), of_sound, rulebook)
        except _RuleFailsError:  # with several together
            of_sound = _part(before, sound)
    states.clear()
    states.update(of_sound | _part(before, failing, with_sites=False))
    return findings


async def _failing(
    connection: Connection,
    hour: Hour,
    subjects: list[Subject],
    before: Mapping[Subject, Snapshot],
    rulebook: Rulebook,
) -> list[Subject]:
    """Find the devices with which a rule fails even when they are evaluated alone."""
    try:
        await _evaluate(connection, _hour_of(hour, subjects), _part(before, subjects), rulebook)
        return []
    except _RuleFailsError:
        half = len(subjects) // 2
        if not half:
            return subjects
    found = await _failing(connection, hour, subjects[:half], before, rulebook)
    if len(found) == half >= _ALL_ALIKE:
        return subjects
    found += await _failing(connection, hour, subjects[half:], before, rulebook)
    return found or subjects


async def _evaluate(
    connection: Connection,
    hour: Hour,
    states: dict[Subject, DeviceState],
    rulebook: Rulebook,
    newest_readings: NewestReadings | None = None,
) -> Findings:
    needed = await _asked(lambda: needs(hour, states, rulebook))
    if newest_readings is None:
        answers = await reader.answers(connection, needed, hour.ends)
    else:
        newest_readings.turn_to(hour)
        left = newest_readings.left(needed)
        answers = await reader.answers(connection, left, hour.ends)
        newest_readings.learn(left.last_times, answers.last_times)
        answers.last_times = newest_readings.newest(needed.last_times, hour.ends - SILENCE_KNOWN)
    findings = await _asked(lambda: evaluate(hour, answers, states, rulebook))
    # nothing is said of devices that have been removed
    gone = {s for s in findings.touched if s.device_kind != "site" and s not in hour.devices}
    if gone:
        for subject in gone:
            states.pop(subject, None)
        findings.touched -= gone
        findings.changes = [c for c in findings.changes if c.subject not in gone]
    return findings


async def _asked(rules: Callable[[], T]) -> T:
    """Return the rules' findings. Raises _RuleFailsError."""
    try:
        return await asyncio.to_thread(rules)
    except Exception as error:
        raise _RuleFailsError from error


def _copied(states: Mapping[Subject, DeviceState]) -> dict[Subject, Snapshot]:
    return {subject: snapshot(state) for subject, state in states.items()}


def _part(
    before: Mapping[Subject, Snapshot], subjects: Collection[Subject], *, with_sites: bool = True
) -> dict[Subject, DeviceState]:
    """Return the states of some devices, and of sites."""
    some = set(subjects)
    return {
        subject: restored(state)
        for subject, state in before.items()
        if subject in some or (with_sites and subject.device_kind == "site")
    }


def _subjects(hour: Hour, before: Mapping[Subject, Snapshot]) -> list[Subject]:
    """List all devices that the hour is about; vehicles beside the meter where they are."""
    found = {subject for subject in before if subject.device_kind != "site"} | hour.devices.keys()
    found |= {Subject("vehicle", row.vehicle_id) for row in hour.vehicles}
    found |= {Subject("meter", row.meter_id) for row in hour.meters}

    def meter(subject: Subject) -> tuple[str, Subject]:
        device = hour.devices.get(subject)
        return (device and device.meter_id) or subject.device_id, subject

    return sorted(found, key=meter)


def _hour_of(hour: Hour, subjects: Collection[Subject]) -> Hour:
    """Return the hour restricted to these devices."""
    some = set(subjects)
    return msgspec.structs.replace(
        hour,
        vehicles=[row for row in hour.vehicles if Subject("vehicle", row.vehicle_id) in some],
        meters=[row for row in hour.meters if Subject("meter", row.meter_id) in some],
        devices={subject: hour.devices[subject] for subject in some & hour.devices.keys()},
        falls={subject: hour.falls[subject] for subject in some & hour.falls.keys()},
    )


def hours_at_once(devices: int) -> int:
    """Return how many hours of this many devices may be in memory."""
    return max(1, _DEVICE_HOURS // max(1, devices))
