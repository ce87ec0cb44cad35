"""Hours that are accounted for: the fleet's answers from them are those without them."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from fleetmeter.database.migrations import Accounting, migrate
from tests.conftest import Db, Server, migrated_database

pytestmark = pytest.mark.timescaledb
HOUR = timedelta(hours=1)


@pytest.fixture
def place(server: Server) -> Iterator[Db]:
    """Two vehicles on one meter for six hours, rolled up; nothing in the background."""
    with migrated_database(server, jobs=False) as url:
        db = Db(url)
        begin = start()
        db.fetch(
            "insert into vehicle_readings (vehicle_id, time, energy_mwh, soc_bp,"
            " battery_temp_cdeg, meter_id, meter_declared)"
            " select 'V' || n, t, 1000 * n, 5000, 2000, 'M', false"
            " from generate_series($1::timestamptz, $2::timestamptz, interval '1 minute') as t"
            " cross join generate_series(1, 2) as n",
            begin,
            begin + 6 * HOUR - timedelta(minutes=1),
        )
        db.fetch(
            "insert into meter_readings (meter_id, time, energy_mwh, voltage_mv)"
            " select 'M', t, 4001, 230000"
            " from generate_series($1::timestamptz, $2::timestamptz, interval '1 minute') as t",
            begin,
            begin + 6 * HOUR - timedelta(minutes=1),
        )
        db.fetch("insert into meter_vehicles values ('M', 'V1'), ('M', 'V2')")
        db.fetch(
            "insert into vehicle_state (vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg,"
            " meter_declared, last_seen)"
            " select 'V' || n, now(), 0, 0, 0, false, now() from generate_series(1, 2) as n"
        )
        db.fetch(
            "insert into meter_state (meter_id, time, energy_mwh, voltage_mv, last_seen)"
            " values ('M', now(), 0, 0, now())"
        )
        roll_up(db)
        yield db


def start() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 12 * HOUR


def roll_up(db: Db) -> None:
    for rollup in ("vehicle_hourly", "meter_hourly"):
        db.fetch(f"call refresh_continuous_aggregate('{rollup}', null, now() - interval '1 hour')")


def call(db: Db, procedure: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(db.url)
        await connection.execute(f"call {procedure}")
        await connection.close()

    asyncio.run(run())


def answer(db: Db) -> list[Any]:
    """What the fleet took in a window that cuts hours at both ends."""
    bounds = [start() + 20 * timedelta(minutes=1), start() + 5 * HOUR + timedelta(minutes=7)]
    return [
        tuple(row)
        for row in db.fetch(
            "select vehicle_id, meter_id, comparable, sum(dc_mwh), sum(ac_mwh),"
            " sum(unattributed_mwh), sum(covered_dc_s), sum(covered_ac_s), sum(meter_covered_ac_s)"
            " from fleet_energy($1) where vehicle_id is not null group by 1, 2, 3 order by 1, 2, 3",
            bounds,
        )
    ]


def accounted(db: Db) -> int:
    count: int = db.value("select count(*) from accounted_hours")
    return count


def test_answers_are_the_same_before_and_after(place: Db) -> None:
    before = answer(place)
    assert accounted(place) == 0
    call(place, "account_hours(35, 100)")
    assert accounted(place) >= 6
    after = answer(place)
    assert [row[:5] for row in after] == [row[:5] for row in before]
    assert sum(row[4] for row in after) == 4001 * 287


def test_a_late_reading_strikes_its_hour_out_and_it_is_accounted_again(place: Db) -> None:
    call(place, "account_hours(35, 100)")
    hours = accounted(place)
    late = start() + HOUR + timedelta(seconds=30)
    place.fetch(
        "insert into meter_readings (meter_id, time, energy_mwh, voltage_mv)"
        " values ('M', $1, 1000000, 230000)",
        late,
    )
    place.fetch(
        "insert into late_hours (source, hour) values ('meter_readings', floor_hour($1))", late
    )
    call(place, "refresh_late_hours()")
    assert accounted(place) == hours - 1
    assert sum(row[4] for row in answer(place)) == 4001 * 287 + 1_000_000
    call(place, "account_hours(35, 100)")
    assert accounted(place) == hours
    assert sum(row[4] for row in answer(place)) == 4001 * 287 + 1_000_000


def test_another_interval_or_tolerance_strikes_all_hours_out(place: Db) -> None:
    call(place, "account_hours(35, 100)")
    place.fetch("select set_vehicle('V1', 'a label', null, null, null, null, null)")
    assert accounted(place) >= 6
    place.fetch("select set_vehicle('V1', 'a label', null, 120, null, null, null)")
    assert accounted(place) == 0
    call(place, "account_hours(35, 100)")
    assert {row[2] for row in answer(place)} == {False}, "V1 covers twice what it reports"
    asyncio.run(migrate(place.url, 400, Accounting()))
    assert accounted(place) >= 6
    asyncio.run(migrate(place.url, 400, Accounting(coverage_tolerance=0.6)))
    assert accounted(place) == 0
    call(place, "account_hours(35, 100)")
    assert {row[2] for row in answer(place)} == {True}


def test_hours_that_are_too_old_are_forgotten(place: Db) -> None:
    call(place, "account_hours(35, 100)")
    place.fetch("insert into accounted_hours values (now() - interval '40 days')")
    place.fetch(
        "insert into accounted_energy values"
        " (now() - interval '40 days', 'V1', 'M', true, 1, 1, 1, 0, 60, 60, 0, 1, 60, 60)"
    )
    hours = accounted(place)
    call(place, "account_hours(35, 100)")
    assert accounted(place) == hours - 1
    assert not place.fetch("select from accounted_energy where hour < now() - interval '36 days'")
