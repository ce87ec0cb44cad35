"""Stores anomalies and their events, from rules and from people.

Every change of an anomaly holds one lock until the end of its transaction, so that what it has read
stays valid and events become visible in the order of their ids.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from fleetmeter.access.reach import Reach
from fleetmeter.anomalies.incidents import lifecycle
from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.incidents.lifecycle import AlreadyResolvedError, Key, Step, Terms, key_of
from fleetmeter.anomalies.incidents.reconcile import reconciled
from fleetmeter.anomalies.model import Change, Subject, columns_of
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.anomalies.rules.shared.state import DeviceState
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from fleetmeter.database.pool import Connection
from fleetmeter.database.queries import AnomaliesRow
from fleetmeter.database.sql import queries

__all__ = [
    "AlreadyResolvedError",
    "acknowledge",
    "anomaly_of",
    "apply",
    "close_removed",
    "lasting",
    "reconcile",
    "resolve",
]

_REOPENABLE = timedelta(days=62)
"""Anomalies over for longer than this before late readings can neither overlap nor reopen."""

_BY_ARRIVAL = [rule.kind for rule in RULES.values() if rule.is_by_arrival]
"""Kinds that late readings neither show nor refute."""

REMOVED = "the device was removed"


async def apply(connection: Connection, changes: Sequence[Change], rulebook: Rulebook) -> list[int]:
    """Store the steps that follow from changes, in order; return the ids of the events."""
    if not changes:
        return []
    now = await queries.begin_anomaly_events(connection)
    keys = list({key_of(change) for change in changes})
    stored = [
        anomaly_of(row)
        async for row in queries.current_anomalies(
            connection,
            kinds=[key.kind for key in keys],
            **columns_of([key.subject for key in keys]),
        )
    ]
    steps = lifecycle.steps_of(changes, stored, partial(_terms, rulebook), now)
    return await _record(connection, steps, now)


async def reconcile(
    connection: Connection,
    subjects: Collection[Subject],
    since: datetime,
    changes: Sequence[Change],
    states: Mapping[Subject, DeviceState],
    rulebook: Rulebook,
) -> list[int]:
    """Store what follows from hours of `subjects` evaluated again; return the ids of the events.

    `changes` and `states` are what came out. What was over before `since` stays.
    """
    now = await queries.begin_anomaly_events(connection)
    stored = [
        anomaly_of(row)
        async for row in queries.anomalies_since(
            connection, since=since - _REOPENABLE, without=_BY_ARRIVAL, **columns_of(subjects)
        )
    ]

    def is_wrong(key: Key) -> bool:
        state = states.get(key.subject)
        return (
            state is not None and key.kind in state.conditions and (state.conditions[key.kind].open)
        )

    steps = reconciled(stored, changes, since, is_wrong, partial(_terms, rulebook), now)
    return await _record(connection, steps, now)


async def lasting(connection: Connection, subjects: Collection[Subject]) -> list[Anomaly]:
    """Return the anomalies of these devices that are not over."""
    rows = queries.lasting_anomalies(connection, **columns_of(subjects))
    return [anomaly_of(row) async for row in rows]


async def close_removed(
    connection: Connection, subjects: Collection[Subject], at: datetime
) -> list[int]:
    """End the anomalies of removed devices; return the ids of the events."""
    now = await queries.begin_anomaly_events(connection)
    steps = [
        lifecycle.over(anomaly, max(at, anomaly.started_at), now, REMOVED)
        for anomaly in await lasting(connection, subjects)
    ]
    return await _record(connection, steps, now)


async def acknowledge(
    connection: Connection, anomaly_id: int, who: str, note: str | None, reach: Reach
) -> Anomaly | None:
    """Acknowledge an anomaly; return the result, or None if there is none within reach.

    Raises AlreadyResolvedError. Acknowledging again changes nothing.
    """
    step_of = partial(lifecycle.acknowledged, who=who, note=note)
    return await _act(connection, anomaly_id, step_of, reach)


async def resolve(
    connection: Connection, anomaly_id: int, who: str, note: str | None, reach: Reach
) -> Anomaly | None:
    """Resolve an anomaly for a person; return the result, or None if there is none within reach.

    Resolving again changes nothing.
    """
    return await _act(
        connection, anomaly_id, partial(lifecycle.resolved, who=who, note=note), reach
    )


def anomaly_of(row: AnomaliesRow) -> Anomaly:
    """Return the anomaly in a row of the table."""
    fields = dict(row)
    fields["evidence"] = msgspec.json.decode(row["evidence"])
    return Anomaly(severity=RULES[row["kind"]].severity, **fields)


def _terms(rulebook: Rulebook, change: Change) -> Terms:
    rule = RULES[change.kind]
    thresholds = rulebook.of(rule.thresholds, change.subject, change.site)
    return Terms(rule.severity, timedelta(hours=thresholds.reopen_within_h))


async def _act(
    connection: Connection, anomaly_id: int, step_of: Callable[..., Step | None], reach: Reach
) -> Anomaly | None:
    now = await queries.begin_anomaly_events(connection)
    row = await queries.anomaly(connection, anomaly_id=anomaly_id, **reach.parameters())
    if row is None:
        return None
    anomaly = anomaly_of(row)
    step = step_of(anomaly, now=now)
    if step is None:
        return anomaly
    await _record(connection, [step], now)
    return step.anomaly


async def _record(connection: Connection, steps: Sequence[Step], now: datetime) -> list[int]:
    """Store the results of steps, and each as an event; return the ids of the events."""
    if not steps:
        return []
    new = [step.anomaly.id for step in steps if step.event == "opened"]
    rows = queries.new_anomaly_ids(connection, most=len(new))
    ids = dict(zip(new, [row["id"] async for row in rows], strict=True))
    anomalies = [
        msgspec.structs.replace(step.anomaly, id=ids.get(step.anomaly.id, step.anomaly.id))
        for step in steps
    ]
    last = {anomaly.id: msgspec.structs.asdict(anomaly) for anomaly in anomalies}
    events = [
        {
            "number": number,
            "anomaly_id": anomaly.id,
            "event": step.event,
            "who": step.who,
            "note": step.note,
            "anomaly": anomaly,
        }
        for number, (step, anomaly) in enumerate(zip(steps, anomalies, strict=True))
    ]
    await queries.save_anomalies(connection, anomalies=_json(list(last.values())))
    return [
        row["id"]
        async for row in queries.record_anomaly_events(connection, at=now, events=_json(events))
    ]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
