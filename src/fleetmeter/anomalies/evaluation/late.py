"""Evaluates late devices again: their history changed in hours that had already been evaluated.

It starts as far back as the rules remember, and includes all devices whose hours change too.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, cast

import msgspec

from fleetmeter.anomalies.evaluation import reader
from fleetmeter.anomalies.evaluation.evaluate_hour import evaluate_hour, hours_at_once
from fleetmeter.anomalies.evaluation.newest_readings import NewestReadings
from fleetmeter.anomalies.evaluation.reader import HOUR, Around, floor_hour, hour_of
from fleetmeter.anomalies.evaluation.state_store import states_of, store_states
from fleetmeter.anomalies.incidents import store
from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.incidents.lifecycle import key_of
from fleetmeter.anomalies.model import Change, Device, Subject, SubjectKind
from fleetmeter.anomalies.overrides import rulebook_now
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.anomalies.rules.shared.state import STATE_DAYS, Condition, DeviceState
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from fleetmeter.database.pool import Connection
from fleetmeter.database.queries import ReadyLateDevicesRow
from fleetmeter.database.sql import queries

WARMUP = timedelta(days=STATE_DAYS)
"""Time that the rules remember."""

REACH = timedelta(days=92)
"""Age of hours from which findings stand, whatever arrives late."""

_MOST_READY = 20_000
"""Maximum number of late devices searched for those that are evaluated with others anyway."""

_MOST = 200
"""Maximum number of late devices from which a turn starts."""

_MOST_DEVICE_HOURS = 30_000
"""Maximum number of devices × hours per turn, of late devices and those around them: some seconds.

