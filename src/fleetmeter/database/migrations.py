"""Migrations: numbered SQL files, applied once, in one transaction, under a lock.

What is applied stands in the table `schema_migrations` with its checksum. Several services may
start at the same moment: one migrates, the others wait and find nothing to do. sql/README.md says
which files go where.
"""

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple

import asyncpg

from fleetmeter.database.pool import Connection, connected, retried
from fleetmeter.database.sql import SQL
from fleetmeter.errors import MigrationError, NotPermittedError

Engine = Literal["timescaledb", "postgresql"]

OLDEST_SERVER = 15
"""Major version of the oldest PostgreSQL that is supported."""

_OLD_LAYOUT = "0001_tables.sql"
"""The first migration of the layout before devices were numbered, which is not migrated."""

_PREPARE = """
create table if not exists schema_migrations (
    name text primary key,
    sha256 text not null,
    engine text not null,
    applied_at timestamptz not null default now()
)
"""


_MAY_CREATE = """
select
    coalesce(has_schema_privilege(n.oid, 'create'), false) as may_create,
    format(
        '%s may not create tables in %s', current_user, coalesce(n.nspname, 'public')
    ) as refusal,
    case
        when pg_get_userbyid(n.nspowner) = 'pg_database_owner'
            then format('alter database %I owner to %I', current_database(), current_user)
        else format('alter schema %I owner to %I', coalesce(n.nspname, 'public'), current_user)
    end as remedy
from (select current_schema() as name) as s
left join pg_namespace as n
    on n.nspname = s.name
where to_regclass('schema_migrations') is null
"""


class Accounting(NamedTuple):
    """The settings of energy accounting; see the service's settings of the same names."""

    reporting_interval_s: int = 60
    coverage_tolerance: float = 0.1
    session_gap_s: int = 900


DEFAULTS = Accounting()


class Migrated(NamedTuple):
    """The engine that a migration found, and the files it applied."""

    engine: Engine
    applied: list[str]


class _File(NamedTuple):
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


async def migrate(
    url: str, retention_days: int, accounting: Accounting = DEFAULTS, sql: Path = SQL
) -> Migrated:
    """Bring the database to this version's schema, all of it or nothing.

    Raises MigrationError: a file that was applied has changed or is gone, the server is too old, or
    it has TimescaleDB but cannot use it. Raises NotPermittedError: the role is not the owner's.
    Raises SettingsError and DatabaseUnavailableError.
    """

    async def in_one_transaction() -> Migrated:
        async with connected(url) as connection, connection.transaction():
            return await _migrate(connection, retention_days, accounting, sql)

    try:
        # services that go on meanwhile take locks in another order than statements on tables do
        return await retried(in_one_transaction)
    except NotPermittedError as error:
        raise NotPermittedError(
            f"{error}; the owner of the tables migrates (fleetmeter migrate), and a service with "
            "another role is started with FLEETMETER_MIGRATE=false"
        ) from error


async def _migrate(
    connection: Connection,
    retention_days: int,
    accounting: Accounting,
    sql: Path,
) -> Migrated:
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        raise MigrationError(
            f"the server is PostgreSQL {version.major}; FleetMeter needs {OLDEST_SERVER} or newer"
        )
    await connection.execute("select pg_advisory_xact_lock(hashtext('fleetmeter.migrate'))")
    await _check_may_create(connection)
    await connection.execute(_PREPARE)
    done = {row["name"]: row for row in await connection.fetch("select * from schema_migrations")}
    engine: Engine = (
        next(iter(done.values()))["engine"] if done else await _detect_engine(connection)
    )
    if _OLD_LAYOUT in done:
        raise MigrationError(
            "the database has the layout of a version before 0.2: export its history with that "
            "version (fleetmeter export), and import the file into a new database with this one"
        )
    files = _files(sql / "migrations", engine)
    for name in sorted(done.keys() - {file.name for file in files}):
        raise MigrationError(
            f"the database has the migration {name}, which this version of FleetMeter does not "
            "know: it was migrated by a newer version; use that one"
        )
    if done and any(file.name not in done for file in files):
        # batches in progress end first, others wait: they take rows and tables in another order
        await connection.execute("select pg_advisory_xact_lock(hashtext('fleetmeter.assignments'))")
    applied = []
    for file in files:
        if file.name not in done:
            await connection.execute(file.text)
            await connection.execute(
                "insert into schema_migrations (name, sha256, engine) values ($1, $2, $3)",
                *(file.name, file.sha256, engine),
            )
            applied.append(file.name)
        elif done[file.name]["sha256"] != file.sha256:
            raise MigrationError(
                f"the migration {file.name} was changed after it had been applied "
                f"({done[file.name]['applied_at']:%Y-%m-%d}); restore it and put the change into a "
                "new file"
            )
    for file in _files(sql / "routines", engine):
        await connection.execute(file.text)
    await connection.execute("select configure_retention($1)", retention_days)
    await connection.execute("select configure_accounting($1, $2, $3)", *accounting)
    return Migrated(engine, applied)


async def _check_may_create(connection: Connection) -> None:
    """Raise MigrationError if the role cannot make the first table."""
    found = await connection.fetchrow(_MAY_CREATE)
    if found is not None and not found["may_create"]:
        raise MigrationError(
            f"{found['refusal']}; let a superuser run in this database: {found['remedy']}"
        )


async def applied_migrations(connection: Connection) -> tuple[Engine | None, list[str]]:
    """Return the engine that the database was migrated on, None if it was not, and the files."""
    if not await connection.fetchval("select to_regclass('schema_migrations') is not null"):
        return None, []
    done = await connection.fetch("select name, engine from schema_migrations order by name")
    return (done[0]["engine"] if done else None), [row["name"] for row in done]


def known_migrations(engine: Engine, sql: Path = SQL) -> set[str]:
    """Return the names of this version's migrations for an engine."""
    return {file.name for file in _files(sql / "migrations", engine)}


async def missing_migrations(connection: Connection, sql: Path = SQL) -> list[str]:
    """Return the names of the migrations that the database still lacks."""
    engine, done = await applied_migrations(connection)
    return sorted(known_migrations(engine, sql) - set(done)) if engine else ["all"]


async def missing_from(url: str) -> list[str]:
    """Return the same for the database of a URL. Raises SettingsError, DatabaseUnavailableError."""
    async with connected(url) as connection:
        return await missing_migrations(connection)


def _files(folder: Path, engine: Engine) -> list[_File]:
    """Return the files of a folder that are for this engine, in order."""
    other = "postgresql" if engine == "timescaledb" else "timescaledb"
    return [
        _File(path.name, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.sql"))
        if not path.name.endswith(f".{other}.sql")
    ]


async def _detect_engine(connection: Connection) -> Engine:
    """Return `timescaledb` if the server has it, under the licence with continuous aggregates."""
    if not await connection.fetchval(
        "select exists (select from pg_available_extensions where name = 'timescaledb')"
    ):
        return "postgresql"
    try:
        await connection.execute("create extension if not exists timescaledb")
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(
            f"the server has TimescaleDB but FleetMeter cannot use it ({error}); put timescaledb "
            "into shared_preload_libraries and restart the server, or let a superuser run "
            "'create extension timescaledb' in this database"
        ) from error
    licence = await connection.fetchval("select current_setting('timescaledb.license', true)")
    return "timescaledb" if licence == "timescale" else "postgresql"
