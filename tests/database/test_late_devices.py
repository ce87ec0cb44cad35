"""Devices whose history changes in hours that may have been evaluated are noted, and no others.

A mark begins where the interval of a reading does: of interval energy a minute before its time, of
a register at the reading before; of one that has no interval at its own time, a microsecond before
which the hour ends that it belongs to.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from fleetmeter.database.pool import connect
from fleetmeter.database.sql import queries
from fleetmeter.devices.purge import purge
from fleetmeter.intake.door import open_door
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.settings import Settings
from tests.conftest import Db, Server, migrated_database

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)
KINDS = ["vehicle", "meter"]
Row = tuple[Any, ...]


class Place(NamedTuple):
    """A database that only the test changes."""

    db: Db
    engine: str
    fresh: datetime
    long_ago: datetime
    """A time in an hour that may have been evaluated."""

    def send(self, readings: list[Telemetry]) -> int:
        """Store readings like a service that has just started; return how many were new."""

        async def run() -> int:
            one_at_a_time = Settings(writers=1)
            database = await connect(self.db.url, one_at_a_time)
            try:
                async with open_door(database, one_at_a_time) as door:
                    outcome = await door.store(readings)
                    assert outcome.rejected == []
                    return outcome.accepted
            finally:
                await database.close()

        return asyncio.run(run())

    def ask(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run queries on a connection like the service's."""

        async def run() -> Any:
            connection = await asyncpg.connect(self.db.url, server_settings={"timezone": "UTC"})
            try:
                await queries.prepare_session(connection)
                return await question(connection)
            finally:
                await connection.close()

        return asyncio.run(run())

    def marks(self) -> list[Row]:
        """Return the marks as (kind, device, since). Each waits for all hours noted so far."""
        rows = self.db.fetch(
            "select d.kind, d.id, l.since, l.late_hours_until"
            " from late_devices as l join devices as d on d.device = l.device"
            " order by d.kind desc, d.id, l.id"
        )
        last_hour = self.db.value("select max(id) from late_hours")
        assert {row["late_hours_until"] for row in rows} <= {last_hour}
        return [tuple(row)[:3] for row in rows]

    def ready(self, most: int = 10) -> list[Row]:
        """Return the marks that may be evaluated again."""

        async def read(connection: Any) -> list[Row]:
            rows = queries.ready_late_devices(connection, most=most)
            return [(row["device_id"], row["since"], row["ids"]) async for row in rows]

        found: list[Row] = self.ask(read)
        return found

    def forget(self) -> None:
        """Remove all marks, as if everything had been rolled up and evaluated."""
        self.db.run("truncate late_devices, late_hours")

    def note(self, kind: str, device: str, since: datetime) -> None:
        """Note a device, which waits for no hour."""
        self.db.fetch(
            "insert into late_devices (device, since, late_hours_until)"
            " values (number_device($1, $2), $3, 0)",
            *(kind, device, since),
        )

    def roll_up(self) -> None:
        """Roll up all but the last hour."""
        if self.engine == "timescaledb":
            for rollup in ("quarter_hourly", "hourly"):
                self.db.fetch(
                    f"call refresh_continuous_aggregate('{rollup}', null, now() - interval '1 h')"
                )


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Db]:
    """A database for the tests of this module, one after the other."""
    with migrated_database(server, jobs=False) as url:
        yield Db(url)


@pytest.fixture
def place(server: Server, shared: Db) -> Place:
    """The shared database, without what the previous test left."""
    shared.run(
        """
        truncate devices, readings, spread_energy, live_state, replaced_readings,
            assignments, replaced_assignments, meter_vehicles, late_hours, late_devices,
            register_events;
        """
    )
    return on(shared, server)


@pytest.fixture
def rolling(server: Server) -> Iterator[Place]:
    """A database of the test's own: what is rolled up stays so."""
    with migrated_database(server, jobs=False) as url:
        yield on(Db(url), server)


