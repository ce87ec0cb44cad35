"""Evaluates the rules over the period of imported files, however long ago."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from fleetmeter.anomalies.evaluation.late import WARMUP, evaluate_again
from fleetmeter.anomalies.evaluation.reader import floor_hour
from fleetmeter.anomalies.evaluation.runner import Evaluator
from fleetmeter.anomalies.model import Subject
from fleetmeter.background import stopped
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.errors import DatabaseUnavailableError
from fleetmeter.files.blocks import Position
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.run import Import
from fleetmeter.files.imports.sources import UNREADABLE
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.telemetry import Telemetry, attribute
from fleetmeter.settings import Settings
from fleetmeter.terminal import say

_PAUSE_S = 0.5
"""Interval between checks of the rollups or the lock, seconds."""

_IDS = [(kind.name, attribute(kind.id_field)) for kind in KINDS]


async def evaluate_files(
    database: Database, imports: Sequence[Import], settings: Settings, stopping: Callable[[], bool]
) -> None:
    """Evaluate the devices of files from their first reading on."""
    async with database.connection() as connection:
        retained_from: datetime = await queries.kept_since(connection)
    oldest = max(retained_from, datetime.now(UTC) - timedelta(days=settings.retention_days))
    await _settled(database, stopping)
    async with _accounting(database, stopping):
        since = await asyncio.to_thread(_begin, imports, oldest)
        if since:
            await _evaluate(database, since, stopping)


async def _evaluate(
    database: Database, since: dict[Subject, datetime], stopping: Callable[[], bool]
) -> None:
    evaluated_until = await _evaluated_until(database)
    # hours that are over and not evaluated yet
    ran = await Evaluator(database, rests=False).run()
    again = {subject: first for subject, first in since.items() if first < evaluated_until}
    events: list[int] | None = None if again else []
    while events is None and not stopping():
        events = await _evaluated(database, again, stopping)
        await asyncio.sleep(0 if events is not None else _PAUSE_S)
    if events is not None:
        await _report(database, since, [*(ran.events if ran else ()), *events])


@asynccontextmanager
async def _accounting(database: Database, stopping: Callable[[], bool]) -> AsyncIterator[None]:
    """Account for hours beside the block, and end when both have ended or it is to stop.

    Rules read nothing of it; the database has another core for it.
    """
    accounting = asyncio.create_task(database.run(queries.account_hours_until_now.sql))
    try:
        yield
        while not accounting.done() and not stopping():
            await asyncio.wait([accounting], timeout=_PAUSE_S)
        if accounting.done():
            await accounting
    finally:
        await stopped([accounting])  # each hour is a transaction of its own


async def _evaluated_until(database: Database) -> datetime:
    """Return the time from which hours are about to be evaluated for the first time."""
    async with database.connection() as connection:
        progress = await queries.evaluation_progress(connection)
    return progress["evaluated_until"] or floor_hour(progress["now"] - WARMUP)


def _begin(imports: Sequence[Import], oldest: datetime) -> dict[Subject, datetime]:
    """Return the time of each device's first reading in all files within retention."""
    since: dict[Subject, datetime] = {}
    for each in imports:
        for subject, first in begins(each, oldest).items():
            since[subject] = min(first, since.get(subject, first))
    return since


def begins(each: Import, oldest: datetime) -> dict[Subject, datetime]:
    """Return the time of each device's first reading in a file within retention."""
    found: dict[Subject, datetime] = {}
    try:
        with each.path.open("rb") as file:
            _, source = each.opened(file)
            for block in source.blocks(Position()):
                for item in block.items:
                    if isinstance(item, Telemetry):
                        _note(found, item, oldest)
    except (SourceError, *UNREADABLE, OSError):
        pass  # the import has reported what could not be read; it is not stored
    return found


def _note(found: dict[Subject, datetime], item: Telemetry, oldest: datetime) -> None:
    time = item.timestamp
    if time is None or time.tzinfo is None or time < oldest:
        return
    start = item.interval_start
    first = time if start is None or start.tzinfo is None else min(time, max(start, oldest))
    for kind, id_ in _IDS:
        device = getattr(item, id_)
        if device is not None:
            subject = Subject(kind, device)
            if first < found.get(subject, datetime.max.replace(tzinfo=UTC)):
                found[subject] = first
            return


async def _settled(database: Database, stopping: Callable[[], bool]) -> None:
    """Wait until the rollups contain the imported readings."""
    while not stopping():
        with suppress(DatabaseUnavailableError):  # somebody refreshes the same at this moment
            await database.run(queries.refresh_late_hours.sql)
        async with database.connection() as connection:
            if not await queries.are_rollups_late(connection):
                return
        await asyncio.sleep(_PAUSE_S)


async def _evaluated(
    database: Database, since: dict[Subject, datetime], stopping: Callable[[], bool]
) -> list[int] | None:
    """Return the events of an evaluation, or None while another process evaluates."""
    async with database.session() as connection:
        if not await queries.begin_evaluation(connection):
            return None
        progress = await queries.evaluation_progress(connection)
        until = progress["evaluated_until"]
        return [] if until is None else await evaluate_again(connection, since, until, stopping)


async def _report(database: Database, since: dict[Subject, datetime], events: list[int]) -> None:
    async with database.connection() as connection:
        rows = queries.kinds_found(connection, ids=events)
        found = [f"{row['kind']} {row['anomalies']}" async for row in rows]
    first = min(since.values())
    say(
        f"{len(since):,} devices evaluated from {first:%Y-%m-%dT%H:%MZ} on: "
        f"{', '.join(found) or 'nothing new is wrong'}"
    )
