"""Accounted hours: answers are the same with them as without them."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from fleetmeter.database.migrations import Accounting, migrate
from tests.conftest import Db, Server, migrated_database

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def place(server: Server) -> Iterator[Db]:
    """Two vehicles on one meter for six hours, rolled up; nothing in the background."""
    with migrated_database(server, jobs=False) as url:
        db = Db(url)
        begin = start()
        db.run(
            "insert into devices (device, kind, id) overriding system value"
            " values (1, 'vehicle', 'V1'), (2, 'vehicle', 'V2'), (3, 'meter', 'M');"
            " insert into meter_vehicles values (3, 1), (3, 2);"
            " insert into live_state (device, time, energy_mwh, last_seen)"
            " select device, now(), 0, now() from devices"
        )
        db.fetch(
            "insert into readings"
            " (device, meter, time, energy_mwh, span_ms, soc_bp, battery_temp_cdeg)"
            " select n, 3, t, 1000 * n, 60000, 5000, 2000"
            " from generate_series($1::timestamptz, $2::timestamptz, interval '1 minute') as t"
            " cross join generate_series(1, 2) as n",
            begin + MINUTE,
            begin + 6 * HOUR,
        )
        db.fetch(
            "insert into readings (device, time, energy_mwh, span_ms, voltage_mv)"
            " select 3, t, 4001, 60000, 230000"
            " from generate_series($1::timestamptz, $2::timestamptz, interval '1 minute') as t",
            begin + MINUTE,
            begin + 6 * HOUR,
        )
        roll_up(db)
        yield db


def start() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 12 * HOUR


def roll_up(db: Db) -> None:
    if not db.value("select exists (select from pg_extension where extname = 'timescaledb')"):
        return
    for rollup in ("quarter_hourly", "hourly"):
        db.fetch(f"call refresh_continuous_aggregate('{rollup}', null, now() - interval '1 hour')")


def call(db: Db, procedure: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(db.url)
        await connection.execute(f"call {procedure}")
        await connection.close()

    asyncio.run(run())


def answer(db: Db) -> list[Any]:
    """Return the fleet's answer for a window that cuts hours at both ends."""
    bounds = [start() + 20 * MINUTE, start() + 5 * HOUR + 7 * MINUTE]
    return [
        tuple(row)
        for row in db.fetch(
            "select vehicle, meter, coalesce(sum(left_out_ac_mwh), 0), sum(dc_mwh), sum(ac_mwh),"
            " sum(unattributed_mwh), sum(covered_dc_ms), sum(covered_ac_ms),"
            " sum(meter_covered_ac_ms)"
            " from fleet_energy($1) where vehicle is not null group by 1, 2 order by 1, 2",
            bounds,
        )
    ]


def accounted(db: Db) -> int:
    """The number of hours with readings that are accounted for."""
    count: int = db.value(
        "select count(*) from accounted_hours where hour in (select hour from accounted_energy)"
    )
    return count


def test_answers_are_the_same_before_and_after(place: Db) -> None:
    before = answer(place)
    assert accounted(place) == 0
    call(place, "account_hours(1, 100)")
    assert accounted(place) >= 6
    after = answer(place)
    assert after == before
    assert sum(row[4] for row in after) == 4001 * 287