def on(db: Db, server: Server) -> Place:
    fresh = datetime.now(UTC).replace(microsecond=0)
    return Place(db, server.engine, fresh, fresh.replace(minute=10, second=0) - 6 * HOUR)


def of(
    kind: str,
    *readings: tuple[str, datetime],
    register: bool = False,
    kwh: int = 1,
    meter: str | None = None,
) -> list[Telemetry]:
    """Return readings of devices of one kind; a vehicle's may name its meter."""
    total = "_total" if register else ""
    return [
        Telemetry(
            vehicle_id=id_,
            meter_id=meter,
            timestamp=at,
            soc=50.0,
            battery_temp=20.0,
            **{f"kwh_delivered_dc{total}": float(kwh)},
        )
        if kind == "vehicle"
        else Telemetry(
            meter_id=id_, timestamp=at, voltage=230.0, **{f"kwh_consumed_ac{total}": float(kwh)}
        )
        for id_, at in readings
    ]


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
    assert place.marks() == [(kind, "A", place.long_ago - MINUTE)]


@pytest.mark.either
@pytest.mark.parametrize("kind", KINDS)
def test_a_backlog_marks_its_devices_from_the_first_reading_on(place: Place, kind: str) -> None:
    readings = [(id_, place.long_ago + n * HOUR) for id_ in "BA" for n in range(3)]
    assert place.send(of(kind, *readings)) == 6
    begins = place.long_ago - MINUTE
    assert place.marks() == [(kind, "A", begins), (kind, "B", begins)]
    place.forget()
    # newer than all that is there: it is appended
    assert place.send(of(kind, ("A", place.long_ago + 3 * HOUR), ("C", place.fresh))) == 2
    assert place.marks() == [(kind, "A", begins + 3 * HOUR)]


@pytest.mark.either
@pytest.mark.parametrize("kind", KINDS)
def test_a_reading_after_a_gap_marks_its_device_from_where_its_interval_begins(
    place: Place, kind: str
) -> None:
    """This holds for appended readings too: a register adds energy to hours that are over."""
    assert place.send(of(kind, ("R", place.long_ago), register=True)) == 1
    place.forget()
    assert place.send(of(kind, ("R", place.fresh), register=True)) == 1
    assert place.marks() == [(kind, "R", place.long_ago)]
    place.forget()
    own = of(kind, ("I", place.fresh))
    own[0].interval_start = place.long_ago
    assert place.send(own) == 1
    assert place.marks() == [(kind, "I", place.long_ago)]


@pytest.mark.either
@pytest.mark.parametrize("kind", KINDS)
def test_a_reading_on_the_hour_marks_the_hour_before(place: Place, kind: str) -> None:
    hour = place.long_ago.replace(minute=0)
    place.send(of(kind, ("R", hour), register=True))
    assert place.marks() == [(kind, "R", hour - MICROSECOND)]
    assert place.db.value("select hour from late_hours") == hour - HOUR


