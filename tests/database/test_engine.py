"""The contract of an engine: what the product relies on, whatever the SQL runs on.

Every test here runs on every engine. What one engine does in a way of its own (policies, the
columnstore, watermarks) is tested beside this file, under that engine's marker.
"""

import asyncio
import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from fleetmeter.database.query_types import STUB, written
from fleetmeter.database.sql import SQL, queries
from fleetmeter.errors import SettingsError
from fleetmeter.operations.storage import read_storage
from fleetmeter.settings import load_settings
from tests.conftest import (
    Db,
    Server,
    eventually,
    hours_ago,
    meter_reading,
    on_migrated,
    post,
    rfc3339,
    running_service,
    settled,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences
from tests.support.rollups import between_policies, compress, materialise, rolled_up, ten_days
from tests.support.storage import DAY, REPORTED, TODAY, relations, stored

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

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
    *("access_keys", "access_key_changes", "browser_sessions", "audit_log"),
    *("transactions", "tokens", "transaction_records", "charging_transactions"),
    *("rule_overrides", "rule_changes", "webhooks", "register_events", "register_exchanges"),
]
HAVE_A_ROW = ["retention", "kept_history", "versions", "anomaly_progress", "access_key_changes"]
FILES = Path(__file__).parent


def test_an_empty_database_has_every_relation(quiet_database_url: str) -> None:
    db = Db(quiet_database_url)
    for relation in RELATIONS:
        assert len(db.fetch(f"select * from {relation}")) == (relation in HAVE_A_ROW)


def test_relations_have_the_same_columns(db: Db) -> None:
    columns = db.fetch(
        "select table_name || '.' || column_name || ' ' || data_type as it"
        " from information_schema.columns"
        " where table_schema = 'public' and table_name = any($1)",
        RELATIONS,
    )
    expected = (FILES / "columns.txt").read_text().splitlines()
    assert sorted(row["it"] for row in columns) == expected


def test_routines_have_the_same_arguments_and_results(db: Db) -> None:
    """The file lists what each engine defines in SQL of its own, with required arguments."""
    expected = (FILES / "routines.txt").read_text().splitlines()
    names = [line.partition("(")[0] for line in expected]
    assert set(names) == defined_by("timescaledb") & defined_by("postgresql")
    routines = db.fetch(
        "select p.proname || '(' || array_to_string(array("
        " select format_type(a.type, null)"
        " from unnest(p.proargtypes::oid[]) with ordinality as a (type, n)"
        " where a.n <= p.pronargs - p.pronargdefaults order by a.n"
        "), ', ') || ')' || coalesce(' returns ' || pg_get_function_result(p.oid), '') as it"
        " from pg_proc as p where p.pronamespace = 'public'::regnamespace and p.proname = any($1)",
        names,
    )
    assert sorted(row["it"] for row in routines) == expected


def defined_by(engine: str) -> set[str]:
    """Return the functions and procedures in SQL of one engine."""
    define = re.compile(r"^create or replace (?:function|procedure) (\w+)", re.MULTILINE)
    files = (SQL / "routines").glob(f"*.{engine}.sql")
    return {name for file in files for name in define.findall(file.read_text(encoding="utf-8"))}


def test_every_query_can_be_prepared_and_says_what_it_is_for(database_url: str) -> None:
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


def test_queries_have_the_same_types(database_url: str) -> None:
    async def asked() -> str:
        connection = await asyncpg.connect(database_url)
        try:
            return await written(connection)
        finally:
            await connection.close()

    assert asyncio.run(asked()) == STUB.read_text(encoding="utf-8"), "run: make queries"


def test_a_late_hour_is_noted_with_its_reading_and_forgotten_once_rolled_up(
    client: httpx.Client, db: Db, server: Server, uid: str
) -> None:
    post(client, meter_reading(f"{uid}M", hours_ago(48)))
    materialise(db, server)
    at = hours_ago(72)

    def noted() -> bool:
        found: bool = db.value("select floor_hour($1) in (select hour from late_hours)", at)
        return found

    lock = "select pg_advisory_lock(hashtext('fleetmeter.refresh_late_hours'))"

    async def while_another_replica_refreshes() -> None:
        other = await asyncpg.connect(db.url)
        try:
            await other.execute(lock)
            post(client, meter_reading(f"{uid}M", at))
            # plain PostgreSQL has nothing to refresh, and no reason to wait for others
            assert server.engine == "postgresql" or noted()
        finally:
            await other.close()

    asyncio.run(while_another_replica_refreshes())
    eventually(lambda: not noted())
    hours = db.fetch("select bucket from meter_hourly where meter_id = $1 order by 1", f"{uid}M")
    assert len(hours) == 2


