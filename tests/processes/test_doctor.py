"""`fleetmeter doctor` on real databases: nothing is wrong with a new one, and faults are named."""

import asyncio
import json
import secrets
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from click.testing import CliRunner

from fleetmeter import cli
from fleetmeter.cli import doctor
from fleetmeter.operations.doctor.asking import ask
from fleetmeter.operations.doctor.facts import Finding, ok, warning
from fleetmeter.operations.doctor.judgement import judge
from fleetmeter.settings import Settings
from tests.conftest import START_JOBS, Db, Server, eventually


def wrong(url: str) -> dict[str, list[Finding]]:
    """Return the warnings and errors about a database, by check."""
    facts = asyncio.run(ask(url, Settings(database_url=url), processes=1))
    found: dict[str, list[Finding]] = {}
    for each in judge(facts):
        if each.status != "ok":
            found.setdefault(each.check, []).append(each)
    return found


def only(url: str, check: str) -> str:
    """Return what a check says is wrong, in one line."""
    return " ".join(f"{each.status}: {each.text}." for each in wrong(url).get(check, []))


def test_a_new_database_is_well_but_for_what_its_server_risks(migrated_database_url: str) -> None:
    found = wrong(migrated_database_url)
    unsafe = {
        *("fsync", "full_page_writes", "synchronous_commit", "autovacuum"),
    } & {each.text.split()[0] for each in found.pop("settings", [])}
    off = Db(migrated_database_url).fetch(
        "select name from pg_settings where setting = 'off' and name = any($1)",
        ["fsync", "full_page_writes", "synchronous_commit", "autovacuum"],
    )
    assert unsafe == {row["name"] for row in off}
    assert ["is a superuser" in each.text for each in found.pop("roles")] == [True]
    assert [each.status for each in found.pop("server", [])] in ([], ["warning"])  # PostgreSQL 15
    assert found == {}


@pytest.fixture
def sick(quiet_database_url: str) -> Db:
    return Db(quiet_database_url)


def test_faults_are_named(sick: Db, server: Server) -> None:
    assert ("is paused" in only(sick.url, "jobs")) == (server.engine == "timescaledb")

    sick.run("insert into late_hours (hour) select now() from generate_series(1, 60)")
    assert "60 hours wait" in only(sick.url, "rollups")

    sick.run("update anomaly_progress set evaluated_until = now() - interval '3 days'")
    assert only(sick.url, "evaluation").startswith("error: ")

    sick.run(
        "insert into webhooks (url, secret, format, last_event_id, disabled_at)"
        " values ('https://example.com', 's', 'fleetmeter', 0, now())"
    )
    assert "webhook 1 is disabled" in only(sick.url, "webhooks")

    sick.run("delete from schema_migrations where name like '0004%'")
    assert only(sick.url, "migrations") == "error: not applied: 0004_odometer.sql."
    sick.run("insert into schema_migrations values ('9999_later.sql', '', 'postgresql')")
    assert "does not know 9999_later.sql" in only(sick.url, "migrations")

    sick.run("drop function rollup_lag_s")
    assert "rollups" not in wrong(sick.url)  # it says what is wrong with the schema, and goes on


@pytest.mark.timescaledb
def test_a_job_that_fails_and_one_that_never_ran_are_named(sick: Db) -> None:
    sick.run(
        "select alter_job(job_id, scheduled => true) from timescaledb_information.jobs"
        " where proc_name = 'policy_retention' and hypertable_name is not null"
    )
    assert "policy_retention on readings has never run" not in only(sick.url, "jobs")
    sick.run("update schema_migrations set applied_at = now() - interval '10 days'")
    assert "policy_retention on readings has never run" in only(sick.url, "jobs")

    sick.run(
        "create procedure out_of_order(job_id int, config jsonb) language plpgsql"
        " as $$ begin raise exception 'the disk is full'; end; $$"
    )
    sick.fetch("select add_job('out_of_order', interval '1 hour')")
    sick.fetch(START_JOBS)
    eventually(lambda: "the disk is full" in only(sick.url, "jobs"), timeout_s=60)


def test_roles_that_may_too_much_are_named(sick: Db) -> None:
    name = f"fleetmeter_test_{secrets.token_hex(4)}"
    parts = urlsplit(sick.url)
    address = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"{name}:secret@{address}"))
    reader = "fleetmeter_reader"
    made = not sick.value("select exists (select from pg_roles where rolname = $1)", reader)
    sick.run(
        f"create role {name} login password 'secret';"
        f" grant select on all tables in schema public to {name}"
    )
    try:
        if made:
            sick.run(f"create role {reader}")
        assert "roles" not in wrong(url)  # and an ordinary role can ask everything
        sick.run(f"grant select on webhooks to {reader}")
        assert "may read secrets (webhooks)" in only(url, "roles")
    finally:
        sick.run(f"drop owned by {name}; drop role {name}")
        sick.run(f"revoke select on webhooks from {reader}")
        if made:
            sick.run(f"drop role {reader}")


def test_a_database_that_was_not_migrated_is_one_of_the_findings(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETMETER_DATABASE_URL", empty_database_url)
    done = CliRunner().invoke(cli.main, ["doctor", "--json"])
    assert done.exit_code == 1
    document = json.loads(done.output)
    assert document["status"] == "error"
    (found,) = (each for each in document["findings"] if each["check"] == "migrations")
    assert found["advice"] == "run: fleetmeter migrate"


def test_a_database_that_cannot_be_reached_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETMETER_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/fleet")
    away = CliRunner().invoke(cli.main, ["doctor"])
    assert away.exit_code == 1
    assert away.output.startswith("error    database     ")
    assert "cannot be reached" in away.output
    assert "secret" not in away.output

    monkeypatch.delenv("FLEETMETER_DATABASE_URL")
    monkeypatch.setenv("FLEETMETER_DATA_DIR", str(tmp_path / "data"))
    none = CliRunner().invoke(cli.main, ["doctor"])
    assert none.exit_code == 1
    assert "has no database" in none.output
    assert not (tmp_path / "data").exists()


def test_warnings_alone_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [ok("clock", "right"), warning("disk", "nearly\nfull \x1b[2J", "make space")]
    monkeypatch.setattr(doctor, "_examine", lambda *_: found)
    done = CliRunner().invoke(cli.main, ["doctor"])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "ok       clock        right",
        "warning  disk         nearly full \\u001b[2J → make space",
    ]
