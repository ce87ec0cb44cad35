"""Asks a database for the facts that the checks judge."""

import shutil
from datetime import UTC, datetime
from time import monotonic

import msgspec

from fleetmeter.access.first_keys import is_loopback
from fleetmeter.database.migrations import applied_migrations, known_migrations
from fleetmeter.database.pool import Connection, connected, translated
from fleetmeter.database.sql import queries
from fleetmeter.errors import NotMigratedError
from fleetmeter.operations.doctor.facts import (
    SETTINGS,
    Facts,
    Fleet,
    Job,
    Key,
    Role,
    Schema,
    Server,
)
from fleetmeter.settings import Settings


async def ask(url: str, settings: Settings, processes: int) -> Facts:
    """Return the facts about a database that a number of processes serve with these settings.

    Raises what `connected` raises.
    """
    async with connected(url) as connection:
        began, here = monotonic(), datetime.now(UTC)
        row = await queries.server_facts(connection)
        took_s = monotonic() - began
        schema = await _schema(connection)
        server = msgspec.convert(dict(row), Server)
        return Facts(
            server=server,
            settings={
                each["name"]: each["setting"]
                async for each in queries.server_settings(connection, names=list(SETTINGS))
            },
            role=msgspec.convert(dict(await queries.role_facts(connection)), Role),
            schema=schema,
            fleet=await _fleet(connection) if schema.engine else None,
            clock_ahead_s=(server.now - here).total_seconds() - took_s / 2,
            clock_error_s=took_s / 2,
            embedded=settings.database_url is None,
            free_bytes=_free_bytes(settings),
            pool_size=settings.pool_size,
            processes=processes,
            loopback=is_loopback(settings.host),
        )


async def _schema(connection: Connection) -> Schema:
    engine, applied = await applied_migrations(connection)
    if engine is None:
        return Schema(engine=None, missing=["all"], unknown=[])
    known = known_migrations(engine)
    return Schema(
        engine=engine,
        missing=sorted(known - set(applied)),
        unknown=sorted(set(applied) - known),
    )


async def _fleet(connection: Connection) -> Fleet | None:
    """Return what is stored; None in a schema that is too old or too new to ask."""
    try:
        async with translated():
            figures = dict(await queries.fleet_facts(connection))
            failing = [(row["job"], row["error"]) async for row in queries.failing_jobs(connection)]
            jobs = [
                msgspec.convert(dict(row), Job) async for row in queries.job_schedule(connection)
            ]
            keys = [msgspec.convert(dict(row), Key) async for row in queries.key_dates(connection)]
    except NotMigratedError:
        return None
    return msgspec.convert(figures | {"failing_jobs": failing, "jobs": jobs, "keys": keys}, Fleet)


def _free_bytes(settings: Settings) -> int | None:
    """Return the free space beside the embedded server's data; another server's is not known."""
    return None if settings.database_url else shutil.disk_usage(settings.data_dir).free