def test_a_change_over_many_days_restamps_them_all(client: httpx.Client, db: Db, uid: str) -> None:
    start = hours_ago(24 * 13)
    vehicle = f"{uid}EV"
    post(client, *(vehicle_reading(vehicle, start + n * timedelta(hours=5)) for n in range(60)))
    changed = client.put(
        f"/v1/vehicles/{vehicle}/meter",
        json={"meterId": f"{uid}M", "since": rfc3339(start + timedelta(hours=5))},
    )
    assert changed.json()["restamped"] == 59
    eventually(lambda: rollup_differences(db, uid) == [])
    pending = (
        "select count(*) from meter_assignments where vehicle_id = $1 and restamped_at is null"
    )
    assert db.value(pending, vehicle) == 0


def test_history_may_begin_at_midnight(
    quiet_database_url: str, server: Server, tmp_path: Path
) -> None:
    """The reading stamped at midnight belongs to the day before, which has no other."""
    environ = on_migrated(quiet_database_url)
    db = Db(quiet_database_url)
    midnight = hours_ago(24 * 3).replace(hour=0, minute=0)

    def energies() -> list[tuple[int, int]]:
        rows = db.fetch("select energy_mwh, soc_bp_min from quarter_hourly order by bucket")
        return [tuple(row) for row in rows]

    for first in (True, False):  # restarted
        with (
            running_service(tmp_path, environ) as service,
            httpx.Client(base_url=service.base_url, timeout=30) as client,
        ):
            if first:
                post(client, *(vehicle_reading("EV", midnight + n * MINUTE, 1) for n in range(2)))
                materialise(db, server)
                assert energies() == [(1_000_000, 7200)] * 2
                correction = {"vehicleId": "EV", "timestamp": rfc3339(midnight), "soc": 50}
                client.post(
                    "/v1/corrections", json=correction | {"who": "anna", "reason": "misread"}
                ).raise_for_status()
                eventually(lambda: energies() == [(1_000_000, 5000), (1_000_000, 7200)])
            else:
                post(client, vehicle_reading("EV", midnight - timedelta(days=1), 1))
                eventually(lambda: len(energies()) == 3)


def test_history_cannot_be_kept_for_less_than_policies_need(db: Db) -> None:
    with pytest.raises(SettingsError, match="FLEETMETER_RETENTION_DAYS"):
        load_settings({"FLEETMETER_RETENTION_DAYS": "3"})
    with pytest.raises(asyncpg.CheckViolationError):
        db.fetch("select configure_retention(3)")


