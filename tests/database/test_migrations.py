"""Migrations: from nothing, again, together, and what they refuse."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from fleetmeter.database.migrations import Migrated, migrate, missing_migrations
from fleetmeter.database.sql import SQL
from fleetmeter.errors import MigrationError
from tests.conftest import Db, Server

RELATIONS = [
    *("devices", "readings", "spread_energy", "live_state", "assignments", "meter_vehicles"),
    *("vehicle_readings", "meter_readings", "vehicle_state", "meter_state", "meter_assignments"),
    *("vehicle_settings", "meter_settings"),
    *("quarter_hourly", "hourly", "daily", "quarter_hours", "hours", "days"),
    *("rolled_up_quarter_hours", "rolled_up_hours", "rolled_up_days"),
    *("vehicle_hourly", "meter_hourly", "vehicle_daily", "meter_daily"),
    *("efficiency_hourly", "efficiency_daily", "vehicle_energy_hourly"),
    *("accounted_energy", "accounted_hours", "late_hours", "late_devices"),
    *(
        "replaced_readings",
        "voided_readings",
        "rejections",
        "arrival_stamps",
        "replaced_assignments",
        "retention",
        "kept_history",
        "versions",
    ),
    *("anomalies", "anomaly_events", "anomaly_memory", "anomaly_progress"),
    *("rule_overrides", "rule_changes", "webhooks", "register_events", "register_exchanges"),
]
HAVE_A_ROW = ["retention", "kept_history", "versions", "anomaly_progress"]


def run(url: str, sql: Path = SQL, retention_days: int = 400) -> Migrated:
    return asyncio.run(migrate(url, retention_days, sql=sql))


@pytest.fixture
def sql(tmp_path: Path) -> Path:
    """A copy of the SQL that a test may change."""
    return Path(shutil.copytree(SQL, tmp_path / "sql"))


def test_an_empty_database_gets_every_relation(empty_database_url: str, server: Server) -> None:
    migrated = run(empty_database_url)
    assert migrated.engine == server.engine
    assert migrated.applied[0] == "0001_baseline.sql"
    db = Db(empty_database_url)
    for relation in RELATIONS:
        assert len(db.fetch(f"select * from {relation}")) == (relation in HAVE_A_ROW)


def test_both_engines_have_the_same_columns(database_url: str) -> None:
    columns = Db(database_url).fetch(
        "select table_name || '.' || column_name || ' ' || data_type as it"
        " from information_schema.columns"
        " where table_schema = 'public' and table_name = any($1)",
        RELATIONS,
    )
    expected = Path(__file__).parent / "columns.txt"
    assert sorted(row["it"] for row in columns) == expected.read_text().splitlines()


def test_to_migrate_again_changes_nothing(empty_database_url: str) -> None:
    run(empty_database_url)
    assert run(empty_database_url).applied == []


def test_replicas_that_start_together_migrate_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as replicas:
        applied = [m.applied for m in replicas.map(run, [empty_database_url] * 4)]
    assert len([names for names in applied if names]) == 1


def test_a_file_that_changed_after_it_was_applied_is_named(
    empty_database_url: str, sql: Path
) -> None:
    run(empty_database_url, sql)
    with (sql / "migrations" / "0001_baseline.sql").open("a") as file:
        file.write("create table surprise ();\n")
    with pytest.raises(MigrationError, match=r"0001_baseline\.sql was changed"):
        run(empty_database_url, sql)
    assert not Db(empty_database_url).value("select to_regclass('surprise') is not null")


def test_an_older_version_refuses_a_newer_database(empty_database_url: str, sql: Path) -> None:
    (sql / "migrations" / "0099_later.sql").write_text("create table later ();\n")
    run(empty_database_url, sql)
    with pytest.raises(MigrationError, match="newer version"):
        run(empty_database_url)


def test_a_migration_that_fails_leaves_nothing_behind(empty_database_url: str, sql: Path) -> None:
    (sql / "migrations" / "0099_bad.sql").write_text("create table half (); select 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        run(empty_database_url, sql)
    db = Db(empty_database_url)
    assert not db.value("select to_regclass('readings') is not null")
    assert not db.value("select to_regclass('half') is not null")


def test_what_is_missing_is_known(empty_database_url: str, sql: Path) -> None:
    async def missing(folder: Path) -> list[str]:
        connection = await asyncpg.connect(empty_database_url)
        try:
            return await missing_migrations(connection, folder)
        finally:
            await connection.close()

    assert asyncio.run(missing(SQL)) == ["all"]
    run(empty_database_url)
    assert asyncio.run(missing(SQL)) == []
    (sql / "migrations" / "0099_later.sql").write_text("select 1;")
    assert asyncio.run(missing(sql)) == ["0099_later.sql"]


@pytest.mark.timescaledb
def test_on_timescaledb_history_is_a_hypertable_and_rollups_are_continuous_aggregates(
    database_url: str, server: Server
) -> None:
    db = Db(database_url)
    rollups = db.fetch(
        "select view_name, materialized_only from timescaledb_information.continuous_aggregates"
    )
    assert {row["view_name"] for row in rollups} == {"quarter_hourly", "hourly", "daily"}
    assert not any(row["materialized_only"] for row in rollups)
    assert (
        db.value(
            "select time_interval from timescaledb_information.dimensions"
            " where hypertable_name = 'readings'"
        ).days
        == 1
    )
    indexes = db.fetch("select indexdef from pg_indexes where tablename = 'readings'")
    # and one of the few that are far below their register's highest value
    assert sorted(row["indexdef"].partition("(")[2].partition(" WHERE ")[0] for row in indexes) == [
        '"time")',
        'device, "time")',
    ]
    (settings,) = db.fetch(
        "select segmentby, orderby from timescaledb_information.hypertable_columnstore_settings"
        " where hypertable::text = 'readings'"
    )
    assert (settings["segmentby"], settings["orderby"]) == ("device", '"time"')


@pytest.mark.timescaledb
def test_policies_never_refresh_what_retention_has_dropped(
    empty_database_url: str, server: Server
) -> None:
    db = Db(empty_database_url)
    for days in (400, 400, 30):
        run(empty_database_url, retention_days=days)
        jobs = db.fetch(
            "select proc_name, hypertable_name, extract(day from coalesce("
            " config ->> 'drop_after', config ->> 'start_offset', config ->> 'compress_after'"
            ")::interval)::int as days"
            " from timescaledb_information.jobs where proc_name like 'policy_%'"
        )
        by_kind: dict[str, list[int]] = {}
        for job in jobs:
            by_kind.setdefault(job["proc_name"], []).append(job["days"])
        assert by_kind["policy_retention"] == [days + 1]
        assert by_kind["policy_refresh_continuous_aggregate"] == [days] * 3
        assert sorted(by_kind["policy_compression"]) == [7, 14]  # of history, of energy in pieces


def test_every_query_is_understood_by_the_database(database_url: str) -> None:
    """And says what it is for."""
    from fleetmeter.database.sql import queries

    async def prepare_all() -> int:
        connection = await asyncpg.connect(database_url)
        try:
            await queries.prepare_session(connection)
            names = [name for name in queries.available_queries if not name.endswith("_cursor")]
            for name in names:
                query = getattr(queries, name)
                assert query.__doc__, f"{name} has no line that says why"
                if name != "prepare_session":
                    await connection.prepare(query.sql)
            return len(names)
        finally:
            await connection.close()

    assert asyncio.run(prepare_all()) > 15


def test_a_database_of_the_old_layout_is_refused_with_what_to_do(empty_database_url: str) -> None:
    db = Db(empty_database_url)
    db.run(
        "create table schema_migrations (name text primary key, sha256 text not null,"
        " engine text not null, applied_at timestamptz not null default now());"
        " insert into schema_migrations (name, sha256, engine)"
        " values ('0001_tables.sql', '', 'postgresql'), ('0006_anomalies.sql', '', 'postgresql')"
    )
    with pytest.raises(MigrationError) as refused:
        run(empty_database_url)
    said = str(refused.value)
    assert "export" in said
    assert "import" in said
    assert "\n" not in said
    assert not db.value("select to_regclass('devices') is not null")
