"""The policies really run: columnstore, retention, and what they leave alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from fleetmeter.database.migrations import migrate
from fleetmeter.errors import SettingsError
from fleetmeter.settings import load_settings
from tests.api.test_main_job import materialise
from tests.conftest import (
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
from tests.consistency import rollup_differences

MINUTE = timedelta(minutes=1)
ROLLUPS = ("vehicle_hourly", "meter_hourly", "vehicle_daily", "meter_daily")


def ten_days(client: httpx.Client) -> datetime:
    """Readings of two devices in each of the last ten days; when they begin."""
    start = hours_ago(24 * 10).replace(hour=12, minute=0)
    post(
        client,
        *(
            reading
            for day in range(10)
            for n in range(5)
            for reading in (
                vehicle_reading("EV", start + day * timedelta(days=1) + n * MINUTE, 1 + n),
                meter_reading("M", start + day * timedelta(days=1) + n * MINUTE, 2 + n),
            )
        ),
    )
    return start


def rollups(db: Db) -> list[Any]:
    return [
        tuple(row)
        for rollup in ROLLUPS
        for row in db.fetch(f"select * from {rollup} order by bucket")
    ]


def chunks(db: Db, table: str) -> list[tuple[datetime, bool]]:
    return [
        (row["range_start"], row["is_compressed"])
        for row in db.fetch(
            "select range_start, is_compressed from timescaledb_information.chunks"
            " where hypertable_name = $1 order by 1",
            table,
        )
    ]


@pytest.mark.timescaledb
def test_shortened_policies_compress_and_drop_and_rollups_stay(
    migrated_database_url: str, tmp_path: Path
) -> None:
    environ = {"FLEETMETER_DATABASE_URL": migrated_database_url}
    with (
        running_service(tmp_path, environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        db = Db(migrated_database_url)
        start = ten_days(client)
        for rollup in ROLLUPS:  # as the policies have by the time when anything is ten days old
            db.fetch(
                f"call refresh_continuous_aggregate('{rollup}', null, now() - interval '1 day')"
            )
        before = rollups(db)
        assert len(chunks(db, "vehicle_readings")) == 10

        # the database's own scheduler runs them, on its own
        db.fetch(
            'select alter_job(job_id, config => config || \'{"compress_after": "2 days"}\','
            " next_start => now()) from timescaledb_information.jobs"
            " where proc_name = 'policy_compression'"
        )
        for table in ("vehicle_readings", "meter_readings"):
            eventually(
                lambda table=table: [c for _, c in chunks(db, table)].count(True) >= 7,
                timeout_s=30,
            )

        # late, again, and corrected, in the columnstore
        late = vehicle_reading("EV", start + timedelta(days=6, minutes=9), 7)
        assert post(client, late)["accepted"] == 1
        assert post(client, late)["duplicates"] == 1
        corrected = client.post(
            "/v1/corrections",
            json={
                "meterId": "M",
                "timestamp": rfc3339(start + timedelta(days=6)),
                "kwhConsumedAc": 50,
                "who": "anna",
                "reason": "misread",
            },
        )
        assert corrected.json()["changed"]
        eventually(lambda: rollup_differences(db, "") == [])
        before = rollups(db)

        # five days: four of retention, and one
        asyncio.run(migrate(migrated_database_url, 4))
        db.fetch(
            "select alter_job(job_id, next_start => now()) from timescaledb_information.jobs"
            " where proc_name = 'policy_retention'"
        )
        for table in ("vehicle_readings", "meter_readings"):
            eventually(
                lambda table=table: (
                    chunks(db, table)[0][0] > datetime.now(UTC) - timedelta(days=6, hours=1)
                ),
                timeout_s=30,
            )
        assert rollups(db) == before
        # and what comes late now does not touch the rollups of what is gone
        post(client, vehicle_reading("EV", hours_ago(90), 3))
        eventually(lambda: not db.value("select exists (select from late_hours)"))
        assert {row[0] for row in before} <= {row[0] for row in rollups(db)}
        window = {"from": rfc3339(start), "to": rfc3339(start + timedelta(hours=1))}
        answer = client.get("/v1/vehicles/EV/energy", params=window).json()
        assert [item["energyDeliveredDc"] for item in answer["items"]] == [15]
        assert client.get("/v1/vehicles/EV/readings", params=window).json()["items"] == []


@pytest.mark.timescaledb
def test_vehicles_alone_outlive_their_history_though_no_meter_ever_reports(
    migrated_database_url: str, tmp_path: Path
) -> None:
    environ = {"FLEETMETER_DATABASE_URL": migrated_database_url}
    with (
        running_service(tmp_path, environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        db = Db(migrated_database_url)
        start = hours_ago(24 * 10).replace(minute=0)
        post(client, *(vehicle_reading("EV", start + n * MINUTE, 1) for n in range(10)))
        materialise(db, Server("timescaledb", db.url))
        db.fetch("select drop_chunks('vehicle_readings', now() - interval '5 days')")
        window = {"from": rfc3339(start), "to": rfc3339(hours_ago(0))}
        answer = client.get("/v1/analytics/performance/EV", params=window).json()
        assert answer["totalEnergyDeliveredDc"] == 10


@pytest.mark.timescaledb
@pytest.mark.parametrize("days", [4, 5, 30, 400, 36500])
def test_no_setting_lets_a_refresh_reach_what_retention_drops(
    migrated_database_url: str, days: int
) -> None:
    db = Db(migrated_database_url)
    asyncio.run(migrate(migrated_database_url, days))
    for source, hourly, daily in (
        ("vehicle_readings", "vehicle_hourly", "vehicle_daily"),
        ("meter_readings", "meter_hourly", "meter_daily"),
    ):
        dropped = db.value(
            "select (config ->> 'drop_after')::interval from timescaledb_information.jobs"
            " where proc_name = 'policy_retention' and hypertable_name = $1",
            source,
        )
        refreshed = db.fetch(
            "select (config ->> 'start_offset')::interval as since"
            " from timescaledb_information.jobs"
            " where proc_name = 'policy_refresh_continuous_aggregate'"
            " and hypertable_name in ($1, $2)",
            hourly,
            daily,
        )
        assert len(refreshed) == 2
        for row in refreshed:
            assert dropped >= row["since"] + timedelta(days=1)


@pytest.mark.timescaledb
def test_policies_that_somebody_changed_are_put_right(empty_database_url: str) -> None:
    db = Db(empty_database_url)
    asyncio.run(migrate(empty_database_url, 100))
    policies = ("policy_retention", "policy_refresh_continuous_aggregate")
    wanted = (
        "select hypertable_name, config - 'mat_hypertable_id'"
        " from timescaledb_information.jobs where proc_name = $1 order by 1"
    )
    before = [db.fetch(wanted, policy) for policy in policies]
    for policy, offset in zip(policies, ("drop_after", "start_offset"), strict=True):
        db.fetch(
            f'select alter_job(job_id, config => config || \'{{"{offset}": "50 days"}}\')'
            " from timescaledb_information.jobs where proc_name = $1",
            policy,
        )
        asyncio.run(migrate(empty_database_url, 100))
        assert [db.fetch(wanted, each) for each in policies] == before


def test_history_cannot_be_kept_for_less_than_policies_need(db: Db) -> None:
    with pytest.raises(SettingsError, match="FLEETMETER_RETENTION_DAYS"):
        load_settings({"FLEETMETER_RETENTION_DAYS": "3"})
    with pytest.raises(asyncpg.CheckViolationError):
        db.fetch("select configure_retention(3)")


@pytest.mark.postgresql
def test_the_service_drops_old_history_where_the_database_does_not(
    migrated_database_url: str, tmp_path: Path
) -> None:
    db = Db(migrated_database_url)
    environ = {"FLEETMETER_DATABASE_URL": migrated_database_url}
    with (
        running_service(tmp_path, environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        start = ten_days(client)
        client.post(
            "/v1/corrections",
            json={
                "meterId": "M",
                "timestamp": rfc3339(start),
                "kwhConsumedAc": 50,
                "who": "anna",
                "reason": "misread",
            },
        ).raise_for_status()
    before = rollups(db)
    assert db.value("select count(*) from replaced_meter_readings") == 1

    # two replicas: one of them does it
    short = environ | {"FLEETMETER_RETENTION_DAYS": "4"}
    with (
        running_service(tmp_path, short) as service,
        running_service(tmp_path, short),
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        eventually(lambda: db.value("select ran_at is not null from retention"), timeout_s=20)
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        for table in ("vehicle_readings", "meter_readings"):
            kept = db.value(f"select min(time) from {table}")  # whole days of UTC
            assert kept == midnight + timedelta(hours=12) - timedelta(days=5)
        assert db.value("select count(*) from replaced_meter_readings") == 0
        assert rollups(db) == before
        window = {"from": rfc3339(start), "to": rfc3339(start + timedelta(hours=1))}
        answer = client.get("/v1/vehicles/EV/energy", params=window).json()
        assert [item["energyDeliveredDc"] for item in answer["items"]] == [15]
        fleet = client.get("/v1/analytics/fleet", params=window).json()
        assert fleet["totalEnergyConsumedAc"] == 50 + 3 + 4 + 5 + 6
        assert client.get("/v1/vehicles/EV/readings", params=window).json()["items"] == []
        old = client.post("/v1/ingest", json=[meter_reading("M", start + 9 * MINUTE)])
        assert old.json()["rejected"][0]["code"] == "too_old"


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
