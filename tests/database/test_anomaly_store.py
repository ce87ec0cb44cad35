"""Anomalies in the database: concurrent changes, and the contents of events."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.anomalies.incidents import store
from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.model import AnomalyKind, Change, Subject
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from tests.conftest import Server, migrated_database, new_uid
from tests.support.locks import until_blocked

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def url(server: Server) -> Iterator[str]:
    with migrated_database(server) as url:
        yield url


def run(url: str, work: Callable[..., Awaitable[Any]], connections: int = 1) -> Any:
    async def connected() -> Any:
        opened = [await asyncpg.connect(url) for _ in range(connections)]
        try:
            return await work(*opened)
        finally:
            for connection in opened:
                await connection.close()

    return asyncio.run(connected())


def change(kind: AnomalyKind = "standby_loss", *, ended: int | None = None) -> Change:
    return Change(
        kind=kind,
        subject=Subject("meter", f"{new_uid()}M"),
        site="A",
        at=START + HOUR,
        started_at=START,
        ended_at=None if ended is None else START + ended * HOUR,
        summary="360 W",
        evidence={"meanW": 360.5, "hours": 6, "examples": ["a", "b"], "none": None},
    )


def over(opening: Change) -> Change:
    return msgspec.structs.replace(opening, at=START + 2 * HOUR, ended_at=START + 2 * HOUR)


def test_an_event_shows_the_anomaly_as_it_stood(url: str) -> None:
    async def work(connection: Any) -> None:
        opening = change()
        ids = await store.apply(connection, [opening, over(opening)], Rulebook())
        rows = await connection.fetch("select * from anomaly_events where id = any($1)", ids)
        assert [row["id"] for row in rows] == sorted(ids)
        first, last = (msgspec.json.decode(row["anomaly"], type=Anomaly) for row in rows)
        assert (first.status, first.evidence) == ("open", opening.evidence)
        assert (last.status, last.ended_at) == ("resolved", START + 2 * HOUR)
        assert last.severity == RULES["standby_loss"].severity
        row = await connection.fetchrow("select * from anomalies where id = $1", last.id)
        assert store.anomaly_of(row) == last

    run(url, work)


def test_many_changes_are_stored_in_one_go(url: str) -> None:
    async def work(connection: Any) -> None:
        openings = [change() for _ in range(500)]
        ids = await store.apply(connection, openings, Rulebook())
        assert len(ids) == 500
        assert ids == sorted(ids)
        assert await store.apply(connection, openings, Rulebook()) == []
        assert len(await store.apply(connection, [over(c) for c in openings], Rulebook())) == 500

    run(url, work)


def test_people_and_rules_wait_for_each_other(url: str) -> None:
    """The second waits for the first, and starts from the state that it left."""

    async def work(rules: Any, person: Any) -> None:
        opening = change()
        [event] = await store.apply(rules, [opening], Rulebook())
        anomaly_id = await rules.fetchval(
            "select anomaly_id from anomaly_events where id = $1", event
        )

        async def acknowledge() -> Anomaly | None:
            async with person.transaction():
                return await store.acknowledge(person, anomaly_id, "anna", None, EVERYTHING)

        async with rules.transaction():
            [resolved] = await store.apply(rules, [over(opening)], Rulebook())
            waiting = asyncio.create_task(acknowledge())
            await until_blocked(rules)
            assert not waiting.done()
        with pytest.raises(store.AlreadyResolvedError):
            await waiting
        last = await rules.fetchval(
            "select max(id) from anomaly_events where anomaly_id = $1", anomaly_id
        )
        assert last == resolved

    run(url, work, connections=2)


@pytest.mark.parametrize("kind", RULES)
def test_late_readings_end_what_they_refute_but_nothing_that_only_arrival_shows(
    url: str, kind: AnomalyKind
) -> None:
    async def work(connection: Any) -> None:
        opening = change(kind)
        await store.apply(connection, [opening], Rulebook())
        ended = await store.reconcile(connection, [opening.subject], START, [], {}, Rulebook())
        assert bool(ended) == (not RULES[kind].is_by_arrival)

    run(url, work)


def test_the_note_of_a_person_is_kept_with_the_event(url: str) -> None:
    async def work(connection: Any) -> None:
        [event] = await store.apply(connection, [change()], Rulebook())
        anomaly_id = await connection.fetchval(
            "select anomaly_id from anomaly_events where id = $1", event
        )
        seen = await store.acknowledge(connection, anomaly_id, "anna", "on my way", EVERYTHING)
        assert seen is not None
        assert (seen.status, seen.acknowledged_by) == ("acknowledged", "anna")
        assert await store.acknowledge(connection, anomaly_id, "ben", None, EVERYTHING) == seen
        settled = await store.resolve(connection, anomaly_id, "ben", "a new cable", EVERYTHING)
        assert settled is not None
        assert (settled.status, settled.resolved_by) == ("resolved", "ben")
        assert settled.acknowledged_by == "anna"
        assert await store.resolve(connection, anomaly_id, "anna", None, EVERYTHING) == settled
        said = await connection.fetch(
            "select event, who, note from anomaly_events where anomaly_id = $1 order by id",
            anomaly_id,
        )
        assert [tuple(row) for row in said] == [
            ("opened", None, None),
            ("acknowledged", "anna", "on my way"),
            ("resolved", "ben", "a new cable"),
        ]
        assert await store.acknowledge(connection, 2**62, "anna", None, EVERYTHING) is None
        assert await store.resolve(connection, 2**62, "anna", None, EVERYTHING) is None

    run(url, work)
