"""Rules get what is stored, whether it is read from history or from rollups."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import asyncpg
import pytest

from fleetmeter.database.sql import queries
from tests.conftest import Db, Server, migrated_database
from tests.support.plans import scans

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
HOURS = 8
"""Length of the history, which has gaps."""

SHARED = {"M0": ["V0"], "M1": ["V1", "V2", "V3"], "M2": ["V3", "V4"], "M3": []}
"""Who charges where; V3 goes from one to the other, and V5 at none."""

Row = tuple[Any, ...]
Ids = list[str] | None


class Place(NamedTuple):
    """A fleet's history of some hours, and nothing in the background."""

    db: Db
    engine: str
    end: datetime
    """The end of the last whole hour."""

    @property
    def begin(self) -> datetime:
        return self.end - HOURS * HOUR

    def ask(self, query: Callable[..., Any], **parameters: Any) -> list[asyncpg.Record]:
        """Return the rows of one of the service's queries."""

        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.db.url, server_settings={"timezone": "UTC"})
            try:
                return [row async for row in query(connection, **parameters)]
            finally:
                await connection.close()

        return asyncio.run(run())

    def one(self, query: Callable[..., Any], **parameters: Any) -> Any:
        """Return the answer of a query that returns one row or value."""

        async def run() -> Any:
            connection = await asyncpg.connect(self.db.url, server_settings={"timezone": "UTC"})
            try:
                return await query(connection, **parameters)
            finally:
                await connection.close()

        return asyncio.run(run())

    def observed(self, vehicles: Ids, meters: Ids, start: datetime, end: datetime) -> list[Row]:
        rows = self.ask(
            queries.observed_hours, vehicle_ids=vehicles, meter_ids=meters, start=start, end=end
        )
        return in_order(rows)

    def of_history(self) -> list[Row]:
        """Return all slices, reading by reading, except those of meters that sent nothing."""
        rows = self.db.fetch(
            "select v.id, m.id, e.* from accounting as a"
            " cross join lateral energy_slices(array(select device from live_state),"
            " $1, $2, interval '1 hour', a.least_match, '-infinity') as e"
            " left join devices as v on v.device = e.vehicle"
            " left join devices as m on m.device = e.meter",
            *(self.begin, self.end),
        )
        assert list(rows[0].keys())[2:12] == [
            *("bucket", "vehicle", "meter", "dc_mwh", "ac_mwh", "comparable"),
            *("is_common", "covered_dc_ms", "covered_ac_ms", "charging_ms"),
        ]
        return in_order(
            [
                (row["bucket"], *row[:2], *row[5:8], row[9] // 1000, row[10] / 1000, *row[12:])
                for row in rows
                if row["vehicle"] or row["ac_mwh"] is not None
            ]
        )

    def roll_up(self, until: datetime) -> None:
        """Roll up history, so that older readings are no longer read; PostgreSQL drops them."""
        if self.engine == "timescaledb":
            for rollup in ("quarter_hourly", "hourly"):
                # a bucket ends a microsecond after what it is called
                self.db.fetch(
                    f"call refresh_continuous_aggregate('{rollup}', null, $1::timestamptz)",
                    until + MINUTE,
                )
            assert self.db.value("select rolled_up_until()") == until
        else:
            self.db.fetch("select drop_history_before($1)", until)


def in_order(rows: Sequence[Row | asyncpg.Record]) -> list[Row]:
    """Sort rows, which come in no order."""
    return sorted(map(tuple, rows), key=lambda row: (row[0], row[1] or "", row[2] or ""))


@pytest.fixture(params=range(2))
def place(request: pytest.FixtureRequest, server: Server) -> Iterator[Place]:
    """A database of the test's own, which it may change."""
    with filled(server, request.param) as place:
        yield place


@pytest.fixture(scope="module")
def untouched(server: Server) -> Iterator[Place]:
    """A database shared by the tests that change nothing."""
    with filled(server, 0) as place:
        yield place


@contextmanager
def filled(server: Server, seed: int) -> Iterator[Place]:
    """Create a database with random readings of some hours."""
    with migrated_database(server, jobs=False) as url:
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        random = Random(seed)  # noqa: S311 - the same each time, and nothing secret
        asyncio.run(fill(url, random, end - HOURS * HOUR, end))
        yield Place(Db(url), server.engine, end)


async def fill(url: str, random: Random, begin: datetime, end: datetime) -> None:
    """Readings with gaps, some on the hour; some devices send registers, which spread the energy
    of a gap over its quarter hours, and some report less often."""
    connection = await asyncpg.connect(url)
    numbers = {f"V{number}": 20 - number for number in range(6)} | {
        f"M{number}": 40 - number for number in range(4)
    }
    kinds = {"V": "vehicle", "M": "meter"}
    await connection.executemany(
        "insert into devices (device, kind, id) overriding system value values ($1, $2, $3)",
        [(device, kinds[id_[0]], id_) for id_, device in numbers.items()],
    )
    vehicles, meters = [], []
    for number in range(6):
        id_ = f"V{number}"
        homes: list[int | None] = [numbers[m] for m, there in SHARED.items() if id_ in there]
        homes = homes or [None]
        for at, *energy in readings(random, begin, end, register=number == 2):
            soc, temp = random.randrange(10_000), random.randrange(-2000, 5000)
            home = homes[at.hour % len(homes)]
            vehicles.append((numbers[id_], at, *energy, home, soc, temp))
    for number in range(4):
        for at, *energy in readings(random, begin, end, register=number == 1):
            voltage = random.randrange(200_000, 250_000)
            meters.append((numbers[f"M{number}"], at, *energy, voltage))
    common = ("device", "time", "energy_mwh", "register_mwh", "span_ms")
    for rows, columns in (
        (vehicles, ("meter", "soc_bp", "battery_temp_cdeg")),
        (meters, ("voltage_mv",)),
    ):
        await connection.copy_records_to_table(
            "readings", records=rows, columns=[*common, *columns]
        )
    pairs = [
        (numbers[meter], numbers[vehicle]) for meter, there in SHARED.items() for vehicle in there
    ]
    await connection.copy_records_to_table("meter_vehicles", records=pairs)
    for statement in (*SPREAD, *LIVE):
        await connection.execute(statement)
    await connection.close()


def readings(random: Random, begin: datetime, end: datetime, *, register: bool) -> Iterator[Row]:
    """Yield readings of one device as (time, energy_mwh, register_mwh, span_ms)."""
    total, before, at = 0, None, begin + MINUTE
    while at <= end:
        energy = random.choice([0, random.randrange(300_000)])
        total += energy
        gap = None if before is None else at - before
        span = gap if register else min(MINUTE, gap or MINUTE)
        if span is None:
            energy = 0
        span_ms = None if span is None else span // timedelta(milliseconds=1)
        yield at, energy, total if register else None, span_ms
        before = at
        minutes = random.choice([1] * 30 + [7, 130 if register else 90])
        at += timedelta(minutes=minutes, seconds=random.randrange(3))
        if at.minute == 0 and random.randrange(2):
            at = at.replace(second=0)


SPREAD = (
    "update readings set spread = is_spread(time, span_ms, null)",
    "select put_pieces(array_agg(device), array_agg(time)) from readings where spread",
)
LIVE = (
    "insert into live_state (device, time, energy_mwh, last_seen)"
    " select device, max(time), 0, max(time) from readings group by 1",
    "update live_state set removed_at = now() where device = device_of('vehicle', 'V4')",
    "update devices set site = 'north', reporting_interval_s = 120, battery_capacity_wh = 60000"
    " where id = 'V1'",
    "update devices set reporting_interval_s = 30 where id = 'M2'",
)


@pytest.mark.timescaledb
def test_hours_are_the_same_rolled_up_or_not(place: Place) -> None:
    expected = place.of_history()
    assert len(expected) > 40
    on_the_hour = place.db.value("select count(*) from readings where time = floor_hour(time)")
    assert on_the_hour > 5
    alone = [row for row in expected if (row[3] or row[4]) and not row[8]]
    assert alone, "hours of spread energy without a reading"
    energy = place.db.value("select sum(energy_mwh) from readings")
    assert sum((row[3] or 0) + (row[4] or 0) for row in expected) == energy

    def agrees() -> None:
        assert place.observed(None, None, place.begin, place.end) == expected
        start = place.begin
        while start < place.end:
            rows = place.observed(None, None, start, start + HOUR)
            assert rows == [row for row in expected if row[0] == start]
            start += HOUR

    agrees()
    place.roll_up(place.end - 3 * HOUR)
    agrees()
    place.roll_up(place.end - HOUR)
    agrees()


@pytest.mark.either
@pytest.mark.parametrize(
    ("vehicles", "meters"),
    [(["V0"], ["M0"]), (["V1", "V2", "V3", "V4"], ["M1", "M2"]), (["V5"], []), ([], ["M3"])],
)
def test_devices_without_a_shared_meter_have_the_same_hours_as_in_the_fleet(
    place: Place, vehicles: list[str], meters: list[str]
) -> None:
    expected = [row for row in place.of_history() if row[1] in vehicles or row[2] in meters]
    for _ in range(2):
        assert place.observed(vehicles, meters, place.begin, place.end) == expected
        place.roll_up(place.end - 3 * HOUR)


def test_an_empty_list_of_hours_returns_no_rows(untouched: Place) -> None:
    assert untouched.observed(None, None, untouched.end, untouched.end) == []
    assert untouched.observed(None, None, untouched.end, untouched.end + HOUR) == []
    assert untouched.observed([], [], untouched.begin, untouched.end) == []


@pytest.mark.either
def test_the_first_hour_is_that_of_the_first_reading(place: Place) -> None:
    for _ in range(2):
        assert place.one(queries.first_hour, since=place.begin - 99 * HOUR) == place.begin
        later = place.begin + 2 * HOUR
        assert place.one(queries.first_hour, since=later) == later
        assert place.one(queries.first_hour, since=place.end + HOUR) is None
        place.roll_up(place.end - 3 * HOUR)


def test_points_start_at_each_devices_own_time(untouched: Place) -> None:
    starts = {
        "V0": untouched.end - 6 * HOUR,
        "V2": untouched.end - 4 * HOUR,
        "nobody": untouched.begin,
    }
    rows = untouched.ask(
        queries.vehicle_points, ids=list(starts), starts=list(starts.values()), end=untouched.end
    )
    expected = untouched.db.fetch(
        "select vehicle_id, time, energy_mwh, span_ms, soc_bp, battery_temp_cdeg"
        " from vehicle_readings where time <= $3"
        " and (vehicle_id = 'V0' and time >= $1 or vehicle_id = 'V2' and time >= $2)"
        " order by vehicle_id, time",
        *(starts["V0"], starts["V2"], untouched.end),
    )
    assert list(map(tuple, rows)) == list(map(tuple, expected))
    assert {row[0] for row in rows} == {"V0", "V2"}
    rows = untouched.ask(
        queries.meter_points, ids=["M3"], starts=[untouched.begin], end=untouched.end
    )
    expected = untouched.db.fetch(
        "select meter_id, time, energy_mwh, span_ms, voltage_mv, reset,"
        " voltage_l1_mv, voltage_l2_mv, voltage_l3_mv from meter_readings"
        " where meter_id = 'M3' order by time"
    )
    assert list(map(tuple, rows)) == list(map(tuple, expected))


def test_readings_above_a_power(untouched: Place) -> None:
    limits_w = {"M0": 3000.0, "M1": 0.0, "M2": 1e9}
    starts = [untouched.begin + n * HOUR for n in range(3)]
    rows = untouched.ask(
        queries.peaks,
        kind="meter",
        ids=list(limits_w),
        starts=starts,
        limits_w=list(limits_w.values()),
        end=untouched.end - HOUR,
    )
    expected = [
        (*row, False)
        for id_, since in zip(limits_w, starts, strict=True)
        for row in untouched.db.fetch(
            "select meter_id, time, energy_mwh, span_ms from meter_readings"
            " where meter_id = $1 and time >= $2 and time <= $3 order by time",
            *(id_, since, untouched.end - HOUR),
        )
        if row[3] and row[2] is not None and row[2] * 3600 / row[3] > limits_w[id_]
    ]
    assert list(map(tuple, rows)) == expected
    assert {row[0] for row in rows} == {"M0", "M1"}


def test_the_newest_reading_before_a_time(untouched: Place) -> None:
    for kind in ("vehicle", "meter"):
        ids = [f"{kind[0].upper()}{number}" for number in range(4)]
        since, until = untouched.begin + HOUR, untouched.end - HOUR
        rows = untouched.ask(
            queries.newest_times, kind=kind, ids=[*ids, "nobody"], since=since, until=until
        )
        expected = untouched.db.fetch(
            f"select {kind}_id, max(time) from {kind}_readings"
            f" where {kind}_id = any($1) and time > $2 and time <= $3 group by 1",
            *(ids, since, until),
        )
        assert sorted(map(tuple, rows)) == sorted(map(tuple, expected))
        assert len(rows) == 4


def test_the_roster_lists_devices_with_their_settings(untouched: Place) -> None:
    found = {row["id"]: tuple(row)[:5] for row in untouched.ask(queries.roster)}
    assert sorted(found) == ["M0", "M1", "M2", "M3", "V0", "V1", "V2", "V3", "V5"]
    assert found["V1"] == ("vehicle", "V1", "north", 120, 60000)
    assert found["M2"] == ("meter", "M2", None, 30, None)
    assert found["M0"] == ("meter", "M0", None, 60, None)


def test_clocks_that_are_off_and_those_that_are_asked_for(place: Place) -> None:
    now = place.end
    place.db.fetch("update live_state set time = $1, last_seen = $1", now)
    for device, behind in (("V0", 10 * MINUTE), ("V1", -3 * MINUTE), ("V4", HOUR), ("V5", MINUTE)):
        place.db.fetch(
            "update live_state set time = $2::timestamptz - $3::interval"
            " where device = device_of('vehicle', $1)",
            *(device, now, behind),
        )

    def found(since: datetime) -> list[Row]:
        rows = place.ask(
            queries.clock_samples,
            **{"behind_s": 300.0, "ahead_s": 120.0, "since": since},
            **{"vehicle_ids": ["V2"], "meter_ids": ["M1"]},
        )
        return sorted((row["id"], row["time"] - row["last_seen"]) for row in rows)

    still = timedelta(0)
    asked_for = [("M1", still), ("V2", still)]
    assert found(now) == sorted([*asked_for, ("V0", -10 * MINUTE), ("V1", 3 * MINUTE)])
    assert found(now + MINUTE) == asked_for, "the others have not reported since"


@pytest.fixture(scope="module")
def long_history(server: Server) -> Iterator[Db]:
    """Ten days of three vehicles and three meters."""
    with migrated_database(server) as url:
        db = Db(url)
        for kind, first, columns, values in (
            ("vehicle", 1, "soc_bp, battery_temp_cdeg", "5000, 2000"),
            ("meter", 11, "voltage_mv", "230000"),
        ):
            db.fetch(
                "insert into devices (device, kind, id) overriding system value"
                " select $1::integer + n, $2, upper(left($2, 1)) || n from generate_series(1, 3) n",
                *(first, kind),
            )
            db.fetch(
                f"insert into readings (device, time, energy_mwh, {columns})"
                f" select $1::integer + n, t, 1000, {values}"
                " from generate_series(now() - interval '10 days', now(), interval '10 minutes') t"
                " cross join generate_series(1, 3) n",
                first,
            )
        yield db


def question(kind: str, name: str) -> tuple[Callable[[Any], Any], int]:
    """Return a query for one or two hours of two devices, and the most readings that they have."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    start, end = noon - 96 * HOUR, noon - 94 * HOUR
    ids = [f"{kind[0].upper()}{number}" for number in (1, 2)]

    async def ask(connection: Any) -> None:
        if name == "newest":
            rows = queries.newest_times(connection, kind=kind, ids=ids, since=start, until=end)
        else:
            points = getattr(queries, f"{kind}_points")
            rows = points(connection, ids=ids, starts=[start, start + HOUR], end=end)
        assert [row async for row in rows]

    return ask, 2 if name == "newest" else 18


@pytest.mark.parametrize("name", ["newest", "points"])
@pytest.mark.parametrize("kind", ["vehicle", "meter"])
def test_only_the_readings_that_are_asked_for_are_read(
    long_history: Db, kind: str, name: str
) -> None:
    ask, most = question(kind, name)

    async def rows_read() -> int:
        connection = await asyncpg.connect(long_history.url)
        try:
            async with connection.transaction():
                await connection.execute("set enable_seqscan = off")  # so few would be read whole
                await ask(connection)
                count: int = await connection.fetchval(READ)
                return count
        finally:
            await connection.close()

    assert 0 < asyncio.run(rows_read()) <= most


READ = """
select (coalesce(sum(seq_tup_read), 0) + coalesce(sum(idx_tup_fetch), 0))::integer
from pg_stat_xact_user_tables
where relname = 'readings'
    or schemaname = '_timescaledb_internal' and relname ~ '_chunk$'
"""


@pytest.mark.timescaledb
@pytest.mark.parametrize("name", ["newest", "points"])
@pytest.mark.parametrize("kind", ["vehicle", "meter"])
def test_only_the_chunk_of_the_window_is_looked_into(
    long_history: Db, kind: str, name: str
) -> None:
    ask, _ = question(kind, name)
    found = asyncio.run(scans(long_history.url, ask))
    assert len({scan.relation for scan in found if scan.relation.endswith("_chunk")}) == 1