Fewer devices if they go back far. One alone is evaluated with all that share meters with it.
"""

_MOST_AGAIN = 300_000
"""The same for a step of `evaluate_again`, after an import that nobody else waits for."""

_AS_LATE = timedelta(days=1)
"""Maximum difference in lateness within a turn: all are evaluated from the oldest on."""

_MOST_WIDE = 48
"""Maximum number of hours of the whole fleet searched for another meter."""


class Late(NamedTuple):
    """The result of evaluating late devices."""

    devices: int
    events: list[int]
    is_last: bool
    """True if no others are ready."""


async def evaluate_late(connection: Connection, evaluated_until: datetime) -> Late:
    """Evaluate some late devices again; store the findings and remove their marks together."""
    rolled_up = await queries.rolled_up_until(connection)
    # the marks first: whatever is read after them holds the readings that they are about
    rows = queries.ready_late_devices(connection, most=_MOST_READY)
    ready = [row async for row in rows]
    # hours that come are evaluated with what is here now
    done = [row for row in ready if row["since"] >= evaluated_until]
    late = [_mark(row, evaluated_until) for row in ready if row["since"] < evaluated_until]
    recomputed = None
    if late:
        since, around = await _turn(connection, late, evaluated_until)
        recomputed = await _recompute(connection, around, (since, evaluated_until))
        # with those that others brought along
        late = [mark for mark in late if mark.subject in around.changed and mark.since >= since]
        done += [mark.row for mark in late]
    if await queries.rolled_up_until(connection) != rolled_up:
        # hours may have been read from rollups that do not hold the late readings yet
        return Late(0, [], False)
    events: list[int] = []
    ids = [id_ for row in done for id_ in row["ids"]]
    async with connection.transaction():
        if recomputed is not None:
            events = await _settle(connection, recomputed)
        await queries.forget_late_devices(connection, ids=ids)
    return Late(len(late), events, len(done) == len(ready) < _MOST_READY)


async def forget_late(connection: Connection, since: datetime) -> None:
    """Forget late devices of hours that no evaluation has reached; nothing of them is read yet."""
    rows = queries.ready_late_devices(connection, most=_MOST_READY)
    ids = [id_ async for row in rows if row["since"] >= since for id_ in row["ids"]]
    if ids:
        await queries.forget_late_devices(connection, ids=ids)


async def evaluate_again(
    connection: Connection,
    since: Mapping[Subject, datetime],
    until: datetime,
    stopping: Callable[[], bool],
) -> list[int]:
    """Evaluate each device from its time on to `until`, however long ago; return the events.

    The caller must hold the lock of the evaluation, and the rollups must be up to date.
    """
    events: list[int] = []
    left = sorted(since, key=lambda subject: since[subject])
    while left and not stopping():
        begin = floor_hour(since[left[0]])
        most = max(1, _MOST_AGAIN // max(1, (until - begin + WARMUP) // HOUR))
        around = await reader.around(connection, set(left[:most]), begin - WARMUP)
        recomputed = await _recompute(connection, around, (begin, until))
        async with connection.transaction():
            events += await _settle(connection, recomputed)
        left = left[most:]
    return events


async def _settle(connection: Connection, recomputed: "_Recomputed") -> list[int]:
    """Store the findings and the states; return the events."""
    span = recomputed.span
    events = await store.reconcile(
        connection,
        span.changed,
        span.since,
        recomputed.changes,
        recomputed.states,
        recomputed.rulebook,
    )
    await store_states(connection, "hours", recomputed.states, span.around.changed)
    return events


class _Mark(NamedTuple):
    """A late device, and the time from which it is evaluated again."""

    subject: Subject
    since: datetime
    row: ReadyLateDevicesRow


def _mark(row: ReadyLateDevicesRow, evaluated_until: datetime) -> _Mark:
    since = floor_hour(max(row["since"], evaluated_until - REACH))
    return _Mark(Subject(cast(SubjectKind, row["device_kind"]), row["device_id"]), since, row)


async def _turn(
    connection: Connection, marks: list[_Mark], evaluated_until: datetime
) -> tuple[datetime, Around]:
    """Return the first late devices, as many as a turn takes, with all around them, since when."""
    seeds = _few_enough(marks, evaluated_until)
    while True:
        since = min(mark.since for mark in seeds)
        around = await reader.around(connection, {mark.subject for mark in seeds}, since - WARMUP)
        hours = (evaluated_until - since + WARMUP) // HOUR
        devices = len(around.vehicle_ids) + len(around.meter_ids)
        if len(seeds) == 1 or devices * hours <= _MOST_DEVICE_HOURS:
            return since, around
        seeds = seeds[: max(1, len(seeds) * _MOST_DEVICE_HOURS // (devices * hours))]


def _few_enough(marks: list[_Mark], evaluated_until: datetime) -> list[_Mark]:
    """Return the first, and those with about the same lateness."""
    first = marks[0].since
    as_late = [mark for mark in marks[:_MOST] if abs(mark.since - first) <= _AS_LATE]
    span = evaluated_until - min(mark.since for mark in as_late) + WARMUP
    return as_late[: max(1, _MOST_DEVICE_HOURS // (span // HOUR))]


class _Span(NamedTuple):
    """Devices that are evaluated again, and the time span."""

    around: Around
    there: dict[Subject, Device]
    """Those that have not been removed."""

    changed: set[Subject]
    """The devices among them whose anomalies may change."""

    since: datetime
    until: datetime


class _Recomputed(NamedTuple):
    """The findings about late devices, recomputed."""

    span: _Span
    changes: list[Change]
    states: dict[Subject, DeviceState]
    rulebook: Rulebook


async def _recompute(
    connection: Connection, around: Around, times: tuple[datetime, datetime]
) -> _Recomputed:
    """Evaluate late devices and those around them again."""
    devices = await reader.roster(connection)
    looked_at = [Subject("vehicle", id_) for id_ in around.vehicle_ids]
    looked_at += [Subject("meter", id_) for id_ in around.meter_ids]
    there = {subject: devices[subject] for subject in looked_at if subject in devices}
    span = _Span(around, there, around.changed & there.keys(), *times)
    rulebook = await rulebook_now(connection)
    wide = _wide(await store.lasting(connection, span.changed))
    changes, states = await _evaluate_span(connection, span, rulebook, wide)
    more = _wide(change for change in changes if change.ended_at is None)
    if more - wide:
        changes, states = await _evaluate_span(connection, span, rulebook, wide | more)
    return _Recomputed(span, changes, states, rulebook)


async def _evaluate_span(
    connection: Connection, span: _Span, rulebook: Rulebook, wide: set[datetime]
) -> tuple[list[Change], dict[Subject, DeviceState]]:
    """Evaluate from as far back as rules remember, with the whole fleet in `wide` hours."""
    around, there = span.around, span.there
    before = await states_of(connection, "hours", around.changed)
    held = _held(await store.lasting(connection, span.changed), before, span.since)
    # sites are not evaluated, but say when all of them was silent
    sites = {Subject("site", device.site) for device in there.values() if device.site}
    states = await states_of(connection, "hours", sites)
    changes: list[Change] = []
    newest_readings = NewestReadings()
    step = hours_at_once(len(around.vehicle_ids) + len(around.meter_ids)) * HOUR
    first = await queries.first_hour(connection, since=span.since - WARMUP)
    start = span.since if first is None else min(first, span.since)
    while start < span.until:
        end = min(span.until, start + step)
        for hour in await reader.hours(
            connection, start, end, there, around.vehicle_ids, around.meter_ids
        ):
            if hour.starts in wide:
                [fleet] = await reader.hours(connection, hour.starts, hour.ends, there)
                hour = msgspec.structs.replace(fleet, whole_fleet=False)
            _hold(held.get(hour.starts, ()), states)
            findings = await evaluate_hour(connection, hour, states, rulebook, newest_readings)
            changes += [change for change in findings.changes if change.subject in span.changed]
        start = end
    return changes, states


def _wide(found: Iterable[Anomaly | Change]) -> set[datetime]:
    """Return the newest hours in which any other meter may explain a finding."""
    hours: set[datetime] = set()
    for each in found:
        if RULES[each.kind].looks_around:
            sure_at = each.at if isinstance(each, Change) else each.detected_at
            # it may have taken two hours to be sure
            for first in (hour_of(each.started_at), sure_at - 2 * HOUR):
                hours |= {first, first + HOUR}
    return set(sorted(hours)[-_MOST_WIDE:])


class _Held(NamedTuple):
    """An open finding from the earlier evaluation, and the state of its device."""

    anomaly: Anomaly
    stored: DeviceState


def _held(
    anomalies: Iterable[Anomaly], before: Mapping[Subject, DeviceState], since: datetime
) -> dict[datetime, list[_Held]]:
    """Group open findings by the hour in which they began; they hold until the rules clear them.

    The rules need not find them again: the readings that showed them may be too old.
    """
    held: dict[datetime, list[_Held]] = {}
    for anomaly in anomalies:
        if not RULES[anomaly.kind].is_by_arrival:
            hour = max(since, floor_hour(anomaly.detected_at))
            stored = before.get(key_of(anomaly).subject, DeviceState())
            held.setdefault(hour, []).append(_Held(anomaly, stored))
    return held


def _hold(held: Iterable[_Held], states: dict[Subject, DeviceState]) -> None:
    for anomaly, stored in held:
        kind, subject = key_of(anomaly)
        state = states.setdefault(subject, DeviceState())
        found = state.conditions.get(kind)
        if found is not None and (found.open or _is_clear(found, anomaly.started_at)):
            continue
        condition = stored.conditions.get(kind)
        if condition is None or not condition.open:
            started_at, at = anomaly.started_at, anomaly.detected_at
            condition = Condition(True, started_at, anomaly.cause, "breach", at)
        state.conditions[kind] = condition
        hold = RULES[kind].hold
        if hold is not None:
            hold(state, stored, anomaly.started_at)


def _is_clear(condition: Condition, since: datetime) -> bool:
    return condition.last == "clear" and condition.at is not None and condition.at > since
