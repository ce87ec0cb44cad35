"""`fleetmeter storage` tells what there is, on both engines in the same words."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest

from fleetmeter.storage import Job, Relation, Storage, read_storage, show
from tests.conftest import START_JOBS, Db, Server, eventually, migrated_database
from tests.integration.test_cli import fleetmeter

NAMES = [
    *("vehicle_readings", "meter_readings"),
    *("vehicle_hourly", "vehicle_daily", "meter_hourly", "meter_daily"),
    *("live state", "accounted energy", "corrections", "other tables"),
]
DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture(scope="module")
def filled(server: Server) -> Iterator[Db]:
    """Three days of two vehicles, 240 readings each; two days are in the columnstore."""
    with migrated_database(server, jobs=False) as url:
        db = Db(url)
        db.fetch(
            "insert into vehicle_readings"
            " (vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_declared)"
            " select 'EV-' || n % 2, $1::timestamptz + n / 2 * interval '12 minutes',"
            " 1000, 5000, 2000, false from generate_series(0, 719) as n",
            TODAY - 4 * DAY,
        )
        db.fetch("insert into meter_readings values ('M', $1, 1000, 230000)", TODAY)
        db.fetch("insert into meter_state values ('M', $1, 1000, 230000, now())", TODAY)
        db.fetch("insert into accounted_hours values ($1), ($2)", TODAY, TODAY - DAY)
        db.fetch(
            "insert into replaced_meter_readings"
            " (meter_id, time, version, energy_mwh, voltage_mv, reset, replaced_by, reason)"
            " values ('M', $1, 1, 1, 230000, false, 'me', 'a typo')",
            TODAY,
        )
        if server.engine == "timescaledb":
            chunks = db.fetch("select show_chunks('vehicle_readings') as c order by 1 limit 2")
            for chunk in chunks:
                db.fetch(f"call convert_to_columnstore('{chunk['c']}')")
        yield db


def relations(db: Db) -> dict[str, Relation]:
    """What is told, by name."""
    return {each.relation: each for each in asyncio.run(read_storage(db.url)).relations}


def test_everything_is_counted_once_in_one_order(filled: Db) -> None:
    told = asyncio.run(read_storage(filled.url))
    assert [each.relation for each in told.relations] == NAMES
    rows = {each.relation: each.about_rows for each in told.relations}
    assert rows.pop("other tables") >= filled.value("select count(*) from schema_migrations")
    assert {name: count for name, count in rows.items() if count} == {
        "vehicle_readings": 720,
        "meter_readings": 1,
        "live state": 1,
        "accounted energy": 2,
        "corrections": 1,
    }
    sizes = {each.relation: each.bytes for each in told.relations}
    state = "select pg_total_relation_size('vehicle_state') + pg_total_relation_size('meter_state')"
    assert sizes["live state"] == filled.value(state)
    assert sum(sizes.values()) < told.database_bytes
    assert told.database_bytes == filled.value("select pg_database_size(current_database())")


def test_history_is_told_of_in_chunks_where_it_has_some(filled: Db, server: Server) -> None:
    vehicles = relations(filled)["vehicle_readings"]
    if server.engine == "postgresql":
        size = filled.value("select pg_total_relation_size('vehicle_readings')")
        assert vehicles.bytes == size
        assert vehicles.bytes_per_row == size / 720
        assert (vehicles.chunks, vehicles.columnstore_chunks, vehicles.oldest) == (None, None, None)
        return
    (stats,) = filled.fetch("select * from hypertable_columnstore_stats('vehicle_readings')")
    assert vehicles.bytes == filled.value("select hypertable_size('vehicle_readings')")
    assert (vehicles.chunks, vehicles.columnstore_chunks, vehicles.columnstore_rows) == (3, 2, 480)
    assert vehicles.columnstore_bytes_before == stats["before_compression_total_bytes"]
    assert vehicles.columnstore_bytes is not None
    assert vehicles.columnstore_bytes >= stats["after_compression_total_bytes"]
    assert vehicles.columnstore_bytes_per_row == vehicles.columnstore_bytes / 480
    assert vehicles.bytes_per_row == (vehicles.bytes - vehicles.columnstore_bytes) / 240
    assert (vehicles.oldest, vehicles.newest) == (TODAY - 4 * DAY, TODAY - 2 * DAY)


def test_rows_are_not_counted_where_the_planner_knows_about_them(filled: Db) -> None:
    filled.fetch("analyze meter_assignments")
    before = relations(filled)["other tables"].about_rows
    filled.fetch("insert into meter_assignments values ('EV-9', now(), 'M')")
    assert relations(filled)["other tables"].about_rows == before


@pytest.mark.timescaledb
def test_hundreds_of_chunks_are_told_of_at_once(quiet_database_url: str) -> None:
    db = Db(quiet_database_url)
    db.fetch(
        "insert into meter_readings select 'M', t, 1000, 230000"
        " from generate_series($1::timestamptz, $2, interval '1 day') as t",
        TODAY - 300 * DAY,
        TODAY,
    )

    def at_once() -> Relation | None:
        started = perf_counter()
        meters = relations(db)["meter_readings"]
        return meters if perf_counter() - started < 1 else None

    meters = eventually(at_once, timeout_s=20)  # the machine may be busy, but not all the while
    assert (meters.chunks, meters.about_rows) == (301, 301)


@pytest.mark.timescaledb
def test_a_policy_that_fails_is_told_with_its_error(quiet_database_url: str) -> None:
    db = Db(quiet_database_url)
    db.fetch("insert into meter_readings values ('M', now() - interval '500 days', 1, 230000)")
    chunk = db.value("select show_chunks('meter_readings')::text")
    db.fetch(f"create view in_the_way as select * from {chunk}")  # it keeps the chunk from its drop
    db.fetch(
        "select alter_job(job_id, scheduled => true, next_start => now())"
        " from timescaledb_information.jobs where hypertable_name is not null"
    )
    db.fetch(START_JOBS)

    def jobs() -> dict[tuple[str, str], Job]:
        told = asyncio.run(read_storage(quiet_database_url)).jobs
        return {(job.job, job.relation): job for job in told}

    def ended() -> bool:
        told = jobs()
        failed = told["retention", "meter_readings"].outcome == "failed"
        return failed and told["refresh", "meter_daily"].outcome == "succeeded"

    eventually(ended, timeout_s=30, pause_s=0.5)
    told = jobs()
    assert [job for job, _ in told] == [*["refresh"] * 4, *["columnstore"] * 2, *["retention"] * 2]
    failed, refreshed = told["retention", "meter_readings"], told["refresh", "meter_daily"]
    assert "depend" in (failed.error or "")
    assert failed.every == DAY
    assert refreshed.error is None
    assert refreshed.every == timedelta(hours=1)
    assert refreshed.last_run is not None
    assert refreshed.took is not None
    assert refreshed.next_run is not None


def test_where_the_service_does_the_retention_it_is_told_how_it_went(
    migrated_database_url: str, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    if server.engine == "timescaledb":
        return
    db = Db(migrated_database_url)
    (job,) = asyncio.run(read_storage(migrated_database_url)).jobs
    assert (job.job, job.relation, job.outcome, job.last_run) == (
        *("retention", "history"),
        *(None, None),
    )
    db.fetch("update retention set ran_at = $1, took = '150 s', readings = 12345", TODAY)
    told = asyncio.run(read_storage(migrated_database_url))
    (job,) = told.jobs
    assert (job.outcome, job.last_run, job.readings) == ("succeeded", TODAY, 12_345)
    show(told)
    printed = capsys.readouterr().out
    assert f"{TODAY:%Y-%m-%d} 00:00" in printed
    assert "2.5 min" in printed
    assert "succeeded, 12,345 readings moved into kept hours" in printed


def test_it_is_plain_text_when_piped_and_json_when_asked(
    filled: Db, server: Server, tmp_path: Path
) -> None:
    environ = {"FLEETMETER_DATABASE_URL": filled.url}
    piped = fleetmeter(tmp_path, "storage", **environ)
    assert piped.returncode == 0, piped.stderr
    for name in (*NAMES, "≈ 720", "retention"):
        assert name in piped.stdout
    assert not set("│┃━\x1b") & set(piped.stdout)
    assert ("≈ 480" in piped.stdout) == (server.engine == "timescaledb")

    document = json.loads(fleetmeter(tmp_path, "storage", "--json", **environ).stdout)
    assert set(document) == {"relations", "databaseBytes", "jobs"}
    assert [each["relation"] for each in document["relations"]] == NAMES
    assert document["relations"][0]["aboutRows"] == 720
    assert document["jobs"][0]["relation"]


def test_a_database_that_was_not_migrated_is_one_clear_line(
    empty_database_url: str, tmp_path: Path
) -> None:
    failed = fleetmeter(tmp_path, "storage", FLEETMETER_DATABASE_URL=empty_database_url)
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: ")
    assert "fleetmeter migrate" in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_sizes_and_errors_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    packed = Relation(
        relation="vehicle_readings",
        about_rows=3_000_000,
        bytes=130 << 20,
        chunks=3,
        columnstore_chunks=2,
        columnstore_rows=2_000_000,
        columnstore_bytes_before=400 << 20,
        columnstore_bytes=20 << 20,
        oldest=TODAY,
        newest=TODAY,
    )
    job = Job(
        job="refresh",
        relation="meter_daily",
        every=timedelta(minutes=10),
        last_run=TODAY,
        outcome="failed",
        error="[disk] full",
        took=timedelta(seconds=1.25),
        next_run=None,
        readings=None,
    )
    show(Storage(relations=[packed], database_bytes=3 << 30, jobs=[job]))
    printed = " ".join(capsys.readouterr().out.split())
    assert "≈ 3,000,000 130.0 MiB 45.4 3" in printed
    assert "2 3 ≈ 2,000,000 400.0 MiB 20.0 MiB 5.0% 10.5 115.3" in printed
    assert "database 3.0 GiB" in printed
    assert "10 min" in printed
    assert "failed: [disk] full" in printed
