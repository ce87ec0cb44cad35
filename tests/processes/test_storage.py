"""`fleetmeter storage`: the report, jobs that fail, and the layout of its output."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import perf_counter

import pytest

from fleetmeter.operations.storage import Job, Relation, Storage, read_storage, show
from tests.conftest import START_JOBS, Db, Server, eventually
from tests.support.processes import fleetmeter
from tests.support.storage import DAY, REPORTED, TODAY, relations, stored


@pytest.fixture(scope="module")
def filled(server: Server) -> Iterator[Db]:
    with stored(server) as db:
        yield db


@pytest.mark.timescaledb
def test_hundreds_of_chunks_are_reported_within_a_second(quiet_database_url: str) -> None:
    db = Db(quiet_database_url)
    db.fetch(
        "insert into readings (device, time, energy_mwh, voltage_mv) select 1, t, 1000, 230000"
        " from generate_series($1::timestamptz, $2, interval '1 day') as t",
        TODAY - 300 * DAY,
        TODAY,
    )

    def at_once() -> Relation | None:
        started = perf_counter()
        history = relations(db)["readings"]
        return history if perf_counter() - started < 1 else None

    history = eventually(at_once, timeout_s=120)  # the machine may be busy, but not all the while
    assert (history.chunks, history.about_rows) == (301, 301)


@pytest.mark.timescaledb
def test_a_policy_that_fails_is_shown_with_its_error(quiet_database_url: str) -> None:
    db = Db(quiet_database_url)
    db.fetch(
        "insert into readings (device, time, energy_mwh, voltage_mv)"
        " values (1, now() - interval '500 days', 1, 230000)"
    )
    chunk = db.value("select show_chunks('readings')::text")
    db.fetch(f"create view in_the_way as select * from {chunk}")  # it keeps the chunk from its drop
    run = (
        "select alter_job(job_id, scheduled => true, next_start => now())"
        " from timescaledb_information.jobs"
        " where hypertable_name is not null and (proc_name = 'policy_retention') = $1"
    )
    db.fetch(run, True)
    db.fetch(START_JOBS)

    def jobs() -> dict[tuple[str, str], Job]:
        told = asyncio.run(read_storage(quiet_database_url)).jobs
        return {(job.job, job.relation): job for job in told}

    def outcome(job: str, relation: str) -> str | None:
        return jobs()[job, relation].outcome

    eventually(lambda: outcome("retention", "readings") == "failed", timeout_s=30, pause_s=0.5)
    db.fetch(run, False)  # not at once: they wait for each other
    eventually(lambda: outcome("refresh", "days") == "succeeded", timeout_s=30, pause_s=0.5)
    told = jobs()
    assert [job for job, _ in told] == [*["refresh"] * 3, *["columnstore"] * 2, "retention"]
    failed, refreshed = told["retention", "readings"], told["refresh", "days"]
    assert "depend" in (failed.error or "")
    assert failed.every == DAY
    assert refreshed.error is None
    assert refreshed.every == timedelta(hours=1)
    assert refreshed.last_run is not None
    assert refreshed.took is not None
    assert refreshed.next_run is not None


@pytest.mark.postgresql
def test_retention_by_the_service_is_shown_with_its_outcome(
    migrated_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
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
    assert "succeeded, 12,345 readings moved into kept quarter hours" in printed


def test_it_is_plain_text_when_piped_and_json_when_asked(
    filled: Db, server: Server, tmp_path: Path
) -> None:
    environ = {"FLEETMETER_DATABASE_URL": filled.url}
    piped = fleetmeter(tmp_path, "storage", **environ)
    assert piped.returncode == 0, piped.stderr
    for name in (*REPORTED, "≈ 721", "retention"):
        assert name in piped.stdout
    assert not set("│┃━\x1b") & set(piped.stdout)
    assert ("≈ 480" in piped.stdout) == (server.engine == "timescaledb")

    document = json.loads(fleetmeter(tmp_path, "storage", "--json", **environ).stdout)
    assert set(document) == {"relations", "databaseBytes", "jobs"}
    assert [each["relation"] for each in document["relations"]] == REPORTED
    assert document["relations"][0]["aboutRows"] == 721
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
        relation="readings",
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
        relation="days",
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
