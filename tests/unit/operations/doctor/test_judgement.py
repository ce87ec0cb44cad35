"""What the checks find in facts: nothing when all is well, and each fault by its name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.operations.doctor.facts import (
    Facts,
    Finding,
    Fleet,
    Job,
    Key,
    Role,
    Schema,
    Server,
)
from fleetmeter.operations.doctor.fleet_checks import is_overdue
from fleetmeter.operations.doctor.judgement import judge, worst
from fleetmeter.operations.doctor.server_checks import days_until_full

NOW = datetime(2026, 11, 29, 12, 10, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)

JOB = Job(
    id=1000,
    job="policy_retention on readings",
    every=DAY,
    paused=False,
    running=False,
    last_run=NOW - HOUR,
)
KEY = Key(name="gateway", created_at=NOW - 30 * DAY, expires_at=None, last_used_at=NOW)

HEALTHY = Facts(
    server=Server(
        now=NOW,
        version_num=17_0012,
        timescaledb="2.31.2",
        has_timescaledb=True,
        licence="timescale",
        database_bytes=10 << 30,
        usable_connections=97,
        other_connections=12,
        databases=2,
        last_archived_at=NOW - MINUTE,
        archive_failed_at=None,
    ),
    settings={
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "autovacuum": "on",
        "max_worker_processes": "32",
        "timescaledb.max_background_workers": "16",
        "timescaledb.telemetry_level": "off",
        "archive_mode": "on",
    },
    role=Role(
        name="fleetmeter_service",
        is_superuser=False,
        is_owner=False,
        has_reader=True,
        readable_secrets=[],
    ),
    schema=Schema(engine="timescaledb", missing=[], unknown=[]),
    fleet=Fleet(
        devices=20_000,
        newest_reading=NOW - MINUTE,
        oldest_reading=NOW - 100 * DAY,
        rollup_lag_s=4000,
        late_hours=1,
        evaluated_until=NOW - 70 * MINUTE,
        disabled_webhooks=[],
        migrated_at=NOW - 200 * DAY,
        failing_jobs=[],
        jobs=[JOB],
        keys=[KEY],
    ),
    clock_ahead_s=0.01,
    clock_error_s=0.001,
    embedded=False,
    free_bytes=None,
    pool_size=10,
    processes=4,
    loopback=False,
)


def facts(**changes: Any) -> Facts:
    """Return facts of a healthy database with changes: `server={"licence": "apache"}`."""
    for name, change in changes.items():
        if isinstance(change, dict) and name != "settings":
            changes[name] = msgspec.structs.replace(getattr(HEALTHY, name), **change)
    return msgspec.structs.replace(HEALTHY, **changes)


def settings(**changes: str) -> dict[str, str]:
    return {**HEALTHY.settings} | {name.replace("__", "."): it for name, it in changes.items()}


def wrong(of: Facts) -> list[Finding]:
    return [each for each in judge(of) if each.status != "ok"]


def test_a_healthy_database_has_a_line_for_each_check_and_nothing_wrong() -> None:
    found = judge(HEALTHY)
    assert worst(found) == "ok"
    assert wrong(HEALTHY) == []
    assert {each.check for each in found} == {
        *("server", "engine", "migrations", "jobs", "rollups", "evaluation", "webhooks", "keys"),
        *("settings", "workers", "connections", "clock", "disk", "roles", "backup"),
    }


PLAIN: dict[str, Any] = {
    "server": {"timescaledb": None, "has_timescaledb": False, "licence": None},
    "schema": {"engine": "postgresql"},
    "fleet": {"devices": 500, "rollup_lag_s": 0, "jobs": []},
}


def test_a_small_fleet_on_plain_postgresql_is_well() -> None:
    assert wrong(facts(**PLAIN)) == []


LONELY_JOB = msgspec.structs.replace(JOB, last_run=NOW - 3 * DAY)
NEVER_RUN = msgspec.structs.replace(JOB, last_run=None)
PAUSED = msgspec.structs.replace(LONELY_JOB, paused=True)


@pytest.mark.parametrize(
    ("check", "status", "says", "advises", "changes"),
    [
        ("server", "error", "14.9 is not", "15", {"server": {"version_num": 14_0009}}),
        ("server", "error", "cannot drop", "2.31.2", {"server": {"timescaledb": "2.30.1"}}),
        (
            *("server", "warning", "2.28 is its last line", "PostgreSQL 17"),
            {"server": {"version_num": 15_0018, "timescaledb": "2.28.3"}},
        ),
        ("engine", "error", "licence apache", "restart", {"server": {"licence": "apache"}}),
        ("engine", "warning", "1,001 devices", "export", PLAIN | {"fleet": {"devices": 1001}}),
        (
            *("engine", "warning", "although", "licence"),
            PLAIN | {"server": {"timescaledb": None, "licence": None}},
        ),
        (
            *("migrations", "error", "0015_keys.sql", "fleetmeter migrate"),
            {"schema": {"missing": ["0015_keys.sql"]}, "fleet": None},
        ),
        (
            *("migrations", "error", "not migrated", "fleetmeter migrate"),
            {"schema": {"engine": None, "missing": ["all"]}, "fleet": None},
        ),
        (
            *("migrations", "error", "does not know 0099_x.sql", "newer one"),
            {"schema": {"unknown": ["0099_x.sql"]}},
        ),
        ("migrations", "error", "routines", "fleetmeter migrate", {"fleet": None}),
        (
            *("jobs", "error", "policy_x fails: disk full", "job_errors"),
            {"fleet": {"failing_jobs": [("policy_x", "disk full")]}},
        ),
        ("jobs", "error", "ran last at", "workers", {"fleet": {"jobs": [LONELY_JOB]}}),
        ("jobs", "error", "never run", "workers", {"fleet": {"jobs": [NEVER_RUN]}}),
        ("jobs", "warning", "paused", "alter_job(1000", {"fleet": {"jobs": [PAUSED]}}),
        ("rollups", "warning", "behind", "jobs", {"fleet": {"rollup_lag_s": 3 * 3600}}),
        ("rollups", "error", "behind", "jobs", {"fleet": {"rollup_lag_s": 2 * 86_400}}),
        ("rollups", "warning", "500 hours", "serve", {"fleet": {"late_hours": 500}}),
        ("evaluation", "warning", "up to", "serve", {"fleet": {"evaluated_until": NOW - 5 * HOUR}}),
        ("evaluation", "error", "up to", "serve", {"fleet": {"evaluated_until": NOW - 2 * DAY}}),
        ("webhooks", "warning", "webhook 7", "enable 7", {"fleet": {"disabled_webhooks": [7]}}),
        ("keys", "error", "does not start", "key create", {"fleet": {"keys": []}}),
        ("settings", "error", "fsync", "on", {"settings": settings(fsync="off")}),
        ("settings", "error", "pages", "on", {"settings": settings(full_page_writes="off")}),
        ("settings", "error", "loses", "on", {"settings": settings(synchronous_commit="off")}),
        ("settings", "warning", "vacuum", "on", {"settings": settings(autovacuum="off")}),
        (
            *("settings", "warning", "makers", "off"),
            {"settings": settings(timescaledb__telemetry_level="basic")},
        ),
        ("workers", "error", "leave 0", "raise", {"settings": settings(max_worker_processes="4")}),
        ("workers", "warning", "leave 1", "raise", {"server": {"databases": 15}}),
        ("connections", "error", "30", "max_connections", {"processes": 30}),
        ("connections", "warning", "12", "max_connections", {"processes": 9}),
        ("clock", "warning", "30 s behind", "NTP", {"clock_ahead_s": -30.0}),
        ("clock", "error", "5 min ahead of", "NTP", {"clock_ahead_s": 300.0}),
        ("disk", "error", "100.0 MiB", "RETENTION", {"free_bytes": 100 << 20}),
        (
            "disk",
            "error",
            "about 2 days",
            "RETENTION",
            {"server": {"database_bytes": 200 << 30}, "free_bytes": 4 << 30},
        ),
        (
            "disk",
            "warning",
            "about 20 days",
            "RETENTION",
            {"server": {"database_bytes": 20 << 30}, "free_bytes": 4 << 30},
        ),
        ("roles", "warning", "superuser", "a role of its own", {"role": {"is_superuser": True}}),
        ("roles", "warning", "the owner", "a role of its own", {"role": {"is_owner": True}}),
        (
            *("roles", "error", "secrets (webhooks)", "revoke"),
            {"role": {"readable_secrets": ["webhooks"]}},
        ),
        ("backup", "error", "failed at", "log", {"server": {"archive_failed_at": NOW}}),
        ("backup", "warning", "nothing yet", "pg_switch", {"server": {"last_archived_at": None}}),
    ],
)
def test_each_fault_is_named_with_what_to_do(
    check: str, status: str, says: str, advises: str, changes: dict[str, Any]
) -> None:
    (found,) = wrong(facts(**changes))
    assert (found.check, found.status) == (check, status)
    assert says in found.text
    assert advises in found.advice


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ({"expires_at": NOW - DAY}, "expired"),
        ({"expires_at": NOW + 3 * DAY}, "expires in 3 d"),
        ({"last_used_at": None}, "never used"),
        ({"expires_at": NOW + 30 * DAY}, None),
        ({"last_used_at": None, "created_at": NOW - DAY}, None),
    ],
)
def test_keys_that_need_attention_are_named(key: dict[str, Any], says: str | None) -> None:
    found = wrong(facts(fleet={"keys": [KEY, msgspec.structs.replace(KEY, **key)]}))
    assert [(each.status, says in each.text) for each in found if says] == (
        [("warning", True)] if says else []
    )
    assert bool(found) is (says is not None)


def test_a_quiet_night_does_not_count_as_rollups_that_are_behind() -> None:
    quiet = {"newest_reading": NOW - 9 * HOUR, "rollup_lag_s": 10 * 3600.0}
    assert wrong(facts(fleet=quiet)) == []


REFRESH = msgspec.structs.replace(
    JOB, job="policy_refresh_continuous_aggregate on quarter_hourly", every=10 * MINUTE
)


@pytest.mark.parametrize(
    ("job", "status", "advises"),
    [
        ({"last_run": NOW - 4 * MINUTE}, "warning", "every 10 min, next at about"),
        ({"last_run": NOW - 2 * HOUR, "running": True}, "warning", "is running"),
        ({"last_run": NOW - 4 * MINUTE, "paused": True}, "error", "jobs"),
        ({"last_run": NOW - 2 * HOUR}, "error", "jobs"),
    ],
)
def test_rollups_of_a_first_import_are_no_error_while_their_job_is_on_its_way(
    job: dict[str, Any], status: str, advises: str
) -> None:
    refresh = msgspec.structs.replace(REFRESH, **job)
    imported = {"rollup_lag_s": 300 * 86_400.0, "jobs": [refresh]}
    (found,) = (each for each in wrong(facts(fleet=imported)) if each.check == "rollups")
    assert found.status == status
    assert advises in found.advice


def test_a_slow_answer_does_not_count_as_a_wrong_clock() -> None:
    assert wrong(facts(clock_ahead_s=20.0, clock_error_s=19.0)) == []


def test_keys_and_roles_do_not_matter_where_only_the_owner_gets_in() -> None:
    superuser = {"is_superuser": True, "is_owner": True, "has_reader": False}
    alone = facts(**PLAIN | {"fleet": PLAIN["fleet"] | {"keys": []}, "role": superuser})
    assert wrong(msgspec.structs.replace(alone, embedded=True, loopback=True)) == []


@given(st.timedeltas(MINUTE, 30 * DAY), st.timedeltas(timedelta(), 90 * DAY), st.booleans())
def test_a_job_is_overdue_once_it_missed_two_rounds(
    every: timedelta, ago: timedelta, ran: bool
) -> None:
    job = msgspec.structs.replace(JOB, every=every, last_run=NOW - ago if ran else None)
    assert is_overdue(job, NOW - ago, NOW) is (ago > 2 * every + 10 * MINUTE)
    assert not is_overdue(msgspec.structs.replace(job, running=True), NOW - ago, NOW)


@given(st.integers(1, 1 << 50), st.integers(1, 1 << 50), st.timedeltas(3 * DAY, 4000 * DAY))
def test_the_disk_is_full_when_growth_has_taken_what_is_free(
    free: int, used: int, history: timedelta
) -> None:
    days = days_until_full(free, used, history)
    assert days is not None
    assert days * used / (history / DAY) == pytest.approx(free)


@given(st.sampled_from([None, timedelta(), 2 * DAY]))
def test_a_short_history_does_not_tell_when_the_disk_is_full(history: timedelta | None) -> None:
    assert days_until_full(1, 1, history) is None


@given(st.lists(st.sampled_from(["ok", "warning", "error"])))
def test_the_worst_finding_decides(statuses: list[Any]) -> None:
    found = worst(Finding("check", status, "") for status in statuses)
    assert ("error" in statuses) is (found == "error")
    assert ("warning" in statuses and "error" not in statuses) is (found == "warning")