def test_what_was_answered_from_history_stays_once_it_is_dropped(
    migrated_database_url: str, server: Server, tmp_path: Path
) -> None:
    db = Db(migrated_database_url)
    environ = on_migrated(migrated_database_url)
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
        materialise(db, server)  # as the policies have by the time when anything is ten days old
        compress(db, server)
    before = between_policies(rolled_up, db)
    assert db.value("select count(*) from replaced_readings") == 1

    short = {"FLEETMETER_DATABASE_URL": migrated_database_url, "FLEETMETER_RETENTION_DAYS": "4"}
    with (
        running_service(tmp_path, short) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        if server.engine == "timescaledb":
            between_policies(
                db.run,
                "select alter_job(job_id, next_start => now()) from timescaledb_information.jobs"
                " where proc_name = 'policy_retention'",
            )
        # five whole days of UTC: four of retention, and one
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        oldest = [midnight + 12 * HOUR - 5 * DAY] * 2
        tables = ("vehicle_readings", "meter_readings")
        eventually(
            lambda: [db.value(f"select min(time) from {table}") for table in tables] == oldest,
            timeout_s=30,
        )
        between_policies(db.fetch, "call drop_old_history()")
        assert db.value("select count(*) from replaced_readings") == 0
        assert between_policies(rolled_up, db) == before
        # what comes late now does not touch the rollups of what is gone
        post(client, vehicle_reading("EV", hours_ago(90), 3))
        eventually(lambda: not db.value("select exists (select from late_hours)"))
        assert {row[0] for row in before} <= {row[0] for row in between_policies(rolled_up, db)}
        # what is stamped on the hour was used before it
        window = {"from": rfc3339(start - HOUR), "to": rfc3339(start + HOUR)}
        answer = client.get("/v1/vehicles/EV/energy", params=window).json()
        assert [item["energyDeliveredDc"] for item in answer["items"]] == [1, 14]
        fleet = client.get("/v1/analytics/fleet", params=window).json()
        assert fleet["totalEnergyConsumedAc"] == 50 + 3 + 4 + 5 + 6
        assert client.get("/v1/vehicles/EV/readings", params=window).json()["items"] == []
        old = client.post("/v1/ingest", json=[meter_reading("M", start + 9 * MINUTE)])
        assert old.json()["rejected"][0]["code"] == "too_old"


def test_slices_are_cut_to_the_window_rolled_up_or_not(
    client: httpx.Client, db: Db, server: Server, uid: str
) -> None:
    start = hours_ago(50).replace(minute=0)
    post(client, *(meter_reading(f"{uid}M", start + n * MINUTE, 0.06) for n in range(1, 181)))
    begin, end = start + timedelta(minutes=20, seconds=30), start + timedelta(minutes=130.25)

    def energies() -> list[tuple[datetime, int]]:
        rows = db.fetch(
            "select bucket - interval '1 microsecond', sum(energy_mwh)::bigint"
            " from slices(array[device_of('meter', $1)], $2, $3) group by 1 order by 1",
            f"{uid}M",
            begin,
            end,
        )
        return [tuple(row) for row in rows]

    quarters = [start + n * 15 * MINUTE for n in range(1, 9)]
    expected = [(quarters[0], 570_000), *((q, 900_000) for q in quarters[1:7])]
    expected.append((quarters[7], 615_000))
    settled(db)  # other tests have rolled up hours of that time
    assert energies() == expected
    materialise(db, server)
    assert energies() == expected


def test_an_export_is_in_the_order_of_history_also_from_the_columnstore(
    client: httpx.Client, db: Db, server: Server, uid: str
) -> None:
    begin = hours_ago(24 * 14).replace(hour=0, minute=0)
    times = [begin + n * timedelta(hours=7) for n in range(14)]
    known = [f"{uid}B", f"{uid}A", f"{uid}M"]
    for vehicle in known[:2]:
        post(client, *(vehicle_reading(vehicle, at) for at in times))
    post(client, *(meter_reading(f"{uid}M", at) for at in times))
    if server.engine == "timescaledb":
        for chunk in db.fetch(
            "select format('%I.%I', chunk_schema, chunk_name) as name"
            " from timescaledb_information.chunks where not is_compressed"
            " and hypertable_name = 'readings' and range_start <= $1 and range_end > $1",
            begin + DAY,
        ):
            db.fetch(f"call convert_to_columnstore('{chunk['name']}', if_not_columnstore => true)")
    late = begin + DAY + timedelta(hours=1, microseconds=7)
    post(client, vehicle_reading(f"{uid}A", late))

    window = {"from": rfc3339(begin), "to": rfc3339(begin + 5 * DAY)}
    lines = [
        (line["vehicleId"] or line["meterId"], datetime.fromisoformat(line["timestamp"]))
        for line in csv.DictReader(client.get("/v1/export", params=window).text.splitlines())
        if uid in line["vehicleId"] + line["meterId"]
    ]
    expected = [(device, at) for device in known for at in times]
    expected.append((f"{uid}A", late))

    def place(reading: tuple[str, datetime]) -> tuple[Any, ...]:
        device, at = reading
        return at.date() if server.engine == "timescaledb" else None, known.index(device), at

    assert lines == sorted(expected, key=place)


@pytest.fixture(scope="module")
def filled(server: Server) -> Iterator[Db]:
    with stored(server) as db:
        yield db


def test_a_storage_report_counts_everything_once_in_one_order(filled: Db) -> None:
    report = asyncio.run(read_storage(filled.url))
    assert [each.relation for each in report.relations] == REPORTED
    rows = {each.relation: each.about_rows for each in report.relations}
    assert rows.pop("other tables") >= filled.value("select count(*) from schema_migrations")
    assert {name: count for name, count in rows.items() if count} == {
        "readings": 721,
        "live state": 1,
        "accounted energy": 2,
        "corrections": 1,
    }
    sizes = {each.relation: each.bytes for each in report.relations}
    assert sizes["live state"] == filled.value("select pg_total_relation_size('live_state')")
    assert sum(sizes.values()) < report.database_bytes
    assert report.database_bytes == filled.value("select pg_database_size(current_database())")


def test_a_storage_report_shows_chunks_where_history_has_some(filled: Db, server: Server) -> None:
    history = relations(filled)["readings"]
    if server.engine == "postgresql":
        size = filled.value("select pg_total_relation_size('readings')")
        assert history.bytes == size
        assert history.bytes_per_row == size / 721
        assert (history.chunks, history.columnstore_chunks, history.oldest) == (None, None, None)
        return
    (stats,) = filled.fetch("select * from hypertable_columnstore_stats('readings')")
    assert history.bytes == filled.value("select hypertable_size('readings')")
    assert (history.chunks, history.columnstore_chunks, history.columnstore_rows) == (4, 2, 480)
    assert history.columnstore_bytes_before == stats["before_compression_total_bytes"]
    assert history.columnstore_bytes is not None
    assert history.columnstore_bytes >= stats["after_compression_total_bytes"]
    assert history.columnstore_bytes_per_row == history.columnstore_bytes / 480
    assert history.bytes_per_row == (history.bytes - history.columnstore_bytes) / 241
    assert (history.oldest, history.newest) == (TODAY - 4 * DAY, TODAY)


def test_a_storage_report_counts_no_rows_that_the_planner_knows_of(filled: Db) -> None:
    filled.fetch("analyze assignments")
    before = relations(filled)["other tables"].about_rows
    filled.fetch("insert into assignments values (9, now(), 10)")
    assert relations(filled)["other tables"].about_rows == before