@pytest.mark.either
@pytest.mark.parametrize("register", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_resent_reading_marks_nothing(place: Place, kind: str, register: bool) -> None:
    sent = of(
        kind,
        ("A", place.long_ago),
        ("A", place.long_ago + HOUR),
        ("A", place.fresh),
        register=register,
    )
    assert place.send(sent[:2]) == 2
    begins = place.long_ago - (MICROSECOND if register else MINUTE)
    assert place.marks() == [(kind, "A", begins)]
    place.forget()
    assert place.send(sent) == 1
    # a register's energy came since the reading before
    assert place.marks() == ([(kind, "A", place.long_ago + HOUR)] if register else [])
    place.forget()
    assert place.send(sent) == 0
    assert place.marks() == []


@pytest.mark.either
@pytest.mark.parametrize("kind", KINDS)
def test_a_late_register_reading_also_waits_for_the_hours_of_the_next_one(
    place: Place, kind: str
) -> None:
    place.send(of(kind, ("A", place.long_ago), ("A", place.long_ago + 3 * HOUR), register=True))
    place.forget()
    place.send(of(kind, ("A", place.long_ago + HOUR), register=True, kwh=1))
    # of the interval that it splits, every hour may have had a part
    assert place.marks() == [(kind, "A", place.long_ago)]
    hours = place.db.fetch("select distinct hour from late_hours order by 1")
    at = place.long_ago.replace(minute=0)
    assert [row["hour"] for row in hours] == [at, at + HOUR, at + 2 * HOUR, at + 3 * HOUR]


@pytest.mark.either
def test_a_mark_begins_with_the_interval_of_the_next_reading(place: Place) -> None:
    """A register's first reading has no interval until there is one before it."""
    opening = of("meter", ("A", place.long_ago + 3 * HOUR), register=True)
    opening[0].interval_start = place.long_ago
    place.send([*opening, *of("meter", ("A", place.fresh), register=True)])
    place.forget()
    place.send(of("meter", ("A", place.long_ago + 2 * HOUR), register=True, kwh=0))
    assert place.marks() == [("meter", "A", place.long_ago)]


@pytest.mark.either
@pytest.mark.parametrize("register", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_correction_marks_its_device(place: Place, kind: str, register: bool) -> None:
    times = [place.long_ago, place.long_ago + HOUR, place.fresh]
    place.send(of(kind, *(("A", at) for at in times), register=register))
    place.forget()

    def correct(at: datetime) -> None:
        values = '{"%s": 2000000}' % ("register_mwh" if register else "energy_mwh")
        place.ask(
            lambda connection: queries.correct_reading(
                connection,
                kind=kind,
                device_id="A",
                time=at,
                values=values,
                who="anna",
                reason="misread",
            )
        )

    correct(place.long_ago)
    begins = place.long_ago - (MICROSECOND if register else MINUTE)
    assert place.marks() == [(kind, "A", begins)]
    place.forget()
    correct(place.fresh)
    # a register's energy came since the reading before
    assert place.marks() == ([(kind, "A", place.long_ago + HOUR)] if register else [])


@pytest.mark.either
def test_an_assignment_marks_the_vehicle_whose_readings_it_stamps(place: Place) -> None:
    days = [place.long_ago - timedelta(days=2), place.long_ago]
    place.send(
        [
            *of("vehicle", ("A", days[0]), meter="own"),  # it stays
            *of(
                "vehicle",
                *(("A", at) for at in (days[0] + MINUTE, days[1], place.fresh)),
                ("B", days[0]),
            ),
        ]
    )
    place.forget()

    async def assign(connection: Any) -> int:
        since = days[0] - HOUR
        row = await queries.assign_meter(connection, vehicle_id="A", meter_id="M", since=since)
        changed: int = await queries.restamp_readings(
            connection, vehicle=row["vehicle"], since=since
        )
        return changed

    assert place.ask(assign) == 3
    rows = place.db.fetch(
        "select d.id, l.since from late_devices as l join devices as d on d.device = l.device"
        " order by l.id"
    )
    assert [tuple(row) for row in rows] == [("A", days[0]), ("A", days[1] - MINUTE)]


@pytest.mark.either
def test_a_purge_marks_those_whose_shares_change(place: Place) -> None:
    def store() -> None:
        place.send(
            [
                *of(
                    "vehicle",
                    *(("A", place.long_ago), ("A", place.fresh), ("B", place.long_ago + HOUR)),
                    meter="M",
                ),
                *of("vehicle", ("A", place.long_ago + HOUR), meter="N"),
                *of("vehicle", ("C", place.long_ago)),
                *of("meter", ("M", place.long_ago), ("N", place.long_ago)),
            ]
        )
        place.forget()

    hour = place.long_ago.replace(minute=0)
    store()
    asyncio.run(purge(place.db.url, "vehicle", "A"))
    assert place.marks() == [("meter", "M", hour), ("meter", "N", hour + HOUR)]
    store()
    asyncio.run(purge(place.db.url, "meter", "M"))
    assert place.marks() == [("vehicle", "A", hour), ("vehicle", "B", hour + HOUR)]


def test_a_mark_is_ready_once_the_rollups_have_followed(rolling: Place) -> None:
    rolling.send(of("meter", *(("M", rolling.long_ago + n * HOUR) for n in range(2))))
    rolling.forget()
    rolling.roll_up()
    rolling.send(of("meter", ("M", rolling.long_ago + MINUTE)))
    marked = [("M", rolling.long_ago)]
    if rolling.engine == "timescaledb":
        assert rolling.ready() == []
    else:
        assert [row[:2] for row in rolling.ready()] == marked
    rolling.db.fetch("call refresh_late_hours()")
    assert rolling.db.value("select count(*) from late_hours") == 0
    assert [row[:2] for row in rolling.ready()] == marked


def test_a_mark_of_an_hour_that_is_not_rolled_up_is_ready_at_once(rolling: Place) -> None:
    """Such an hour is read from history."""
    rolling.send(of("meter", ("M", rolling.long_ago)))
    rolling.roll_up()
    rolling.db.fetch("call refresh_late_hours()")
    rolling.forget()
    at = (
        rolling.fresh.replace(minute=0, second=0) - MINUTE
    )  # of the hour before, maybe not over for long
    rolling.db.fetch("insert into late_hours (hour) values (floor_hour($1))", at)
    rolling.db.fetch(
        "insert into late_devices (device, since, late_hours_until)"
        " select device_of('meter', 'M'), $1, max(id) from late_hours",
        at,
    )
    assert [row[:2] for row in rolling.ready()] == [("M", at)]


@pytest.mark.either
def test_a_device_that_is_often_late_does_not_keep_others_waiting(place: Place) -> None:
    for second in range(50):
        place.note("meter", "often", place.long_ago + timedelta(seconds=(second * 7) % 50))
    for device in ("once", "again"):
        place.note("vehicle", device, place.long_ago)
    often, once = place.ready(most=2)
    assert (often[:2], len(often[2])) == (("often", place.long_ago), 50)
    assert once[:2] == ("once", place.long_ago)
    place.ask(lambda c: queries.forget_late_devices(c, ids=often[2] + once[2]))
    assert [row[:2] for row in place.ready()] == [("again", place.long_ago)]


@pytest.mark.either
def test_repeated_marks_of_a_backlog_do_not_pile_up(place: Place) -> None:
    place.db.fetch(
        "insert into late_devices (device, since, late_hours_until)"
        " select number_device('meter', 'M' || n % 3), $1::timestamptz - n * interval '1 second', n"
        " from generate_series(1, 20000) as n",
        place.long_ago,
    )
    assert len(place.ready()) == 3
    rows = place.db.fetch(
        "select d.id, l.since, l.late_hours_until"
        " from late_devices as l join devices as d on d.device = l.device order by 1"
    )
    assert [tuple(row) for row in rows] == [
        (f"M{n % 3}", place.long_ago - timedelta(seconds=n), n) for n in (19998, 19999, 20000)
    ]


@pytest.mark.either
def test_writers_of_late_readings_do_not_wait_for_each_other(place: Place) -> None:
    """They do not wait even for the same devices and hours."""
    place.send(of("meter", ("A", place.fresh), ("B", place.fresh)))

    async def meanwhile() -> int:
        holder = await asyncpg.connect(place.db.url)
        devices = await holder.fetchval("select devices_of('meter', '{A,B}')")
        try:
            async with holder.transaction():
                times = [place.long_ago, place.long_ago]
                await holder.fetch("select note_late($1, $2, $2)", devices, times)
                sent = of("meter", ("B", place.long_ago), ("A", place.long_ago))
                return await asyncio.wait_for(asyncio.to_thread(place.send, sent), timeout=5)
        finally:
            await holder.close()

    assert asyncio.run(meanwhile()) == 2
    devices = place.db.fetch(
        "select d.id from late_devices as l join devices as d on d.device = l.device order by 1"
    )
    assert [row["id"] for row in devices] == [*"AABB"]
