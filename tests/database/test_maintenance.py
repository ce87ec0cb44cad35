"""Background work of the service: rollups, jobs that fail, retention."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from fleetmeter.database.pool import connect
from fleetmeter.operations.maintenance import _log_failing_jobs
from fleetmeter.settings import Settings
from tests.conftest import Db, Server, eventually
from tests.support.rollups import ROLLUPS

LATE = "select count(*) from late_hours"


@pytest.mark.timescaledb
def test_a_refresh_leaves_rollups_alone_whose_history_was_dropped(
    quiet_database_url: str, server: Server
) -> None:
    db = Db(quiet_database_url)
    old = datetime.now(UTC) - timedelta(days=20)
    for at in (old, datetime.now(UTC) - timedelta(days=2)):
        db.fetch(
            "insert into readings (device, time, energy_mwh, voltage_mv)"
            " values (number_device('meter', 'M'), $1, 1000, 230000)",
            at,
        )
    for rollup in ROLLUPS:
        db.fetch(f"call refresh_continuous_aggregate('{rollup}', null, now())")
    db.fetch("select drop_chunks('readings', interval '10 days')")
    db.fetch("insert into late_hours (hour) values (floor_hour($1))", old)
    db.fetch(
        "insert into _timescaledb_catalog.continuous_aggs_materialization_invalidation_log"
        " select mat_hypertable_id, -210866803200000000, 9223372036854775806"
        " from _timescaledb_catalog.continuous_agg"
    )
    db.fetch("call refresh_late_hours()")
    assert db.value("select count(*) from late_hours") == 0
    assert db.value("select count(*) from meter_hourly") == 2
    assert db.value("select count(*) from meter_daily") == 2


@pytest.mark.timescaledb
def test_a_failing_job_of_the_database_is_logged(
    migrated_database_url: str, server: Server
) -> None:
    db = Db(migrated_database_url)
    db.fetch(
        "create procedure broken(job_id int, config jsonb) language plpgsql"
        " as $$ begin raise exception 'out of coffee'; end $$"
    )
    db.fetch("select add_job('broken', '1 hour', initial_start => now())")
    eventually(lambda: db.fetch("select from failing_jobs()"), timeout_s=30)

    async def tell() -> None:
        database = await connect(migrated_database_url, Settings())
        try:
            await _log_failing_jobs(database)
        finally:
            await database.close()

    with capture_logs() as logs:
        asyncio.run(tell())
    assert [(log["log_level"], log["error"]) for log in logs] == [("error", "out of coffee")]


@pytest.mark.postgresql
def test_one_session_at_a_time_drops_old_history(db: Db) -> None:
    async def while_another_does() -> Any:
        other = await asyncpg.connect(db.url)
        mine = await asyncpg.connect(db.url)
        try:
            await other.execute("select pg_advisory_lock(hashtext('fleetmeter.drop_old_history'))")
            ran_at = await mine.fetchval("select ran_at from retention")
            await mine.execute("call drop_old_history()")
            assert await mine.fetchval("select ran_at from retention") == ran_at
            await other.close()
            await mine.execute("call drop_old_history()")
            return await mine.fetchval("select ran_at from retention"), ran_at
        finally:
            await mine.close()

    ran_at, before = asyncio.run(while_another_does())
    assert ran_at != before
