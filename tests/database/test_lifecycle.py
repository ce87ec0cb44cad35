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
from tests.support.consistency import rollup_differences
from tests.support.rollups import ROLLUPS, between_policies, materialise

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


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
        for row in db.fetch(f"select * from {rollup} order by bucket, device")
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
        # as the policies have by the time when anything is ten days old
        materialise(db, Server("timescaledb", db.url))
        before = between_policies(rollups, db)
        assert len(chunks(db, "readings")) == 10

        # the database's own scheduler runs them, on its own
        between_policies(
            db.run,
            'select alter_job(job_id, config => config || \'{"compress_after": "2 days"}\','
            " next_start => now()) from timescaledb_information.jobs"
            " where proc_name = 'policy_compression'",
        )
        eventually(lambda: [c for _, c in chunks(db, "readings")].count(True) >= 7, timeout_s=30)

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
        eventually(lambda: between_policies(rollup_differences, db, "") == [])
        before = between_policies(rollups, db)

        # five days: four of retention, and one
        between_policies(lambda: asyncio.run(migrate(migrated_database_url, 4)))
        between_policies(
            db.run,
            "select alter_job(job_id, next_start => now()) from timescaledb_information.jobs"
            " where proc_name = 'policy_retention'",
        )
        eventually(
            lambda: chunks(db, "readings")[0][0] > datetime.now(UTC) - timedelta(days=6, hours=1),
            timeout_s=30,
        )
        assert between_policies(rollups, db) == before
        # and what comes late now does not touch the rollups of what is gone
        post(client, vehicle_reading("EV", hours_ago(90), 3))
        eventually(lambda: not db.value("select exists (select from late_hours)"))
        assert {row[0] for row in before} <= {row[0] for row in between_policies(rollups, db)}
        # what is stamped on the hour was used before it
        window = {"from": rfc3339(start - HOUR), "to": rfc3339(start + HOUR)}
        answer = client.get("/v1/vehicles/EV/energy", params=window).json()
        assert [item["energyDeliveredDc"] for item in answer["items"]] == [1, 14]
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
        post(client, *(vehicle_reading("EV", start + n * MINUTE, 1) for n in range(1, 11)))
        materialise(db, Server("timescaledb", db.url))
        db.fetch("select drop_chunks('readings', now() - interval '5 days')")
        window = {"from": rfc3339(start), "to": rfc3339(hours_ago(0))}
        answer = client.get("/v1/analytics/performance/EV", params=window).json()
        assert answer["totalEnergyDeliveredDc"] == 10


def test_history_may_begin_at_midnight(empty_database_url: str, tmp_path: Path) -> None:
    """What is stamped then belongs to the day before, of which there is nothing else."""
    environ = {"FLEETMETER_DATABASE_URL": empty_database_url}
    db = Db(empty_database_url)
    midnight = hours_ago(24 * 3).replace(hour=0, minute=0)

    def rolled_up() -> list[tuple[int, int]]:
        rows = db.fetch("select energy_mwh, soc_bp_min from quarter_hourly order by bucket")
        return [tuple(row) for row in rows]

    for first in (True, False):  # restarted
        with (
            running_service(tmp_path, environ) as service,
            httpx.Client(base_url=service.base_url, timeout=30) as client,
        ):
            if first:
                post(client, *(vehicle_reading("EV", midnight + n * MINUTE, 1) for n in range(2)))
                materialise(db, Server(db.value("select engine from schema_migrations"), db.url))
                assert rolled_up() == [(1_000_000, 7200)] * 2
                correction = {"vehicleId": "EV", "timestamp": rfc3339(midnight), "soc": 50}
                client.post(
                    "/v1/corrections", json=correction | {"who": "anna", "reason": "misread"}
                ).raise_for_status()
                eventually(lambda: rolled_up() == [(1_000_000, 5000), (1_000_000, 7200)])
            else:
                post(client, vehicle_reading("EV", midnight - timedelta(days=1), 1))
                eventually(lambda: len(rolled_up()) == 3)


@pytest.mark.timescaledb
@pytest.mark.parametrize("days", [4, 5, 30, 400, 36500])
def test_no_setting_lets_a_refresh_reach_what_retention_drops(
    migrated_database_url: str, days: int
) -> None:
    db = Db(migrated_database_url)
    asyncio.run(migrate(migrated_database_url, days))
    dropped = db.value(
        "select (config ->> 'drop_after')::interval from timescaledb_information.jobs"
        " where proc_name = 'policy_retention' and hypertable_name = 'readings'"
    )
    refreshed = db.fetch(
        "select (config ->> 'start_offset')::interval as since"
        " from timescaledb_information.jobs"
        " where proc_name = 'policy_refresh_continuous_aggregate'"
        " and hypertable_name in ('quarter_hourly', 'hourly', 'daily')"
    )
    assert len(refreshed) == 3
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
    assert db.value("select count(*) from replaced_readings") == 1

    # two replicas: one of them does it
    short = environ | {"FLEETMETER_RETENTION_DAYS": "4"}
    with (
        running_service(tmp_path, short) as service,
        running_service(tmp_path, short),
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        eventually(lambda: db.value("select ran_at is not null from retention"))
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        for table in ("vehicle_readings", "meter_readings"):
            kept = db.value(f"select min(time) from {table}")  # whole days of UTC
            assert kept == midnight + timedelta(hours=12) - timedelta(days=5)
        assert db.value("select count(*) from replaced_readings") == 0
        assert rollups(db) == before
        # what is stamped on the hour was used before it
        window = {"from": rfc3339(start - HOUR), "to": rfc3339(start + HOUR)}
        answer = client.get("/v1/vehicles/EV/energy", params=window).json()
        assert [item["energyDeliveredDc"] for item in answer["items"]] == [1, 14]
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
