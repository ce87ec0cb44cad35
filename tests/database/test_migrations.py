"""Migrations: from nothing, again, together, and what they refuse."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from fleetmeter.database.migrations import Migrated, migrate, missing_migrations
from fleetmeter.database.sql import SQL
from fleetmeter.errors import MigrationError
from tests.conftest import Db, Server


def run(url: str, sql: Path = SQL, retention_days: int = 400) -> Migrated:
    return asyncio.run(migrate(url, retention_days, sql=sql))


@pytest.fixture
def sql(tmp_path: Path) -> Path:
    """A copy of the SQL that a test may change."""
    return Path(shutil.copytree(SQL, tmp_path / "sql"))


def test_migrating_again_changes_nothing(empty_database_url: str) -> None:
    run(empty_database_url)
    assert run(empty_database_url).applied == []


def test_replicas_that_start_together_migrate_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as replicas:
        applied = [m.applied for m in replicas.map(run, [empty_database_url] * 4)]
    assert len([names for names in applied if names]) == 1


@pytest.mark.either
def test_a_migration_that_deadlocks_with_a_service_is_tried_again(
    migrated_database_url: str,
) -> None:
    waiting = (
        "select count(*) from pg_stat_activity"
        " where wait_event_type = 'Lock' and datname = current_database()"
    )

    async def collide() -> Migrated:
        other = await asyncpg.connect(migrated_database_url)
        watch = await asyncpg.connect(migrated_database_url)
        try:
            await other.execute("set deadlock_timeout = '1h'")  # the migration finds it
            async with other.transaction():
                await other.execute("update accounting set session_gap_s = session_gap_s")
                migrating = asyncio.create_task(migrate(migrated_database_url, 123))
                while not await watch.fetchval(waiting):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await other.execute("update retention set days = 7")
            return await migrating
        finally:
            await other.close()
            await watch.close()

    with capture_logs() as logs:
        assert asyncio.run(collide()).applied == []
    assert "a transaction is tried again" in [each["event"] for each in logs]
    assert Db(migrated_database_url).value("select days from retention") == 123


@pytest.mark.either
def test_a_migration_waits_for_batches_in_progress(migrated_database_url: str, sql: Path) -> None:
    (sql / "migrations" / "0099_later.sql").write_text(
        "alter table readings add column later integer;\n"
        "alter table live_state add column later integer;\n"
    )
    waiting = (
        "select count(*) from pg_stat_activity"
        " where wait_event = 'advisory' and datname = current_database()"
    )

    async def meet() -> Migrated:
        batch = await asyncpg.connect(migrated_database_url)
        watch = await asyncpg.connect(migrated_database_url)
        try:
            async with batch.transaction():
                await batch.execute("select from begin_batch()")
                migrating = asyncio.create_task(migrate(migrated_database_url, 400, sql=sql))
                while not await watch.fetchval(waiting):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await batch.execute("select from live_state for update")
                await batch.execute("update readings set soc_bp = null")
            return await migrating
        finally:
            await batch.close()
            await watch.close()

    assert asyncio.run(meet()).applied == ["0099_later.sql"]


@pytest.mark.either
def test_a_file_that_changed_after_it_was_applied_is_named(
    empty_database_url: str, sql: Path
) -> None:
    run(empty_database_url, sql)
    with (sql / "migrations" / "0001_baseline.sql").open("a") as file:
        file.write("create table surprise ();\n")
    with pytest.raises(MigrationError, match=r"0001_baseline\.sql was changed"):
        run(empty_database_url, sql)
    assert not Db(empty_database_url).value("select to_regclass('surprise') is not null")


@pytest.mark.either
def test_an_older_version_refuses_a_newer_database(empty_database_url: str, sql: Path) -> None:
    (sql / "migrations" / "0099_later.sql").write_text("create table later ();\n")
    run(empty_database_url, sql)
    with pytest.raises(MigrationError, match="newer version"):
        run(empty_database_url)


@pytest.mark.either
def test_a_migration_that_fails_leaves_nothing_behind(empty_database_url: str, sql: Path) -> None:
    (sql / "migrations" / "0099_bad.sql").write_text("create table half (); select 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        run(empty_database_url, sql)
    db = Db(empty_database_url)
    assert not db.value("select to_regclass('readings') is not null")
    assert not db.value("select to_regclass('half') is not null")


@pytest.mark.either
def test_missing_migrations_are_listed(empty_database_url: str, sql: Path) -> None:
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


@pytest.mark.either
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
