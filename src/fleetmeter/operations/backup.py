"""Backups: pg_dump's folder of a whole database, with a manifest of what it holds.

The manifest has the rows of every table and the energy by kind of device, as of the snapshot that
was dumped; a restored database is compared with it. A folder has its name only once it is complete.
"""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from fleetmeter import __version__
from fleetmeter.database.migrations import Engine, applied_migrations, known_migrations
from fleetmeter.database.pool import Connection, connected
from fleetmeter.database.programs import major_version, program
from fleetmeter.database.sql import queries
from fleetmeter.database.urls import split_password
from fleetmeter.errors import BackupError

MANIFEST = "fleetmeter.json"

_LOCK_WAIT = "--lock-wait-timeout=1min"
"""Who waits to drop history waits for the backup's locks, and pg_dump behind them: it gives up."""


class Sum(msgspec.Struct, frozen=True):
    """What a table holds, or the readings and days of a kind of device."""

    relation: str
    rows: int
    energy_mwh: str | None
    """Decimal digits: it may exceed 64 bits."""


class Manifest(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What a backup is of."""

    fleetmeter: str
    """Version that made it."""

    created_at: datetime
    engine: Engine
    server: int
    """Major version of PostgreSQL."""

    timescaledb: str | None
    pg_dump: int
    """Major version; an older pg_restore cannot read the folder."""

    migrations: list[str]
    sums: list[Sum]


async def back_up(url: str, folder: Path, jobs: int = 1) -> Manifest:
    """Dump a migrated database into a new folder, while the service goes on.

    Raises BackupError, and what `connected` raises.
    """
    with _whole_or_gone(folder) as unfinished:
        async with connected(url) as connection:
            manifest, pg_dump = await _describe(connection)
            async with _one_snapshot(connection):
                snapshot = await queries.export_snapshot(connection)
                options = ("--format=directory", f"--jobs={jobs}", f"--snapshot={snapshot}")
                await _run(pg_dump, url, *options, _LOCK_WAIT, f"--file={unfinished}")
                sums = await _sums(connection)
        manifest = msgspec.structs.replace(manifest, sums=sums)
        text = msgspec.json.format(msgspec.json.encode(manifest))
        (unfinished / MANIFEST).write_bytes(text)
    return manifest


@asynccontextmanager
async def _one_snapshot(connection: Connection) -> AsyncIterator[None]:
    """Read the same data in all statements of the block.

    Before there is a snapshot, chunks are locked against a move to the columnstore and nothing
    else: it truncates what the snapshot looks for, and where that has gone it cannot be seen.
    Raises BackupError.
    """
    chunks = await queries.chunks(connection)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            if chunks:
                await connection.execute(f"lock table {chunks} in share update exclusive mode")
            yield
    except asyncpg.UndefinedTableError as error:
        raise BackupError("old history was dropped at this moment: try again") from error


async def _describe(connection: Connection) -> tuple[Manifest, Path]:
    """Return what a backup of the database is of, without sums, and the pg_dump to make it."""
    engine, migrations = await applied_migrations(connection)
    if engine is None:
        raise BackupError("the database has no schema of FleetMeter: there is nothing to keep")
    unreadable = await queries.unreadable_relations(connection)
    if unreadable["relations"]:
        raise BackupError(
            f"{unreadable['role']} may not read {unreadable['relations']} of the tables and "
            "sequences to back up; set FLEETMETER_DATABASE_URL to the URL of their owner, "
            f"{unreadable['owner']}"
        )
    server = connection.get_server_version().major
    pg_dump = program("pg_dump", server)
    manifest = Manifest(
        fleetmeter=__version__,
        created_at=datetime.now(UTC),
        engine=engine,
        server=server,
        timescaledb=await queries.timescaledb_version(connection),
        pg_dump=major_version(pg_dump),
        migrations=migrations,
        sums=[],
    )
    return manifest, pg_dump


@contextmanager
def _whole_or_gone(folder: Path) -> Iterator[Path]:
    """Yield a new folder to write; it gets the name of `folder` if nothing goes wrong."""
    if folder.exists():
        raise BackupError(f"{folder} is there already; name a new folder")
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)  # pg_dump takes an empty one
        try:
            yield unfinished
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise BackupError(f"{folder} cannot be written: {error}") from error


async def restore(url: str, folder: Path) -> Manifest:
    """Restore a backup into an empty database, all of it or nothing, and compare its sums.

    The schema is the backup's; migrate afterwards. Raises BackupError, and what `connected` raises.
    """
    manifest = read_manifest(folder)
    async with connected(url) as connection:
        await _check(connection, manifest)
        server = connection.get_server_version().major
        pg_restore = program("pg_restore", max(server, manifest.pg_dump))
        options = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-acl")
        timescaledb = manifest.engine == "timescaledb"
        if timescaledb:
            # it stops the jobs, and takes rows of the catalogue as they are
            await connection.execute("select timescaledb_pre_restore()")
        try:
            await _run(pg_restore, url, *options, str(folder))
        except BackupError:
            if timescaledb:
                await connection.execute("select timescaledb_post_restore()")
            raise
        async with _one_snapshot(connection):  # the jobs that start again change rollups
            if timescaledb:
                await connection.execute("select timescaledb_post_restore()")
            restored = await _sums(connection)
        await connection.execute("analyze")
    if restored != manifest.sums:
        raise BackupError(
            "the restored database differs from the backup in "
            f"{_differences(manifest.sums, restored)}: do not use it, and keep the backup"
        )
    return manifest


async def restart_jobs(url: str) -> None:
    """Let TimescaleDB's jobs run now: those that ran before the migration may have failed."""
    async with connected(url) as connection:
        await connection.execute(_RESTART_JOBS)


def read_manifest(folder: Path) -> Manifest:
    """Read what a backup is of. Raises BackupError."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise BackupError(f"{folder} is not a backup of `fleetmeter backup`: {error}") from error


async def _check(connection: Connection, manifest: Manifest) -> None:
    """Raise BackupError for a backup that cannot be restored into this database."""
    if unknown := sorted(set(manifest.migrations) - known_migrations(manifest.engine)):
        raise BackupError(
            f"the backup was made by FleetMeter {manifest.fleetmeter}, whose migrations "
            f"({', '.join(unknown)}) this version does not know; use that one or a newer one"
        )
    server = connection.get_server_version().major
    if server < manifest.server:
        raise BackupError(
            f"the backup is of PostgreSQL {manifest.server}, the server is PostgreSQL {server}; "
            "restore it into the same or a newer one"
        )
    if not await connection.fetchval(_EMPTY):
        raise BackupError(
            "the database is not empty; restore into a new one, before a service has used it"
        )
    if manifest.timescaledb is not None:
        await _install(connection, manifest.timescaledb)


async def _install(connection: Connection, version: str) -> None:
    """Install the TimescaleDB that the backup is of: its catalogue fits no other."""
    offered = [row["version"] for row in await connection.fetch(_OFFERED)]
    installed = await queries.timescaledb_version(connection)
    if (installed or version) != version or version not in offered:
        raise BackupError(
            f"the backup is of TimescaleDB {version}, the server has "
            f"{installed or ', '.join(offered) or 'none'}; restore it with {version}, and update "
            "the extension afterwards"
        )
    if not re.fullmatch(r"[\w.-]+", version):  # as it is offered, and still: it becomes SQL
        raise BackupError(f"{version} is not a version")
    await connection.execute(f"create extension if not exists timescaledb version '{version}'")


_EMPTY = """
select not exists (
    select from pg_class as c
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'v', 'm', 'p')
)
"""

_RESTART_JOBS = """
select alter_job(j.job_id, next_start => now())
from timescaledb_information.jobs as j
where j.hypertable_name is not null
"""

_OFFERED = "select version from pg_available_extension_versions where name = 'timescaledb'"


async def _sums(connection: Connection) -> list[Sum]:
    return [
        Sum(row["relation"], row["rows"], row["energy_mwh"])
        async for row in queries.stored_sums(connection)
    ]


def _differences(saved: list[Sum], restored: list[Sum]) -> str:
    names = {each.relation for each in set(saved) ^ set(restored)}
    return ", ".join(sorted(names))


async def _run(path: Path, url: str, *options: str) -> None:
    """Run one of PostgreSQL's programs on a database. Raises BackupError with what it said."""
    address, password = split_password(url)
    environment = dict(os.environ) | ({"PGPASSWORD": password} if password else {})
    target = f"--dbname={address}"
    process = await asyncio.create_subprocess_exec(
        path, target, *options, env=environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    if process.returncode:
        text = said.decode(errors="replace").strip() or f"it ended with {process.returncode}"
        raise BackupError(f"{path.name} failed: {text[-2000:]}")
