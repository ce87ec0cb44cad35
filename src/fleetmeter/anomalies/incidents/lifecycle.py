"""Describes the life of an anomaly: open, acknowledged, resolved; by rules and by people.

Pure: each step is an event and the anomaly as it is after it. A rule says once that something is
wrong and once that it is over. People may acknowledge what is open, and resolve what is not
resolved: then it stays so, although it is still wrong, until it was over and comes back.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.model import AnomalyKind, Change, Event, Severity, Subject
from fleetmeter.errors import FleetMeterError


class AlreadyResolvedError(FleetMeterError):
    """Raised when somebody acknowledges what is resolved."""


class Terms(NamedTuple):
    """The settings of a rule that affect an anomaly's life."""

    severity: Severity
    reopen_within: timedelta
    """An anomaly that comes back within this time of its end is reopened."""


class Step(NamedTuple):
    """One event in the life of an anomaly."""

    event: Event
    anomaly: Anomaly
    """The anomaly after the event. One that is not stored yet has a number below zero."""

    who: str | None = None
    """Null: a rule."""

    note: str | None = None


class Key(NamedTuple):
    """Identifies an anomaly: at most one per key is not over, and at most one not resolved."""

    kind: AnomalyKind
    subject: Subject


def key_of(item: Anomaly | Change) -> Key:
    """Return the key of an anomaly or a change."""
    if isinstance(item, Change):
        return Key(item.kind, item.subject)
    return Key(item.kind, Subject(item.device_kind, item.device_id))


def opened(change: Change, number: int, terms: Terms, now: datetime, note: str | None) -> Step:
    """Open a new one, which has `number` until it is stored."""
    anomaly = Anomaly(
        id=number,
        kind=change.kind,
        severity=terms.severity,
        device_kind=change.subject.device_kind,
        device_id=change.subject.device_id,
        site=change.site,
        status="open",
        cause=change.cause,
        summary=change.summary,
        evidence=change.evidence,
        started_at=change.started_at,
        detected_at=change.at,
        ended_at=None,
        opened_at=now,
        acknowledged_at=None,
        acknowledged_by=None,
        resolved_at=None,
        resolved_by=None,
        reopened=0,
    )
    return Step("opened", anomaly, note=note)


def reopened(anomaly: Anomaly, change: Change, note: str | None = None) -> Step:
    """Reopen one that is back, unacknowledged; it began when it first did."""
    again = msgspec.structs.replace(
        anomaly,
        status="open",
        site=change.site,
        cause=change.cause,
        summary=change.summary,
        evidence=change.evidence,
        ended_at=None,
        acknowledged_at=None,
        acknowledged_by=None,
        resolved_at=None,
        resolved_by=None,
        reopened=anomaly.reopened + 1,
    )
    since = f"again since {change.started_at:%Y-%m-%d %H:%M} UTC"
    return Step("reopened", again, note=f"{since}; {note}" if note else since)


def revised(anomaly: Anomaly, change: Change) -> Step:
    """Return the anomaly with a new cause."""
    after = msgspec.structs.replace(
        anomaly, cause=change.cause, summary=change.summary, evidence=change.evidence
    )
    return Step("updated", after, note="later readings show the cause")


def over(anomaly: Anomaly, ended_at: datetime, now: datetime, note: str | None) -> Step:
    """End one that is not wrong any more; it is resolved, if nobody has resolved it before."""
    if anomaly.status == "resolved":
        return Step("updated", msgspec.structs.replace(anomaly, ended_at=ended_at), note=note)
    resolved = msgspec.structs.replace(
        anomaly, status="resolved", ended_at=ended_at, resolved_at=now, resolved_by=None
    )
    return Step("resolved", resolved, note=note)


def acknowledged(anomaly: Anomaly, who: str, note: str | None, now: datetime) -> Step | None:
    """Acknowledge an anomaly; return None if it already is. Raises AlreadyResolvedError."""
    if anomaly.status == "resolved":
        raise AlreadyResolvedError(f"anomaly {anomaly.id} is resolved")
    if anomaly.status == "acknowledged":
        return None
    after = msgspec.structs.replace(
        anomaly, status="acknowledged", acknowledged_at=now, acknowledged_by=who
    )
    return Step("acknowledged", after, who, note)


def resolved(anomaly: Anomaly, who: str, note: str | None, now: datetime) -> Step | None:
    """Resolve an anomaly for a person; return None if it is already resolved."""
    if anomaly.status == "resolved":
        return None
    after = msgspec.structs.replace(anomaly, status="resolved", resolved_at=now, resolved_by=who)
    return Step("resolved", after, who, note)


def comes_back(last: Anomaly, started_at: datetime, terms: Terms) -> bool:
    """Return whether something that began then reopens an anomaly that was over."""
    return last.ended_at is not None and started_at - last.ended_at < terms.reopen_within


def steps_of(
    changes: Iterable[Change],
    stored: Iterable[Anomaly],
    terms: Callable[[Change], Terms],
    now: datetime,
) -> list[Step]:
    """Return the steps that follow from changes, in order.

    `stored` has the current anomaly of each key that they are of: the one that is not over, or else
    the one that was over last.
    """
    current = {key_of(anomaly): anomaly for anomaly in stored}
    steps: list[Step] = []
    for change in changes:
        key = key_of(change)
        last = current.get(key)
        if change.ended_at is not None:
            if last is None or last.ended_at is not None:
                continue
            step = over(last, change.ended_at, now, change.summary)
        elif change.revises:
            if last is None or last.ended_at is not None:
                continue
            step = revised(last, change)
        elif last is not None and last.ended_at is None:
            continue  # it is known, or a person has settled it while it lasts
        elif last is not None and comes_back(last, change.started_at, terms(change)):
            step = reopened(last, change)
        else:
            step = opened(change, -1 - len(steps), terms(change), now, None)
        current[key] = step.anomaly
        steps.append(step)
    return steps
