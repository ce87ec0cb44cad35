"""History that is old, compressed or dropped; rollups that outlive it."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from fleetmeter.database.migrations import migrate
from tests.conftest import (
    PAUSE_JOBS,
    Db,
    Server,
    eventually,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    running_service,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences, unshared_energy
from tests.support.rollups import ROLLUPS, between_policies, materialise

MINUTE = timedelta(minutes=1)


@pytest.mark.timescaledb
def test_late_resent_and_restamped_readings_in_the_columnstore(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(24 * 12)
    vehicle, meter = f"{uid}EV", f"{uid}M"
    sent = [vehicle_reading(vehicle, start + n * 10 * MINUTE, 0.1) for n in range(300)]
    post(client, *sent)
    post(client, *(meter_reading(meter, start + n * 10 * MINUTE, 0.2) for n in range(300)))
    for chunk in db.fetch(
        "select format('%I.%I', chunk_schema, chunk_name) as name"
        " from timescaledb_information.chunks where not is_compressed"
        " and hypertable_name = 'readings' and range_end < now() - interval '8 days'"
    ):
        db.fetch(f"call convert_to_columnstore('{chunk['name']}', if_not_columnstore => true)")

    assert post(client, *sent)["duplicates"] == 300
    late = [vehicle_reading(vehicle, start + n * 10 * MINUTE + MINUTE, 0.1) for n in range(50)]
    assert post(client, *late)["accepted"] == 50
    changed = client.put(
        f"/v1/vehicles/{vehicle}/meter", json={"meterId": meter, "since": rfc3339(start)}
    )
    assert changed.json()["restamped"] == 350

    eventually(lambda: rollup_differences(db, uid) == [])
    assert unshared_energy(db, uid) == []


@pytest.mark.timescaledb
def test_a_long_buffer_never_moves_a_watermark(client: httpx.Client, db: Db, uid: str) -> None:
    post(client, meter_reading(f"{uid}old", hours_ago(80)))
    materialise(db, Server("timescaledb", db.url))
    marks = "select watermark('quarter_hourly'), watermark('hourly'), watermark('daily')"
    before = tuple(db.fetch(marks)[0])
    flush = [meter_reading(f"{uid}M", hours_ago(72) + n * 10 * MINUTE) for n in range(432)]
    post(client, *flush)
    eventually(lambda: rollup_differences(db, uid) == [])
    eventually(
        lambda: (
            not db.value("select exists (select from late_hours where hour < rolled_up_until())")
        )
    )
    quarter_hourly, hourly, daily = db.fetch(marks)[0]
    assert daily == before[2]
    assert hourly <= max(before), "the hourly rollup follows the daily one at most"
    hour_end = db.value("select ceil_hour($1::timestamptz - interval '1 microsecond')", max(before))
    assert quarter_hourly <= hour_end + timedelta(microseconds=1), "and quarter hours to the hour"


@pytest.mark.timescaledb
def test_rollups_outlive_their_history_also_when_the_retention_is_raised(
    quiet_database_url: str,
) -> None:
    asyncio.run(migrate(quiet_database_url, 5))
    db = Db(quiet_database_url)
    db.fetch(PAUSE_JOBS)  # its policies are new ones now
    now = datetime.now(UTC)
    db.fetch(
        "insert into readings (device, time, energy_mwh, voltage_mv)"
        " select number_device('meter', 'M'), t, 1000, 230000"
        " from generate_series($1::timestamptz, $2, interval '1 hour') as t",
        now - timedelta(days=30),
        now - timedelta(hours=3),
    )
    jobs = (
        "select job_id from timescaledb_information.jobs"
        " where proc_name = 'policy_refresh_continuous_aggregate' order by job_id"
    )
    for rollup in ROLLUPS:
        refresh = f"call refresh_continuous_aggregate('{rollup}', null, now() - interval '2 hours')"
        between_policies(db.fetch, refresh)
    counts = "select (select count(*) from meter_hourly), (select count(*) from meter_daily)"
    before = tuple(db.fetch(counts)[0])
    assert before[0] > 700
    db.fetch("select drop_chunks('readings', interval '6 days')")

    asyncio.run(migrate(quiet_database_url, 60))
    since = db.value("select since from kept_history")
    assert now - timedelta(days=7) <= since <= now - timedelta(days=5)
    for job in db.fetch(jobs):
        between_policies(db.fetch, f"call run_job({job['job_id']})")
    db.fetch("insert into late_hours (hour) values (floor_hour($1))", now - timedelta(days=20))
    between_policies(db.fetch, "call refresh_late_hours()")
    assert tuple(db.fetch(counts)[0]) == before


@pytest.mark.timescaledb
def test_a_reading_from_before_what_is_kept_is_too_old(
    quiet_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    Db(quiet_database_url).fetch("update kept_history set since = now() - interval '10 days'")
    environ = {
        "FLEETMETER_DATABASE_URL": quiet_database_url,
        "FLEETMETER_RETENTION_DAYS": "60",
    }
    with (
        running_service(tmp_path_factory.mktemp("kept"), environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        old = client.post("/v1/ingest", json=meter_reading("M", hours_ago(24 * 11)))
        assert old.json()["rejected"][0]["code"] == "too_old"
        post(client, meter_reading("M", hours_ago(24 * 9)))


@pytest.mark.timescaledb
def test_a_gap_in_history_never_stops_a_migrate(quiet_database_url: str) -> None:
    db = Db(quiet_database_url)
    now = datetime.now(UTC)
    for at in (now - timedelta(days=450), now - timedelta(hours=2)):
        db.fetch(
            "insert into readings (device, time, energy_mwh, voltage_mv)"
            " values (number_device('meter', 'M'), $1, 1, 1)",
            at,
        )
    for rollup in ROLLUPS:
        db.fetch(f"call refresh_continuous_aggregate('{rollup}', null, now() - interval '400 d')")
    db.fetch("select drop_chunks('readings', interval '401 days')")

    asyncio.run(migrate(quiet_database_url, 400))

    assert db.value("select since from kept_history") > now - timedelta(days=2)
    offsets = db.fetch(
        "select (config ->> 'start_offset')::interval as it from timescaledb_information.jobs"
        " where proc_name = 'policy_refresh_continuous_aggregate'"
    )
    assert [row["it"].days for row in offsets] == [3, 3, 3]
