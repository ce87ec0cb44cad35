"""Reconciles the findings from late readings with the anomalies reported before.

Pure. A stretch is a time in which something was wrong, by the hours as they are now. What overlaps
in time is the same anomaly, and what people have said about it stays.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

import msgspec

from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.incidents.lifecycle import (
    Key,
    Step,
    Terms,
    comes_back,
    key_of,
    opened,
    over,
    reopened,
)
from fleetmeter.anomalies.model import Cause, Change

FOUND_LATE = "found in late readings"
SHOWN_LATE = "late readings showed otherwise"

_NEVER = datetime.max.replace(tzinfo=UTC)


class Stretch(NamedTuple):
    """A time span in which something was wrong; without `closing`, it still is."""

    opening: Change
    """The finding that opened it, after all revisions."""

    closing: Change | None
    said_at: datetime
    """The time of the last revision."""

    @property
    def started_at(self) -> datetime:
        """Return when it began."""
        return self.opening.started_at

    @property
    def ended_at(self) -> datetime | None:
        """Return when it was over; None: it lasts."""
        return None if self.closing is None else self.closing.ended_at


def stretches_of(changes: Iterable[Change]) -> dict[Key, list[Stretch]]:
    """Return each opening change with the closing one that follows it, in the order of time."""
    found: dict[Key, list[Stretch]] = {}
    for change in changes:
        stretches = found.setdefault(key_of(change), [])
        is_open = bool(stretches) and stretches[-1].closing is None
        if change.revises:
            if is_open:
                stretches[-1] = _revised(stretches[-1], change)
        elif change.ended_at is None:
            stretches.append(Stretch(change, None, change.at))
        elif is_open:
            stretches[-1] = stretches[-1]._replace(closing=change)
    return found


def _revised(stretch: Stretch, change: Change) -> Stretch:
    opening = msgspec.structs.replace(
        stretch.opening, cause=change.cause, summary=change.summary, evidence=change.evidence
    )
    return Stretch(opening, None, change.at)


def reconciled(
    stored: Iterable[Anomaly],
    changes: Sequence[Change],
    since: datetime,
    is_wrong: Callable[[Key], bool],
    terms: Callable[[Change], Terms],
    now: datetime,
) -> list[Step]:
    """Return what follows from hours that were evaluated again, and from what is wrong now.

    `stored` are the anomalies of their devices that were not over at `since`, or could come back
    since then; what was over before `since` stays as it is.
    """
    rows: dict[Key, list[Anomaly]] = {}
    for anomaly in sorted(stored, key=lambda a: (a.ended_at or _NEVER, a.id)):
        rows.setdefault(key_of(anomaly), []).append(anomaly)
    stretches = stretches_of(changes)
    ends = {key_of(change): change.ended_at for change in changes if change.ended_at is not None}
    steps: list[Step] = []
    numbers = count(-1, -1)
    for key in sorted(rows.keys() | stretches.keys()):
        touched = [s for s in stretches.get(key, ()) if s.ended_at is None or s.ended_at > since]
        matched, new = _matched(rows.get(key, ()), touched, terms)
        for anomaly, its in matched:
            if anomaly.ended_at is None and not is_wrong(key):
                ended_at = its[-1].ended_at if its else ends.get(key)
                renewed = _renewed(anomaly, its, since) if its else anomaly
                ended_at = max(renewed.started_at, ended_at or since)
                steps.append(over(renewed, ended_at, now, _said(its)))
            else:
                steps += _settled(anomaly, its, since, now)
        for its in new:
            first = its[0]
            step = opened(first.opening, next(numbers), terms(first.opening), now, FOUND_LATE)
            steps.append(step)
            if first.ended_at is not None:
                step = over(step.anomaly, first.ended_at, now, _said(its[:1]))
                steps.append(step)
            steps += _came_back(step.anomaly, its[1:], now)
    return steps


def _matched(
    rows: Sequence[Anomaly], stretches: Iterable[Stretch], terms: Callable[[Change], Terms]
) -> tuple[list[tuple[Anomaly, list[Stretch]]], list[list[Stretch]]]:
    """Return each anomaly with the stretches that it is about, and the stretches of new ones."""
    of_row: list[tuple[Anomaly, list[Stretch]]] = [(anomaly, []) for anomaly in rows]
    new: list[list[Stretch]] = []
    for stretch in stretches:
        term = terms(stretch.opening)
        same = [(anomaly, its) for anomaly, its in of_row if _overlap(anomaly, stretch)]
        before = [
            (anomaly, its)
            for anomaly, its in of_row
            if anomaly.ended_at is not None and anomaly.ended_at < stretch.started_at
        ]
        if same:
            # where several have become one, the one that ends with it goes on, or else the last
            ends = [anomaly.ended_at == stretch.ended_at for anomaly, _ in same]
            same[ends.index(True) if any(ends) else -1][1].append(stretch)
        elif before and comes_back(before[-1][0], stretch.started_at, term):
            before[-1][1].append(stretch)
        elif new and _follows(new[-1][-1], stretch, term):
            new[-1].append(stretch)
        else:
            new.append([stretch])
    return of_row, new


def _overlap(anomaly: Anomaly, stretch: Stretch) -> bool:
    return (stretch.ended_at is None or stretch.ended_at >= anomaly.started_at) and (
        anomaly.ended_at is None or anomaly.ended_at >= stretch.started_at
    )


def _follows(before: Stretch, stretch: Stretch, terms: Terms) -> bool:
    return (
        before.ended_at is not None and stretch.started_at - before.ended_at < terms.reopen_within
    )


def _settled(
    anomaly: Anomaly, stretches: list[Stretch], since: datetime, now: datetime
) -> list[Step]:
    """Return the steps for an anomaly that matches these stretches."""
    if not stretches:
        return []
    its = [s for s in stretches if anomaly.ended_at is None or s.started_at <= anomaly.ended_at]
    if not its:
        return _came_back(_renewed(anomaly, stretches[:1], since), stretches, now)
    step = _own(anomaly, its, since)
    if step is None:
        return _came_back(anomaly, stretches[len(its) :], now)
    return [step, *_came_back(step.anomaly, stretches[len(its) :], now)]


def _own(anomaly: Anomaly, stretches: list[Stretch], since: datetime) -> Step | None:
    """Return the steps that follow from the stretches within its own time.

    It lasts exactly when the last of them does or, when the rules do not say, as it did before.
    """
    last = stretches[-1]
    renewed = _renewed(anomaly, stretches, since)
    if anomaly.ended_at is not None and last.ended_at is None and anomaly.resolved_by is None:
        return reopened(renewed, last.opening, SHOWN_LATE)
    if anomaly.ended_at is not None:
        # resolved all the same, by a rule or by a person who has settled all of this stretch
        renewed = msgspec.structs.replace(renewed, ended_at=last.ended_at)
    elif last.ended_at is not None:
        return None
    # new numbers for the same finding are not an event
    if _reported(renewed) == _reported(anomaly):
        return None
    return Step("updated", renewed, note=SHOWN_LATE)


def _reported(anomaly: Anomaly) -> tuple[Cause | None, datetime, datetime | None]:
    return anomaly.cause, anomaly.started_at, anomaly.ended_at


def _came_back(anomaly: Anomaly, stretches: Iterable[Stretch], now: datetime) -> list[Step]:
    """Reopen it with each of these stretches, soon after the one before was over."""
    steps: list[Step] = []
    for stretch in stretches:
        step = reopened(anomaly, stretch.opening, FOUND_LATE)
        steps.append(step)
        if stretch.ended_at is not None:
            step = over(step.anomaly, stretch.ended_at, now, _said([stretch]))
            steps.append(step)
        anomaly = step.anomaly
    return steps


def _renewed(anomaly: Anomaly, stretches: list[Stretch], since: datetime) -> Anomaly:
    """Return when it began and what it is about, where that was found after `since`."""
    first, last = stretches[0].opening, stretches[-1].opening
    if anomaly.detected_at > since:
        anomaly = msgspec.structs.replace(
            anomaly, started_at=first.started_at, detected_at=first.at
        )
    if stretches[-1].said_at > since:
        anomaly = msgspec.structs.replace(
            anomaly, cause=last.cause, summary=last.summary, evidence=last.evidence
        )
    return anomaly


def _said(stretches: Sequence[Stretch]) -> str:
    """Return what the rule said when the last of these was over, if it was."""
    closing = stretches[-1].closing if stretches else None
    return SHOWN_LATE if closing is None else f"{SHOWN_LATE}: {closing.summary}"
