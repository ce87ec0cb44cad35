"""Policies that TimescaleDB runs by itself: columnstore, refresh and retention."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from fleetmeter.database.migrations import migrate
from tests.conftest import (
    Db,
    Server,
    eventually,
    hours_ago,
    on_migrated,
    post,
    rfc3339,
    running_service,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences
from tests.support.rollups import between_policies, materialise, ten_days

pytestmark = pytest.mark.timescaledb

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def chunks(db: Db, table: str) -> list[tuple[datetime, bool]]:
    return [
        (row["range_start"], row["is_compressed"])
        for row in db.fetch(
            "select range_start, is_compressed from timescaledb_information.chunks"
            " where hypertable_name = $1 order by 1",
            table,
        )
    ]


def test_history_in_the_columnstore_takes_late_readings_and_corrections(
    migrated_database_url: str, tmp_path: Path
) -> None:
    environ = on_migrated(migrated_database_url)
    with (
        running_service(tmp_path, environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        db = Db(migrated_database_url)
        start = ten_days(client)
        # as the policies have by the time when anything is ten days old
        materialise(db, Server("timescaledb", db.url))
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


def test_energy_of_vehicles_outlives_history_when_no_meter_ever_reported(
    migrated_database_url: str, tmp_path: Path
) -> None:
    environ = on_migrated(migrated_database_url)
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


@pytest.mark.parametrize("days", [4, 5, 30, 400, 36500])
def test_no_retention_lets_a_refresh_reach_dropped_history(
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


def test_migrating_restores_policies_that_somebody_changed(quiet_database_url: str) -> None:
    db = Db(quiet_database_url)
    asyncio.run(migrate(quiet_database_url, 100))
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
        asyncio.run(migrate(quiet_database_url, 100))
        assert [db.fetch(wanted, each) for each in policies] == before