@pytest.mark.parametrize(
    ("first", "every", "whole"), [(15, 15, [4001 * 15] * 20), (30, 60, [4001 * 60] * 5)]
)
def test_series_whose_buckets_end_within_hours_are_the_same_before_and_after(
    place: Db, first: int, every: int, whole: list[int]
) -> None:
    """Quarter hours, and buckets that end at half past, as the days of some time zones do."""
    bounds = [start() + first * MINUTE + n * every * MINUTE for n in range(len(whole) + 1)]

    def series() -> list[tuple[Any, ...]]:
        rows = place.fetch("select starts, ends, ac_mwh, dc_mwh from fleet_sums($1)", bounds)
        return [tuple(row) for row in rows]

    expected = [
        (begin, end, ac, 3000 * ac // 4001)
        for (begin, end), ac in zip(itertools.pairwise(bounds), whole, strict=True)
    ]
    assert series() == expected
    call(place, "account_hours(1, 100)")
    assert accounted(place) >= 6
    assert series() == expected


def test_a_vehicle_s_answers_are_the_same_before_and_after(place: Db) -> None:
    """V1 shares a meter; V4 has its own, and lacks readings while that meter shows charging."""
    place.run(
        "insert into devices (device, kind, id) overriding system value"
        " values (4, 'vehicle', 'V4'), (5, 'meter', 'M5');"
        " insert into meter_vehicles values (5, 4);"
    )
    place.fetch(
        "insert into readings (device, meter, time, energy_mwh, span_ms, soc_bp, reset)"
        " select 4, 5, t, 90000, 60000, 1000 + extract(hour from t), extract(minute from t) = 7"
        " from generate_series($1::timestamptz, $2::timestamptz, interval '1 minute') as t"
        " where extract(minute from t) < 40 and extract(hour from t)::integer % 3 > 0",
        start() + MINUTE,
        start() + 6 * HOUR,
    )
    place.fetch(
        "insert into readings (device, time, energy_mwh, span_ms, reset)"
        " select 5, t, 100000, 60000, extract(minute from t) in (8, 50)"
        " from generate_series($1::timestamptz, $2::timestamptz, interval '1 minute') as t",
        start() + MINUTE,
        start() + 6 * HOUR,
    )
    place.fetch(
        "insert into late_hours (hour) select start + n * interval '1 hour'"
        " from generate_series(0, 5) as n, (select $1::timestamptz as start) as s",
        start(),
    )
    call(place, "refresh_late_hours()")
    windows = [
        [start(), start() + 6 * HOUR],
        [start() + 20 * MINUTE, start() + 5 * HOUR + 7 * MINUTE],
        [start() + n * HOUR for n in range(7)],
        [start() + n * 30 * MINUTE for n in range(13)],
    ]

    def answers() -> list[list[tuple[Any, ...]]]:
        return [
            [tuple(row) for row in place.fetch("select * from vehicle_energy($1, $2)", v, bounds)]
            for v in ("V1", "V2", "V4")
            for bounds in windows
        ]

    before = answers()
    assert accounted(place) == 0
    assert before[8][0][8] > 0, "resets"
    assert before[8][0][12] > before[8][0][13] > 0, "charging, and what of it both cover"
    call(place, "account_hours(1, 100)")
    assert accounted(place) >= 6
    assert answers() == before
    place.run(f"insert into late_hours (hour) values ('{start() + 2 * HOUR}')")
    assert answers() == before


def test_an_hour_with_a_late_reading_is_accounted_again(place: Db) -> None:
    call(place, "account_hours(1, 100)")
    hours = accounted(place)
    late = start() + HOUR + timedelta(seconds=30)
    place.fetch(
        "insert into readings (device, time, energy_mwh, span_ms, voltage_mv)"
        " values (3, $1, 1000000, 0, 230000)",
        late,
    )
    place.fetch("insert into late_hours (hour) values (floor_hour($1))", late)
    call(place, "refresh_late_hours()")
    assert accounted(place) == hours - 1
    assert sum(row[4] for row in answer(place)) == 4001 * 287 + 1_000_000
    call(place, "account_hours(1, 100)")
    assert accounted(place) == hours
    assert sum(row[4] for row in answer(place)) == 4001 * 287 + 1_000_000


def test_fleet_and_vehicle_agree_while_an_hour_waits_for_its_rollup(place: Db) -> None:
    """A late reading over two quarter hours is shared out before the rollups have followed."""
    call(place, "account_hours(1, 100)")
    late = start() + HOUR + 15 * MINUTE + timedelta(seconds=30)
    place.fetch(
        "insert into readings (device, meter, time, energy_mwh, span_ms, spread)"
        " values (1, 3, $1, 600000, 60000, true)",
        late,
    )
    place.fetch("select put_pieces('{1}', array[$1::timestamptz])", late)
    place.fetch(
        "select note_late('{1}', array[$1::timestamptz], array[$2::timestamptz])",
        late - MINUTE,
        late,
    )
    bounds = [start(), start() + 6 * HOUR]
    of_fleet = place.value(
        "select sum(dc_mwh)::bigint from fleet_energy($1) where vehicle = 1", bounds
    )
    of_vehicle = place.value("select sum(dc_mwh)::bigint from vehicle_energy('V1', $1)", bounds)
    assert of_fleet == of_vehicle == 360 * 1000 + 600_000


def test_another_interval_or_tolerance_invalidates_all_accounted_hours(place: Db) -> None:
    call(place, "account_hours(1, 100)")
    place.fetch("""select set_device('vehicle', 'V1', '{"label": "a label"}')""")
    assert accounted(place) >= 6
    for device in (1, 2):
        place.fetch(
            f"""select set_device('vehicle', 'V{device}', '{{"reporting_interval_s": 45}}')"""
        )
        call(place, f"derive_intervals({device})")
    call(place, "refresh_late_hours()")
    assert accounted(place) == 0
    call(place, "account_hours(1, 100)")
    assert all(row[2] > 0 for row in answer(place)), "a quarter of the AC is left out"
    asyncio.run(migrate(place.url, 400, Accounting()))
    assert accounted(place) >= 6
    asyncio.run(migrate(place.url, 400, Accounting(coverage_tolerance=0.6)))  # 0.7 of it is enough
    assert accounted(place) == 0
    call(place, "account_hours(1, 100)")
    assert all(row[2] == 0 for row in answer(place)), "the tolerance is as wide"


def test_hours_that_are_too_old_are_forgotten(place: Db) -> None:
    call(place, "account_hours(1, 100)")
    place.fetch("insert into accounted_hours values (now() - interval '40 days')")
    place.fetch(
        "insert into accounted_energy values"
        " (now() - interval '40 days', 1, 3, 1, 1, 1, 0, 60, 60, 0, 1, 60, 60)"
    )
    call(place, "account_hours(1, 100)")
    assert not place.fetch("select from accounted_hours where hour < now() - interval '36 days'")
    assert accounted(place) >= 6
    assert not place.fetch("select from accounted_energy where hour < now() - interval '36 days'")


@pytest.mark.timescaledb
def test_hours_before_the_first_reading_are_not_accounted(place: Db) -> None:
    place.run("truncate readings, spread_energy")
    place.fetch("call refresh_continuous_aggregate('quarter_hourly', null, now())")
    assert place.value("select rolled_up_until() > now() - interval '1 day'")
    call(place, "account_hours(1, 100)")
    assert accounted(place) == 0


@pytest.mark.postgresql
def test_the_hour_that_has_just_ended_is_not_accounted(place: Db) -> None:
    """A transaction that began in it, and so does not call its readings late, may commit."""
    call(place, "account_hours(1, 100)")
    newest = place.value("select max(hour) from accounted_hours")
    assert newest == place.value("select floor_hour(now() - interval '15 minutes')") - HOUR
    place.run("delete from accounted_hours; delete from live_state")
    call(place, "account_hours(1, 100)")
    assert not place.fetch("select from accounted_hours"), "there are no devices"
