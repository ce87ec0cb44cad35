"""An owner migrates; the service and readers sign in as roles that can do less."""

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
import httpx
import pytest

from fleetmeter.database.migrations import migrate
from fleetmeter.errors import BackupError, MigrationError, NotPermittedError
from fleetmeter.operations.backup import back_up
from tests.conftest import (
    PAUSE_JOBS,
    RETENTION_DAYS,
    START_JOBS,
    Db,
    Server,
    Service,
    eventually,
    fresh_database,
    hours_ago,
    meter_reading,
    migrated_database,
    post,
    rfc3339,
    running_service,
    settled,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences, unshared_energy
from tests.support.processes import fleetmeter
from tests.support.repository import page
from tests.support.roles import (
    MEMBER,
    ON_TIMESCALEDB,
    OWNER,
    READER,
    SERVICE,
    roles,
    signed_in,
)
from tests.support.rollups import ROLLUPS, between_policies, compress, materialise

MINUTE = timedelta(minutes=1)
OLD_H = 24 * 40

SETTINGS_OF_MIGRATIONS = {"schema_migrations", "installation"}
RECORDS = {"audit_log"}
"""What is added to them stays."""

SECRETS = {
    *("webhooks", "access_keys", "access_key_changes", "browser_sessions", "audit_log"),
    *("tokens", "transactions", "transaction_records"),
}
"""Tables that readers of the fleet's data do not see."""

OWNERS_FUNCTIONS = {"configure_retention", "configure_accounting"}


class Database(NamedTuple):
    """One database, as each role sees it."""

    admin: Db
    owner: Db
    service: Db
    reader: Db


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    """A database that an owner has migrated who is no superuser, as the page says."""
    with roles(server.url), fresh_database(server) as url:
        admin = Db(url)
        name = admin.value("select current_database()")
        admin.fetch(f"alter database {name} owner to {OWNER}")
        if server.engine == "timescaledb":
            for statement in ON_TIMESCALEDB:
                admin.fetch(statement)
        owner, service, reader = (Db(signed_in(url, role)) for role in (OWNER, SERVICE, READER))
        asyncio.run(migrate(owner.url, RETENTION_DAYS))
        if server.engine == "timescaledb":
            admin.fetch(PAUSE_JOBS)
        yield Database(admin, owner, service, reader)


@pytest.fixture(scope="module")
def environ(database: Database) -> dict[str, str]:
    return {
        "FLEETMETER_DATABASE_URL": database.service.url,
        "FLEETMETER_MIGRATE": "false",
        "FLEETMETER_WEBHOOK_NETWORKS": "127.0.0.0/8",
    }


@pytest.fixture(scope="module")
def service(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that signs in as its role."""
    with running_service(tmp_path_factory.mktemp("service"), environ) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.base_url, timeout=30) as http:
        yield http


def complaints(service: Service) -> list[str]:
    """What the service has logged of something that it may not do."""
    refused = ("privilege", "permission denied", "must be owner")
    return [
        line
        for line in service.log.read_text().splitlines()
        if any(word in line for word in refused)
    ]


def done(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, answer.text
    return answer


def pack(db: Db) -> bool:
    """Pack the rollups, unless the service is doing it; whether all of them have been."""
    db.fetch("call pack_rollups()")
    packed = (
        "select count(distinct hypertable_name) from timescaledb_information.chunks"
        " where is_compressed and hypertable_name like '\\_materialized%'"
    )
    return bool(db.value(packed) == len(ROLLUPS))


def test_the_page_says_what_a_superuser_must_grant() -> None:
    for statement in (MEMBER, *ON_TIMESCALEDB):
        assert f"{statement};" in page("operations.md")


@pytest.mark.timescaledb
def test_late_readings_corrections_and_assignments_reach_the_rollups(
    client: httpx.Client, service: Service, database: Database, server: Server, uid: str
) -> None:
    db = database.service
    for start in (hours_ago(OLD_H), hours_ago(5)):
        post(client, *(vehicle_reading(f"{uid}V", start + n * MINUTE) for n in range(20)))
        post(client, *(meter_reading(f"{uid}M", start + n * MINUTE) for n in range(20)))
    materialise(db, server)
    compress(database.owner, server)
    if server.engine == "timescaledb":
        eventually(between_policies, pack, db)

    # into the columnstore of history and rollups
    late = hours_ago(OLD_H) + 30 * MINUTE
    post(client, meter_reading(f"{uid}M", late), vehicle_reading(f"{uid}V", late))
    since = {"meterId": f"{uid}M", "since": rfc3339(hours_ago(OLD_H + 1))}
    done(client.put(f"/v1/vehicles/{uid}V/meter", json=since))
    change = {"timestamp": rfc3339(late), "who": "anna", "reason": "misread"}
    done(client.post("/v1/corrections", json={"meterId": f"{uid}M", "kwhConsumedAc": 2} | change))
    done(client.post("/v1/corrections", json={"vehicleId": f"{uid}V", "void": True} | change))
    done(client.patch(f"/v1/meters/{uid}M", json={"reportingIntervalS": 120, "site": "depot"}))
    eventually(lambda: db.value("select count(*) from late_hours") == 0, timeout_s=30)
    settled(db)
    assert rollup_differences(db, uid) == []
    assert unshared_energy(db, uid) == []
    window = {"from": rfc3339(hours_ago(OLD_H + 1)), "to": rfc3339(hours_ago(0))}
    energy = done(client.get(f"/v1/analytics/performance/{uid}V", params=window)).json()
    assert energy["meterIds"] == [f"{uid}M"]
    assert complaints(service) == []


@pytest.mark.slow
def test_everything_else_that_the_service_does(
    client: httpx.Client,
    service: Service,
    database: Database,
    environ: dict[str, str],
    tmp_path: Path,
    uid: str,
) -> None:
    hook = fleetmeter(tmp_path, "webhook", "add", "http://127.0.0.1:9/closed", **environ)
    assert hook.returncode == 0, hook.stderr
    vehicle, start = f"{uid}HOT", hours_ago(4)
    post(
        client,
        *(vehicle_reading(vehicle, start + n * MINUTE, batteryTemp=80) for n in range(30)),
    )
    registers = [{"kwhConsumedAc": None, "kwhConsumedAcTotal": 10 * n} for n in range(1, 4)]
    for n, register in enumerate(registers):
        post(client, meter_reading(f"{uid}R", start + n * MINUTE, **register))
    exchange = {"at": rfc3339(start + 5 * MINUTE), "lastKwh": 31, "firstKwh": 0}
    done(client.post(f"/v1/meters/{uid}R/exchanges", json=exchange))
    rule = {"scope": "vehicle", "target": vehicle, "parameters": {"openC": 51}, "who": "anna"}
    done(client.put("/v1/rules/battery_hot", json=rule))
    assert client.post("/v1/ingest", json=[{"meterId": f"{uid}R"}]).status_code == 422
    found, *_ = eventually(
        lambda: client.get("/v1/anomalies", params={"deviceId": vehicle}).json()["items"],
        timeout_s=30,
    )
    done(client.post(f"/v1/anomalies/{found['id']}/acknowledge", json={"who": "anna"}))
    window = {"from": rfc3339(start), "to": rfc3339(hours_ago(0))}
    assert len(done(client.get("/v1/export", params=window)).text.splitlines()) > 30
    for path in ("/metrics", "/v1/analytics/fleet", "/v1/analytics/sites", "/v1/vehicles"):
        done(client.get(path))
    done(client.delete(f"/v1/meters/{uid}R"))
    failed = "select true from webhooks where failures > 0"
    eventually(lambda: database.service.fetch(failed), timeout_s=30)

    (tmp_path / "more.csv").write_text(
        f"meterId,kwhConsumedAc,timestamp\n{uid}CSV,1,{rfc3339(hours_ago(100))}\n"
    )
    for arguments in (
        ("storage",),
        ("import", "more.csv", "--evaluate"),
        ("webhook", "list"),
        ("purge", "--device", vehicle, "--yes"),
        ("audit",),
        ("key", "create", "operator", "--scope", "operate"),
    ):
        run = fleetmeter(tmp_path, *arguments, **environ)
        assert run.returncode == 0, run.stderr
    gone = "select count(*) from devices where id = $1"
    assert database.service.value(gone, vehicle) == 0
    assert complaints(service) == []


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine (n integer)",
        "create view mine as select 1",
        "create function mine() returns int language sql return 1",
        "create schema mine",
        "create index on readings (meter)",
        "alter table readings add column mine integer",
        "alter table readings set (autovacuum_enabled = false)",
        "alter table devices disable trigger all",
        "alter view vehicle_hourly rename to mine",
        "alter function device_of(text, text) rename to mine",
        "drop table live_state",
        "drop view vehicle_hourly",
        "drop function device_of(text, text)",
        "truncate readings",
        "truncate live_state",
        "update schema_migrations set sha256 = ''",
        "update installation set id = gen_random_uuid()",
        "select configure_retention(4)",
        "create role mine",
        "select rolpassword from pg_authid",
    ],
)
def test_the_service_changes_no_schema(database: Database, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        database.service.fetch(statement)
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
        database.reader.fetch(statement)


@pytest.mark.timescaledb
@pytest.mark.parametrize(
    "statement",
    [
        "create table _timescaledb_internal.mine (n integer)",
        "select drop_chunks('readings', interval '1 day')",
        "select remove_retention_policy('readings')",
        "update _timescaledb_catalog.hypertable set table_name = 'mine'",
    ],
)
def test_the_service_changes_nothing_of_timescaledb(database: Database, statement: str) -> None:
    with pytest.raises(asyncpg.PostgresError, match=r"permission denied|must be owner"):
        database.service.fetch(statement)


def test_the_service_may_use_every_table_and_function_but_what_is_listed(
    database: Database, server: Server
) -> None:
    privileges = database.admin.fetch(
        "select c.relname, c.relkind = 'v' as is_view, array("
        "  select p from unnest('{select,insert,update,delete}'::text[]) as p"
        "  where has_table_privilege($1, c.oid, p)) as may,"
        " pg_get_userbyid(c.relowner) as owner,"
        " has_table_privilege($1, c.oid, 'truncate, references, trigger') as may_more"
        " from pg_class as c"
        " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')",
        SERVICE,
    )
    assert len(privileges) > 40
    for name, is_view, may, owner, may_more in privileges:
        wanted = {"select", "insert", "update", "delete"}
        if name in SETTINGS_OF_MIGRATIONS:
            wanted = {"select"}
        elif name in RECORDS:
            wanted = {"select", "insert"}
        assert set(may) == wanted or (is_view and "select" in may), name
        is_rollup = name in ROLLUPS and server.engine == "timescaledb"
        assert owner == (SERVICE if is_rollup else OWNER), name
        assert may_more == is_rollup, name
    functions = database.admin.fetch(
        "select p.proname, has_function_privilege($1, p.oid, 'execute') as may"
        " from pg_proc as p"
        " where p.pronamespace = 'public'::regnamespace and not exists ("
        "  select from pg_depend as d where d.objid = p.oid and d.deptype = 'e')",
        SERVICE,
    )
    assert {name for name, may in functions if not may} == OWNERS_FUNCTIONS
    sequences = database.admin.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and case when relkind = 'S' then not has_sequence_privilege($1, oid, 'usage') end",
        SERVICE,
    )
    assert sequences == []


def test_the_reader_sees_no_secrets(database: Database) -> None:
    columns = database.admin.fetch(
        "select c.relname, a.attname, has_column_privilege($1, c.oid, a.attnum, 'select') as may"
        " from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0"
        " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')"
        " and not a.attisdropped",
        READER,
    )
    assert {table for table, _, may in columns if not may} == SECRETS & {c[0] for c in columns}
    secret = re.compile(r"secret|password|token|hash|url|address")
    assert [f"{table}.{name}" for table, name, may in columns if may and secret.search(name)] == []


def views() -> dict[str, set[str]]:
    """The columns of each view that docs/sql.md describes."""
    rows = re.findall(
        r"^\| (`\w+`[^|]*) \| [^|]+ \| ([^|]*`[^|]+) \|$", page("sql.md"), re.MULTILINE
    )
    return {
        view: set(re.findall(r"`(\w+)`", columns))
        for names, columns in rows
        for view in re.findall(r"`(\w+)`", names)
    }


def test_the_reader_reads_each_view_that_the_page_describes(database: Database) -> None:
    found = {
        view: {
            row[0]
            for row in database.reader.fetch(
                "select column_name::text from information_schema.columns"
                " where table_schema = 'public' and table_name = $1",
                view,
            )
        }
        for view in views()
    }
    assert len(found) > 12
    assert found == views()
    for view in found:
        database.reader.fetch(f"select * from {view} limit 1")


@pytest.mark.parametrize("number", range(5))
def test_the_reader_gets_answers_to_the_questions_of_the_page(
    database: Database, number: int
) -> None:
    queries = re.findall(r"```sql\n(.+?);\n```", page("sql.md"), re.DOTALL)
    assert len(queries) == 5
    database.reader.fetch(queries[number])


@pytest.mark.either
def test_a_service_that_would_migrate_as_its_role_says_what_to_do(database: Database) -> None:
    with pytest.raises(NotPermittedError, match="FLEETMETER_MIGRATE=false"):
        asyncio.run(migrate(database.service.url, RETENTION_DAYS))


def test_a_backup_as_the_service_is_refused_with_what_to_do(
    database: Database, tmp_path: Path
) -> None:
    with pytest.raises(BackupError) as refused:
        asyncio.run(back_up(database.service.url, tmp_path / "backup"))
    assert re.fullmatch(
        f"{SERVICE} may not read [0-9]+ of the tables and sequences to back up; set "
        f"FLEETMETER_DATABASE_URL to the URL of their owner, {OWNER}",
        str(refused.value),
    )
    assert list(tmp_path.iterdir()) == []
    asyncio.run(back_up(database.owner.url, tmp_path / "backup"))


def test_an_owner_without_the_database_is_told_how_to_get_it(server: Server) -> None:
    with roles(server.url), fresh_database(server) as url:
        with pytest.raises(MigrationError) as refused:
            asyncio.run(migrate(signed_in(url, OWNER), RETENTION_DAYS))
        text = str(refused.value)
        assert text.startswith(f"{OWNER} may not create tables in public; ")
        remedy = text.rpartition(": ")[2]
        assert (
            remedy
            == f"alter database {Db(url).value('select current_database()')} owner to {OWNER}"
        )
        Db(url).fetch(remedy)
        if server.engine == "timescaledb":
            for statement in ON_TIMESCALEDB:
                Db(url).fetch(statement)
        assert asyncio.run(migrate(signed_in(url, OWNER), RETENTION_DAYS)).applied


@pytest.mark.timescaledb
def test_a_rollup_that_was_made_again_goes_to_the_service_or_the_migration_says_what_to_grant(
    database: Database,
) -> None:
    grant = ON_TIMESCALEDB[-1]
    database.admin.fetch(f"alter materialized view daily owner to {OWNER}")
    database.admin.fetch(f"revoke create on schema _timescaledb_internal from {OWNER}")
    with pytest.raises(NotPermittedError, match="may grant create on the schema _timescaledb_int"):
        asyncio.run(migrate(database.owner.url, RETENTION_DAYS))
    database.admin.fetch(grant)
    asyncio.run(migrate(database.owner.url, RETENTION_DAYS))
    database.service.fetch("call refresh_continuous_aggregate('daily', null, now())")


@pytest.mark.slow  # it waits for workers, which other databases of the server may have taken
@pytest.mark.timescaledb
def test_the_policies_of_the_database_go_on(database: Database) -> None:
    settled(database.service)  # a policy fails that refreshes the same as the service
    database.owner.fetch(
        "create procedure broken(job_id int, config jsonb) language plpgsql"
        " as $$ begin raise exception 'out of coffee'; end $$"
    )
    database.owner.fetch("select add_job('broken', '1 hour', scheduled => false)")
    ours = "proc_name = 'broken' or hypertable_schema = 'public'"
    jobs = {
        row["job_id"]: row["proc_name"]
        for row in database.admin.fetch(
            "select job_id, proc_name::text, alter_job(job_id, scheduled => true,"
            f" next_start => now()) from timescaledb_information.jobs where {ours}"
        )
    }
    assert len(jobs) == 7
    database.admin.fetch(START_JOBS)
    try:
        eventually(lambda: outcomes(database.admin, jobs).keys() == jobs.keys(), timeout_s=60)
    finally:
        ended = outcomes(database.admin, jobs)
        database.admin.fetch("select _timescaledb_functions.stop_background_workers()")
    (broken,) = (job for job, name in jobs.items() if name == "broken")
    assert ended == dict.fromkeys(jobs, "Success") | {broken: "Failed"}
    (failing,) = database.service.fetch("select error from failing_jobs()")
    assert failing["error"] == "out of coffee"


def outcomes(db: Db, jobs: dict[int, str]) -> dict[int, str]:
    """How the last runs of those jobs ended that have run."""
    rows = db.fetch(
        "select job_id, last_run_status from timescaledb_information.job_stats"
        " where job_id = any($1) and last_run_status is not null",
        [*jobs],
    )
    return {row["job_id"]: row["last_run_status"] for row in rows}


@pytest.mark.timescaledb
def test_a_database_of_one_role_is_divided_when_it_is_migrated_again(server: Server) -> None:
    with migrated_database(server, jobs=False) as url, roles(server.url):
        db, service = Db(url), Db(signed_in(url, SERVICE))
        refresh = "call refresh_continuous_aggregate('daily', null, now())"
        db.fetch(refresh)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            service.fetch("select from readings")
        for _ in range(2):
            asyncio.run(migrate(url, RETENTION_DAYS))
            service.fetch(refresh)
            assert service.value("select count(*) from readings") == 0
        db.fetch(f"reassign owned by {SERVICE} to current_user")
        db.fetch(f"drop owned by {SERVICE}")
        db.fetch(f"drop owned by {READER}")
