"""Whatever rules, people and late readings do: one anomaly at a time, and events record everything.

The same random lives are led by the pure functions and by the database.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple, cast

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.anomalies.incidents import lifecycle, store
from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.incidents.lifecycle import AlreadyResolvedError, Key, Step, Terms, key_of
from fleetmeter.anomalies.incidents.reconcile import reconciled
from fleetmeter.anomalies.model import AnomalyKind, Change, Subject
from fleetmeter.anomalies.rules.shared.state import Condition, DeviceState
from fleetmeter.anomalies.thresholds.rulebook import Override, Rulebook
from fleetmeter.database.queries import AnomaliesRow
from tests.conftest import EXAMPLES, Server, migrated_database, new_uid

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
REOPEN_H = 24
TERMS = Terms("warning", REOPEN_H * HOUR)
KINDS: tuple[AnomalyKind, ...] = ("battery_hot", "efficiency_low")


class Told(NamedTuple):
    """An event, as it was recorded."""

    event: str
    anomaly: Anomaly
    who: str | None


class Lives(RuleBasedStateMachine):
    """A state machine of what is really wrong, beside what is reported."""

    def __init__(self) -> None:
        super().__init__()
        uid = new_uid()
        subjects = [Subject("vehicle", f"{uid}V1"), Subject("vehicle", f"{uid}V2")]
        self.keys = [Key(kind, subject) for kind in KINDS for subject in subjects]
        self.subjects = subjects
        self.now = T0
        self.history: dict[Key, list[Change]] = {key: [] for key in self.keys}
        self.settled: set[Key] = set()
        """Anomalies that a person resolved while they last."""
        self.rewritten: set[Key] = set()
        """Keys whose history late readings have changed."""

    # what the pure functions and the database do each in their way

    def apply(self, changes: Sequence[Change]) -> None:
        """Apply changes that rules found."""
        raise NotImplementedError

    def act(self, action: str, anomaly_id: int, who: str) -> None:
        """A person acknowledges or resolves."""
        raise NotImplementedError

    def reconcile(self, key: Key, changes: list[Change], since: datetime, wrong: bool) -> None:
        """Reconcile with hours that were evaluated again, and whether something is wrong now."""
        raise NotImplementedError

    def rows(self) -> list[Anomaly]:
        """Return all anomalies."""
        raise NotImplementedError

    def told(self) -> list[Told]:
        """Return all events, in order."""
        raise NotImplementedError

    # what happens

    def is_wrong(self, key: Key) -> bool:
        return bool(self.history[key]) and self.history[key][-1].ended_at is None

    def lasting(self, key: Key) -> Anomaly | None:
        found = [a for a in self.rows() if key_of(a) == key and a.ended_at is None]
        assert len(found) <= 1
        return found[0] if found else None

    @rule(hours=st.integers(1, 40))
    def time_passes(self, hours: int) -> None:
        self.now += hours * HOUR

    @rule(number=st.integers(0, 3))
    def turns(self, number: int) -> None:
        """A rule finds that something is wrong, or that it is over."""
        key = self.keys[number]
        self.now += HOUR
        rows = [a for a in self.rows() if key_of(a) == key]
        if self.is_wrong(key):
            change = closing(self.history[key][-1], self.now)
        else:
            change = opening(key, self.now - HOUR, self.now)
        self.history[key].append(change)
        self.apply([change])
        told = len(self.told())
        self.apply([change])
        assert len(self.told()) == told, "said twice, it is the same"
        if change.ended_at is not None:
            self.settled.discard(key)
            return
        new = len([a for a in self.rows() if key_of(a) == key]) - len(rows)
        ends = [a.ended_at for a in rows if a.ended_at is not None]
        flaps = bool(ends) and change.started_at - max(ends) < REOPEN_H * HOUR
        assert new == (0 if flaps else 1), "what flaps is reopened, anything else is new"

    @rule(number=st.integers(0, 3))
    def lasts(self, number: int) -> None:
        """Reported again, even after a person resolved it, it is the same anomaly."""
        if self.is_wrong(self.keys[number]):
            told = len(self.told())
            self.apply(self.history[self.keys[number]][-1:])
            assert len(self.told()) == told

    @rule(number=st.integers(0, 3), hours=st.integers(1, 30))
    def flaps(self, number: int, hours: int) -> None:
        """All changes of some hours come at once, as after a pause."""
        key = self.keys[number]
        changes = []
        last = self.history[key][-1] if self.is_wrong(key) else None
        for _ in range(3):
            self.now += hours * HOUR
            last = closing(last, self.now) if last else opening(key, self.now - HOUR, self.now)
            changes.append(last)
            last = last if last.ended_at is None else None
        self.history[key] += changes
        self.apply(changes)
        self.settled.discard(key)

    @precondition(lambda self: self.rows())
    @rule(number=st.integers(0, 99), action=st.sampled_from(["acknowledge", "resolve"]))
    def a_person_acts(self, number: int, action: str) -> None:
        rows = self.rows()
        before = rows[number % len(rows)]
        told = len(self.told())
        try:
            self.act(action, before.id, "anna")
        except AlreadyResolvedError:
            assert (action, before.status) == ("acknowledge", "resolved")
        after = next(a for a in self.rows() if a.id == before.id)
        changes = before.status == "open" or (action == "resolve" and before.status != "resolved")
        if not changes:
            assert after == before
        elif action == "acknowledge":
            assert (after.status, after.acknowledged_by) == ("acknowledged", "anna")
        else:
            assert (after.status, after.resolved_by) == ("resolved", "anna")
            self.settled.add(key_of(before))
        assert len(self.told()) == told + changes

    @rule(
        number=st.integers(0, 3),
        back=st.integers(1, 60),
        turns=st.lists(st.integers(1, 30), max_size=6),
        held=st.booleans(),
    )
    def late_readings_come(self, number: int, back: int, turns: list[int], held: bool) -> None:
        """Another history of one key; with `held`, it does not say that an open anomaly is over."""
        key = self.keys[number]
        since = self.now - back * HOUR
        at = since - 10 * HOUR
        changes: list[Change] = []
        for hours in turns:
            at += hours * HOUR
            if at > self.now:
                break
            is_wrong = bool(changes) and changes[-1].ended_at is None
            changes.append(closing(changes[-1], at) if is_wrong else opening(key, at, at))
        self.rewritten.add(key)
        before = self.history[key][-1:]
        was = self.lasting(key)
        lasts = bool(changes) and changes[-1].ended_at is None
        held = held and was is not None and not lasts
        self.reconcile(key, changes, since, lasts or held)
        now = self.lasting(key)
        assert (now is not None) == (lasts or held)
        if held:
            assert now == was
        if was is not None and was.status == "resolved" and now is not None:
            assert (now.status, now.resolved_by) == ("resolved", "anna")  # while it lasts
        told = len(self.told())
        self.reconcile(key, changes, since, lasts or held)
        # the same again changes nothing, but perhaps which of two that overlap it is about
        assert {told.event for told in self.told()[told:]} <= {"updated"}
        self.history[key] = changes + before if held else changes
        self.settled.discard(key)
        if now is not None and now.status == "resolved":
            self.settled.add(key)

    @rule(number=st.integers(0, 3), back=st.integers(1, 100))
    def late_readings_change_nothing(self, number: int, back: int) -> None:
        key = self.keys[number]
        if key not in self.rewritten:
            told = len(self.told())
            since = self.now - back * HOUR
            self.reconcile(key, self.history[key], since, self.is_wrong(key))
            assert len(self.told()) == told

    # what holds all the while

    @invariant()
    def one_at_a_time(self) -> None:
        for key in self.keys:
            rows = [a for a in self.rows() if key_of(a) == key]
            assert len([a for a in rows if a.status != "resolved"]) <= 1
            assert len([a for a in rows if a.ended_at is None]) <= 1

    @invariant()
    def what_is_wrong_is_said_unless_a_person_has_settled_it(self) -> None:
        for key in self.keys:
            lasting = self.lasting(key)
            assert (lasting is not None) == self.is_wrong(key)
            if lasting is not None:
                assert (lasting.status == "resolved") == (key in self.settled)

    @invariant()
    def the_events_tell_the_whole_story(self) -> None:
        stories: dict[int, list[Told]] = {}
        for told in self.told():
            stories.setdefault(told.anomaly.id, []).append(told)
        rows = {a.id: a for a in self.rows()}
        assert stories.keys() == rows.keys()
        for id_, story in stories.items():
            assert story[0].event == "opened"
            assert story[-1].anomaly == rows[id_]
            for before, after in pairwise(story):
                follows(before.anomaly, after)


def follows(before: Anomaly, told: Told) -> None:
    """Check what each event may do."""
    after = told.anomaly
    assert (after.id, after.kind, after.device_id) == (before.id, before.kind, before.device_id)
    assert after.opened_at == before.opened_at
    match told.event:
        case "acknowledged":
            assert (before.status, after.status) == ("open", "acknowledged")
            assert after.acknowledged_by == told.who
        case "resolved":
            assert before.status != "resolved"
            assert after.status == "resolved"
            assert after.resolved_by == told.who
            assert (after.ended_at is None) == (told.who is not None)
            assert after.acknowledged_by == before.acknowledged_by
        case "reopened":
            assert (before.status, after.status) == ("resolved", "open")
            assert before.ended_at is not None
            assert after.reopened == before.reopened + 1
            assert after.acknowledged_by is None
        case "updated":
            assert after.status == before.status
            assert after.acknowledged_by == before.acknowledged_by
            assert after.resolved_by == before.resolved_by
        case _:
            pytest.fail(f"{told.event} follows {before.status}")


def opening(key: Key, started_at: datetime, at: datetime) -> Change:
    return Change(
        kind=key.kind,
        subject=key.subject,
        site="A",
        at=at,
        started_at=started_at,
        ended_at=None,
        summary=f"{key.kind} since {started_at:%H:%M}",
        evidence={"hours": 1.5, "since": started_at.isoformat()},
    )


def closing(opening: Change, at: datetime) -> Change:
    return msgspec.structs.replace(opening, at=at, ended_at=at, summary="it is over")


class PureLives(Lives):
    """The state machine on the pure functions alone."""

    def __init__(self) -> None:
        super().__init__()
        self.anomalies: dict[int, Anomaly] = {}
        self.events: list[Told] = []

    def record(self, steps: Sequence[Step]) -> None:
        ids: dict[int, int] = {}
        for step in steps:
            id_ = step.anomaly.id
            if id_ < 0:
                id_ = ids.setdefault(id_, len(self.anomalies) + 1)
            anomaly = msgspec.structs.replace(step.anomaly, id=id_)
            self.anomalies[id_] = anomaly
            self.events.append(Told(step.event, anomaly, step.who))

    def apply(self, changes: Sequence[Change]) -> None:
        current: dict[Key, Anomaly] = {}
        for anomaly in self.anomalies.values():
            last = current.get(key_of(anomaly))
            if last is None or ended(anomaly) > ended(last):
                current[key_of(anomaly)] = anomaly
        self.record(lifecycle.steps_of(changes, current.values(), lambda change: TERMS, self.now))

    def act(self, action: str, anomaly_id: int, who: str) -> None:
        act = lifecycle.acknowledged if action == "acknowledge" else lifecycle.resolved
        step = act(self.anomalies[anomaly_id], who, None, self.now)
        self.record([step] if step else [])

    def reconcile(self, key: Key, changes: list[Change], since: datetime, wrong: bool) -> None:
        rows = [anomaly for anomaly in self.anomalies.values() if key_of(anomaly) == key]
        self.record(
            reconciled(rows, changes, since, lambda key: wrong, lambda change: TERMS, self.now)
        )

    def rows(self) -> list[Anomaly]:
        return list(self.anomalies.values())

    def told(self) -> list[Told]:
        return self.events


def ended(anomaly: Anomaly) -> datetime:
    return anomaly.ended_at or datetime.max.replace(tzinfo=UTC)


class StoredLives(Lives):
    """The state machine on the database."""

    url: str
    rulebook = Rulebook(
        [Override(kind, "fleet", "", {"reopenWithinH": REOPEN_H}) for kind in KINDS]
    )

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.connection = self.runner.run(asyncpg.connect(self.url))

    def teardown(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.close()

    def in_transaction(self, work: Any, *args: Any) -> Any:
        async def run() -> Any:
            async with self.connection.transaction():
                return await work(self.connection, *args)

        return self.runner.run(run())

    def apply(self, changes: Sequence[Change]) -> None:
        self.in_transaction(store.apply, changes, self.rulebook)

    def act(self, action: str, anomaly_id: int, who: str) -> None:
        act = store.acknowledge if action == "acknowledge" else store.resolve
        after = self.in_transaction(act, anomaly_id, who, None, EVERYTHING)
        assert after in self.rows()

    def reconcile(self, key: Key, changes: list[Change], since: datetime, wrong: bool) -> None:
        others = {a.kind for a in self.rows() if a.ended_at is None} - {key.kind}
        conditions = {key.kind: Condition(open=wrong)} | {
            kind: Condition(open=True) for kind in others
        }
        states = {key.subject: DeviceState(conditions=conditions)}
        self.in_transaction(store.reconcile, [key.subject], since, changes, states, self.rulebook)

    def rows(self) -> list[Anomaly]:
        sql = "select * from anomalies where device_id = any($1) order by id"
        ids = [subject.device_id for subject in self.subjects]
        rows = self.runner.run(self.connection.fetch(sql, ids))
        return [store.anomaly_of(cast(AnomaliesRow, row)) for row in rows]

    def told(self) -> list[Told]:
        sql = (
            "select e.event, e.anomaly, e.who from anomaly_events as e"
            " join anomalies as a on a.id = e.anomaly_id"
            " where a.device_id = any($1) order by e.id"
        )
        ids = [subject.device_id for subject in self.subjects]
        return [
            Told(event, msgspec.json.decode(anomaly, type=Anomaly), who)
            for event, anomaly, who in self.runner.run(self.connection.fetch(sql, ids))
        ]


def test_pure_functions_keep_the_life_cycle_of_anomalies() -> None:
    run_state_machine_as_test(PureLives, settings=settings(max_examples=60 * EXAMPLES))


@pytest.fixture(scope="module")
def url(server: Server) -> Iterator[str]:
    """A database without a service, which would resolve anomalies of devices that do not exist."""
    with migrated_database(server) as url:
        yield url


def test_the_database_keeps_the_life_cycle_of_anomalies(url: str) -> None:
    class Here(StoredLives):
        pass

    Here.url = url
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=5 * EXAMPLES,
            stateful_step_count=25,
            suppress_health_check=list(HealthCheck),
        ),
    )
