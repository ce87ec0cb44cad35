"""The anomaly readings_refused, from the counts of refusals to its end."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetmeter.anomalies.evaluation.runner import Evaluator
from fleetmeter.database.pool import connect
from fleetmeter.settings import Settings
from tests.conftest import Db, Server, migrated_database

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)
NOW = datetime.now(UTC).replace(microsecond=0)


class Place:
    """A database without a service."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.db = Db(url)

    def refuse(self, id_: str, at: datetime, code: str = "in_future", count: int = 1) -> None:
        """Note refusals as a service does."""
        noted = {
            "id": id_,
            "kind": "meter",
            "code": code,
            "count": count,
            "first_at": at.isoformat(),
            "last_at": at.isoformat(),
            "detail": f"{code} at {at:%H:%M}",
            "path": "$.timestamp",
            "example": "{}",
        }
        self.db.fetch("select note_rejections($1)", json.dumps([noted]))

    def accept(self, id_: str, at: datetime) -> None:
        """Note that a reading was accepted, as live state does."""
        number = self.db.value("select number_device('meter', $1)", id_)
        self.db.fetch(
            "insert into live_state (device, time, last_seen) values ($1, $2, $2)"
            " on conflict (device) do update set time = $2, last_seen = $2",
            number,
            at,
        )

    def look(self, at: datetime) -> None:
        """Look as the evaluation does every minute."""

        async def work() -> None:
            database = await connect(self.url, Settings())
            try:
                await Evaluator(database).look_at_clocks(at)
            finally:
                await database.close()

        asyncio.run(work())

    def found(self, id_: str) -> list[Any]:
        return self.db.fetch(
            "select * from anomalies where device_id = $1 and kind = 'readings_refused'"
            " order by id",
            id_,
        )


@pytest.fixture(scope="module")
def place(server: Server) -> Iterator[Place]:
    with migrated_database(server, jobs=False) as url:
        yield Place(url)


def test_it_opens_after_an_hour_and_ends_when_readings_are_accepted(place: Place) -> None:
    start = NOW - timedelta(hours=3)
    place.accept("M", start - MINUTE)
    for minute in range(60):
        place.refuse("M", start + minute * MINUTE, "in_future" if minute % 2 else "too_old")
    place.look(start + 60 * MINUTE)
    assert place.found("M") == []
    place.refuse("M", start + 60 * MINUTE)
    place.look(start + 60 * MINUTE)
    (found,) = place.found("M")
    assert (found["status"], found["started_at"], found["ended_at"]) == ("open", start, None)
    evidence = json.loads(found["evidence"])
    assert (evidence["code"], evidence["refused"]) == ("in_future", 61)
    assert "61 readings of M were refused in 60 minutes, none accepted" in found["summary"]
    # accepted, but not for long enough
    place.refuse("M", start + 69 * MINUTE)
    place.accept("M", start + 70 * MINUTE)
    place.look(start + 80 * MINUTE)
    assert len(place.found("M")) == 1
    assert place.found("M")[0]["ended_at"] is None
    place.look(start + 85 * MINUTE)
    (found,) = place.found("M")
    assert (found["status"], found["ended_at"]) == ("resolved", start + 69 * MINUTE)
    # the next refusal begins again
    place.refuse("M", start + 100 * MINUTE)
    row = place.db.fetch("select * from rejections where id = 'M' and code = 'in_future'")[0]
    assert (row["since"], row["count_since"]) == (start + 100 * MINUTE, 1)
    assert row["count"] == 33
    place.look(start + 101 * MINUTE)
    assert place.found("M")[0]["status"] == "resolved"


def test_an_occasional_refusal_opens_nothing(place: Place) -> None:
    start = NOW - timedelta(hours=5)
    for half_hour in range(6):
        at = start + half_hour * 30 * MINUTE
        place.refuse("rare", at)
        place.accept("rare", at + MINUTE)
        place.look(at + 2 * MINUTE)
    assert place.found("rare") == []


def test_a_device_that_reports_once_a_day_opens_with_its_second_refusal(place: Place) -> None:
    start = NOW - timedelta(hours=30)
    place.refuse("daily", start)
    place.look(start + 2 * MINUTE)
    place.refuse("daily", start + timedelta(hours=24))
    place.look(start + timedelta(hours=24, minutes=1))
    (found,) = place.found("daily")
    assert found["started_at"] == start
    place.look(start + timedelta(hours=50))
    (found,) = place.found("daily")
    assert (found["status"], found["ended_at"]) == ("resolved", start + timedelta(hours=24))


def test_an_id_that_never_fits_has_its_anomaly_and_keeps_it(place: Place) -> None:
    start = NOW - timedelta(hours=2)
    for minute in (0, 30, 61):
        place.refuse("Z\\xe4hler", start + minute * MINUTE, "invalid_id")
    place.look(start + 62 * MINUTE)
    (found,) = place.found("Z\\xe4hler")
    assert found["device_kind"] == "meter"

    async def run() -> None:
        """Run a whole evaluation, including devices that are gone."""
        database = await connect(place.url, Settings())
        try:
            await Evaluator(database).run(start + 70 * MINUTE)
        finally:
            await database.close()

    asyncio.run(run())
    assert place.found("Z\\xe4hler")[0]["status"] == "open"


def test_once_resolved_by_a_person_it_is_not_reported_again_while_it_lasts(place: Place) -> None:
    start = NOW - timedelta(hours=2)
    for minute in (0, 61):
        place.refuse("settled", start + minute * MINUTE)
    place.look(start + 62 * MINUTE)
    place.db.fetch("update anomalies set status = 'resolved' where device_id = 'settled'")
    place.refuse("settled", start + 70 * MINUTE)
    place.look(start + 71 * MINUTE)
    (found,) = place.found("settled")
    assert (found["status"], found["ended_at"]) == ("resolved", None)


def test_counts_of_long_ago_are_dropped(place: Place) -> None:
    place.refuse("old", NOW - timedelta(days=91))
    place.refuse("kept", NOW - timedelta(days=89))
    place.db.fetch("update kept_history set since = '2020-01-01'")
    for time in ("2019-12-31", "2020-01-02"):
        place.db.fetch(f"insert into arrival_stamps values (1, '{time}', now(), 0)")
    place.db.fetch("select drop_old_versions()")
    rows = place.db.fetch("select id from rejections where id in ('old', 'kept')")
    assert [row["id"] for row in rows] == ["kept"]
    assert place.db.value("select array_agg(time) from arrival_stamps where device = 1") == [
        datetime(2020, 1, 2, tzinfo=UTC)
    ]
