"""What waits for a lock in the database is in the log once it has waited too long."""

import asyncio
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from fleetmeter.database.pool import Database, connect
from fleetmeter.errors import CommitTimeoutError, DatabaseUnavailableError
from fleetmeter.intake.door import open_door
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.settings import Settings
from tests.conftest import hours_ago

ASSIGNMENTS = "select pg_advisory_xact_lock(hashtext('fleetmeter.assignments'))"


async def with_lock(url: str, settings: Settings, wait: Any) -> list[Any]:
    """Run something while another session locks assignments; return what is logged."""
    holder = await asyncpg.connect(url)
    database = await connect(url, settings)
    transaction = holder.transaction()
    try:
        await transaction.start()
        await holder.execute(ASSIGNMENTS)
        with capture_logs() as logs:
            await wait(database)
            await database.waits.close()
        await transaction.rollback()
        return [line for line in logs if "took too long" in line["event"]]
    finally:
        await holder.close()
        await database.close()


def test_readings_that_are_not_committed_in_time_say_which_lock_they_wait_for(
    database_url: str, uid: str
) -> None:
    settings = Settings(commit_wait_s=0.5)
    at = hours_ago(1)

    async def waiting(database: Database) -> None:
        async with open_door(database, settings) as door:
            holder = await asyncpg.connect(database_url)
            try:
                async with holder.transaction():
                    await holder.execute(ASSIGNMENTS)
                    for name in "AB":  # the second one is counted, and not reported at once
                        item = Telemetry(vehicle_id=uid + name, soc=50, timestamp=at)
                        with pytest.raises(CommitTimeoutError):
                            await door.store([item])
                    await database.waits.close()
            finally:
                await holder.close()

    async def scenario() -> None:
        database = await connect(database_url, settings)
        try:
            await waiting(database)
        finally:
            await database.close()

    with capture_logs() as logs:
        asyncio.run(scenario())
    (line,) = [line for line in logs if "took too long" in line["event"]]
    assert line["event"] == "the commit of a request took too long"
    assert {wait["for"] for wait in line["waits"]} == {"fleetmeter.assignments (ShareLock)"}


def test_a_statement_that_takes_too_long_says_who_waits(database_url: str) -> None:
    async def locked(database: Database, timeout_s: float) -> None:
        async with database.connection() as connection:
            await connection.execute(ASSIGNMENTS, timeout=timeout_s)

    async def wait(database: Database) -> None:
        other = asyncio.create_task(locked(database, 2))
        with pytest.raises(DatabaseUnavailableError):
            await locked(database, 0.5)
        await database.waits.close()
        with pytest.raises(DatabaseUnavailableError):  # is counted, and not reported at once
            await other

    (line,) = asyncio.run(with_lock(database_url, Settings(), wait))
    assert (line["event"], line["log_level"], line["times"]) == (
        "a statement took too long",
        "warning",
        1,
    )
    (waits,) = line["waits"]
    assert waits["for"] == "fleetmeter.assignments (ExclusiveLock)"
    assert waits["s"] > 0
    assert waits["statement"] == ASSIGNMENTS
    assert waits["held_by"] == [f"{ASSIGNMENTS} (idle in transaction)"]
