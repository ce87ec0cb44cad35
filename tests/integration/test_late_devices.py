"""Devices whose history changes in hours that may have been evaluated are noted, and no others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from fleetmeter.database.pool import connect
from fleetmeter.database.sql import queries
from fleetmeter.ingest.queue import Part
from fleetmeter.ingest.writer import DatabaseWriter
from fleetmeter.purge import purge
from fleetmeter.readings.model import microseconds
from fleetmeter.settings import Settings
from tests.conftest import Db, Server, migrated_database

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
KINDS = ["vehicle", "meter"]
Row = tuple[Any, ...]


class Place(NamedTuple):
    """A database that only the test changes."""

    db: Db
    engine: str
    fresh: datetime
    long_ago: datetime
    """Of an hour that may have been evaluated."""

    def send(self, *parts: Part) -> int:
        """Store as a service does that has just started; how many readings were new."""

        async def run() -> int:
            database = await connect(self.db.url, Settings())
            try:
                return sum(await DatabaseWriter(database).commit(parts))
            finally:
                await database.close()

        return asyncio.run(run())

    def ask(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run queries on a connection of the service's kind."""

        async def run() -> Any:
            connection = await asyncpg.connect(self.db.url, server_settings={"timezone": "UTC"})
            try:
                await queries.prepare_session(connection)
                return await question(connection)
            finally:
                await connection.close()

        return asyncio.run(run())

    def marks(self) -> list[Row]:
        """What is noted, by kind, device, and since when. Each waits for all hours noted so far."""
        rows = self.db.fetch("select * from late_devices order by source desc, device_id, id")
        last_hour = self.db.value("select max(id) from late_hours")
        assert {row["late_hours_until"] for row in rows} <= {last_hour}
        return [(row["source"].split("_")[0], row["device_id"], row["since"]) for row in rows]

    def ready(self, most: int = 10) -> list[Row]:
        """What may be evaluated anew."""

        async def read(connection: Any) -> list[Row]:
            rows = queries.ready_late_devices(connection, most=most)
            return [(row["device_id"], row["since"], row["ids"]) async for row in rows]

        found: list[Row] = self.ask(read)
        return found

    def forget(self) -> None:
        """As if all had been rolled up and evaluated."""
        self.db.run("truncate late_devices, late_hours")

    def roll_up(self) -> None:
        """All but the last hour."""
        if self.engine == "timescaledb":
            for rollup in ("vehicle_hourly", "meter_hourly"):
                self.db.fetch(
                    f"call refresh_continuous_aggregate('{rollup}', null, now() - interval '1 h')"
                )


@pytest.fixture
def place(server: Server) -> Iterator[Place]:
    with migrated_database(server, jobs=False) as url:
        db = Db(url)
        fresh = datetime.now(UTC).replace(microsecond=0)
        yield Place(db, server.engine, fresh, fresh.replace(minute=10, second=0) - 6 * HOUR)


def vehicles(*readings: tuple[str, datetime], kwh: int = 1, meter: str | None = None) -> list[Row]:
    return [
        (id_, microseconds(at), kwh * 1_000_000, 5000, 2000, meter, meter is not None)
        for id_, at in readings
    ]


def meters(*readings: tuple[str, datetime], kwh: int = 1) -> list[Row]:
    return [(id_, microseconds(at), kwh * 1_000_000, 230_000) for id_, at in readings]


def part(**rows: list[Row]) -> Part:
    """One request: rows by kind."""
    request = Part()
    for kind, of_kind in rows.items():
        setattr(request, kind, of_kind)
    return request


