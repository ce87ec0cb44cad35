"""What the service does by itself."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from fleetmeter.database.pool import connect
from fleetmeter.operations.maintenance import _log_failing_jobs
from fleetmeter.settings import Settings
from tests.conftest import Db, Server, eventually, hours_ago, meter_reading, post
from tests.support.rollups import ROLLUPS, materialise

LATE = "select count(*) from late_hours"


def test_a_late_hour_is_noted_with_its_reading_and_forgotten_once_rolled_up(
    client: httpx.Client, db: Db, server: Server, uid: str
) -> None:
    if server.engine != "timescaledb":
        post(client, meter_reading(f"{uid}M", hours_ago(72)))
        eventually(lambda: db.value(LATE) == 0)
        return
    materialise(db, server)
    blocker = asyncio.new_event_loop()
    connection = blocker.run_until_complete(asyncpg.connect(db.url))
    try:
        # another replica is refreshing: this one leaves the row for later
        lock = "select pg_advisory_lock(hashtext('fleetmeter.refresh_late_hours'))"
        blocker.run_until_complete(connection.execute(lock))
        post(client, meter_reading(f"{uid}M", hours_ago(72)))
        assert db.value(LATE) >= 1
    finally:
        blocker.run_until_complete(connection.close())
        blocker.close()
    eventually(lambda: db.fetch("select from meter_hourly where meter_id = $1", f"{uid}M"))


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
def test_a_failing_job_of_the_database_is_told(migrated_database_url: str, server: Server) -> None:
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