def of(kind: str, *readings: tuple[str, datetime], register: bool = False, kwh: int = 1) -> Part:
    rows = vehicles(*readings, kwh=kwh) if kind == "vehicle" else meters(*readings, kwh=kwh)
    return part(**{f"{kind}_registers" if register else f"{kind}s": rows})


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_reading_marks_nothing(place: Place, kind: str) -> None:
    assert place.send(of(kind, ("A", place.fresh - MINUTE), ("B", place.fresh))) == 2
    assert place.send(of(kind, ("A", place.fresh))) == 1
    assert place.send(of(kind, ("R", place.fresh), register=True)) == 1
    assert place.marks() == []
    assert place.db.value("select count(*) from late_hours") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_late_reading_marks_its_device(place: Place, kind: str) -> None:
    place.send(of(kind, ("A", place.fresh), ("B", place.fresh)))
    place.send(
        of(
            kind,
            ("A", place.long_ago + HOUR),
            ("A", place.long_ago),
            ("B", place.fresh - MINUTE / 2),
        )
    )
    assert place.marks() == [(kind, "A", place.long_ago)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_backlog_marks_its_devices_from_the_first_reading_on(place: Place, kind: str) -> None:
    readings = [(id_, place.long_ago + n * HOUR) for id_ in "BA" for n in range(3)]
    assert place.send(of(kind, *readings)) == 6
    assert place.marks() == [(kind, "A", place.long_ago), (kind, "B", place.long_ago)]
    place.forget()
    # newer than all that is there: it is appended
    assert place.send(of(kind, ("A", place.long_ago + 3 * HOUR), ("C", place.fresh))) == 2
    assert place.marks() == [(kind, "A", place.long_ago + 3 * HOUR)]


@pytest.mark.parametrize("register", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sent_again_marks_nothing(place: Place, kind: str, register: bool) -> None:
    sent = of(
        kind,
        ("A", place.long_ago),
        ("A", place.long_ago + HOUR),
        ("A", place.fresh),
        register=register,
    )
    assert place.send(sent) == 3
    assert place.marks() == [(kind, "A", place.long_ago)]
    place.forget()
    assert place.send(sent) == 0
    assert place.marks() == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_hour_of_the_reading_behind_a_late_one_of_a_register_is_waited_for(
    place: Place, kind: str
) -> None:
    place.send(of(kind, ("A", place.long_ago), ("A", place.long_ago + 3 * HOUR), register=True))
    place.forget()
    place.send(of(kind, ("A", place.long_ago + HOUR), register=True, kwh=1))
    assert place.marks() == [(kind, "A", place.long_ago + HOUR)]
    hours = place.db.fetch("select distinct hour from late_hours order by 1")
    at = place.long_ago.replace(minute=0)
    assert [row["hour"] for row in hours] == [at + HOUR, at + 3 * HOUR]


@pytest.mark.parametrize("register", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_correction_marks_its_device(place: Place, kind: str, register: bool) -> None:
    times = [place.long_ago, place.long_ago + HOUR, place.fresh]
    place.send(of(kind, *(("A", at) for at in times), register=register))
    place.forget()

    def correct(at: datetime) -> None:
        common = {"time": at, "energy_mwh": 2_000_000, "who": "anna", "reason": "misread"}
        if kind == "vehicle":
            values = {
                "soc_bp": 1,
                "battery_temp_cdeg": 2,
                "meter_id": None,
                "meter_declared": False,
            }
            call = queries.correct_vehicle_reading
        else:
            values = {"voltage_mv": 1}
            call = queries.correct_meter_reading
        place.ask(lambda c: call(c, **{f"{kind}_id": "A"}, **values, **common))

    correct(place.long_ago)
    assert place.marks() == [(kind, "A", place.long_ago)]
    place.forget()
    correct(place.fresh)
    assert place.marks() == []


def test_an_assignment_marks_the_vehicle_whose_readings_it_stamps(place: Place) -> None:
    days = [place.long_ago - timedelta(days=2), place.long_ago]
    place.send(
        part(
            vehicles=[
                *vehicles(("A", days[0]), meter="own"),  # it stays
                *vehicles(
                    ("A", days[0] + MINUTE), ("A", days[1]), ("A", place.fresh), ("B", days[0])
                ),
            ]
        )
    )
    place.forget()

    async def assign(connection: Any) -> int:
        since = days[0] - HOUR
        await queries.assign_meter(connection, vehicle_id="A", meter_id="M", since=since)
        changed: int = await queries.restamp_readings(connection, vehicle_id="A", since=since)
        return changed

    assert place.ask(assign) == 3
    rows = place.db.fetch("select device_id, since from late_devices order by id")
    assert [tuple(row) for row in rows] == [("A", days[0] + MINUTE), ("A", days[1])]


def test_a_purge_marks_those_whose_shares_change(place: Place) -> None:
    def store() -> None:
        place.send(
            part(
                vehicles=[
                    *vehicles(
                        ("A", place.long_ago),
                        ("A", place.fresh),
                        ("B", place.long_ago + HOUR),
                        meter="M",
                    ),
                    *vehicles(("A", place.long_ago + HOUR), meter="N"),
                    *vehicles(("C", place.long_ago)),
                ],
                meters=meters(("M", place.long_ago), ("N", place.long_ago)),
            )
        )
        place.forget()

    store()
    asyncio.run(purge(place.db.url, "vehicle", "A"))
    assert place.marks() == [("meter", "M", place.long_ago), ("meter", "N", place.long_ago + HOUR)]
    store()
    asyncio.run(purge(place.db.url, "meter", "M"))
    assert place.marks() == [
        ("vehicle", "A", place.long_ago),
        ("vehicle", "B", place.long_ago + HOUR),
    ]


def test_a_mark_is_ready_once_the_rollups_have_followed(place: Place) -> None:
    place.send(of("meter", ("M", place.long_ago), ("M", place.fresh)))
    place.forget()
    place.roll_up()
    place.send(of("meter", ("M", place.long_ago + MINUTE)))
    marked = [("M", place.long_ago + MINUTE)]
    if place.engine == "timescaledb":
        assert place.ready() == []
    else:
        assert [row[:2] for row in place.ready()] == marked
    place.db.fetch("call refresh_late_hours()")
    assert place.db.value("select count(*) from late_hours") == 0
    assert [row[:2] for row in place.ready()] == marked


def test_a_mark_of_an_hour_that_is_not_rolled_up_is_ready_at_once(place: Place) -> None:
    """It is read from history."""
    place.send(of("meter", ("M", place.long_ago)))
    place.roll_up()
    place.db.fetch("call refresh_late_hours()")
    place.forget()
    at = (
        place.fresh.replace(minute=0, second=0) - MINUTE
    )  # of the hour before, maybe not over for long
    place.db.fetch(
        "insert into late_hours (source, hour) values ('meter_readings', floor_hour($1))", at
    )
    place.db.fetch(
        "insert into late_devices (source, device_id, since, late_hours_until)"
        " select 'meter_readings', 'M', $1, max(id) from late_hours",
        at,
    )
    assert [row[:2] for row in place.ready()] == [("M", at)]


def test_a_device_that_is_often_late_does_not_keep_others_waiting(place: Place) -> None:
    for second in range(50):
        place.db.fetch(
            "insert into late_devices (source, device_id, since, late_hours_until)"
            " values ('meter_readings', 'often', $1, 0)",
            place.long_ago + timedelta(seconds=(second * 7) % 50),
        )
    for device in ("once", "again"):
        place.db.fetch(
            "insert into late_devices (source, device_id, since, late_hours_until)"
            " values ('vehicle_readings', $1, $2, 0)",
            *(device, place.long_ago),
        )
    often, once = place.ready(most=2)
    assert (often[:2], len(often[2])) == (("often", place.long_ago), 50)
    assert once[:2] == ("once", place.long_ago)
    place.ask(lambda c: queries.forget_late_devices(c, ids=often[2] + once[2]))
    assert [row[:2] for row in place.ready()] == [("again", place.long_ago)]


def test_what_a_backlog_notes_again_and_again_does_not_pile_up(place: Place) -> None:
    place.db.fetch(
        "insert into late_devices (source, device_id, since, late_hours_until)"
        " select 'meter_readings', 'M' || n % 3, $1::timestamptz - n * interval '1 second', n"
        " from generate_series(1, 20000) as n",
        place.long_ago,
    )
    assert len(place.ready()) == 3
    rows = place.db.fetch("select device_id, since, late_hours_until from late_devices order by 1")
    assert [tuple(row) for row in rows] == [
        (f"M{n % 3}", place.long_ago - timedelta(seconds=n), n) for n in (19998, 19999, 20000)
    ]


def test_writers_of_late_readings_do_not_wait_for_each_other(place: Place) -> None:
    """Though of the same devices and hours."""
    place.send(of("meter", ("A", place.fresh), ("B", place.fresh)))

    async def meanwhile() -> int:
        holder = await asyncpg.connect(place.db.url)
        try:
            async with holder.transaction():
                await queries.note_late(
                    holder,
                    source="meter_readings",
                    hours=[place.long_ago.replace(minute=0)],
                    ids=["A", "B"],
                    sinces=[place.long_ago, place.long_ago],
                )
                sent = of("meter", ("B", place.long_ago), ("A", place.long_ago))
                return await asyncio.wait_for(asyncio.to_thread(place.send, sent), timeout=5)
        finally:
            await holder.close()

    assert asyncio.run(meanwhile()) == 2
    devices = place.db.fetch("select device_id from late_devices order by 1")
    assert [row["device_id"] for row in devices] == [*"AABB"]
