"""The service's background work: refreshes rollups, evaluates anomalies, drops old history."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import structlog

from fleetmeter.anomalies.evaluation.runner import Evaluator
from fleetmeter.background import repeat, running
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries

INTERVAL_S = 1.0
"""Interval between searches for late readings, seconds."""

EVALUATION_INTERVAL_S = 2.0
"""Interval between searches for completed hours and late devices, seconds."""

METERS_INTERVAL_S = 10.0
"""Interval between searches for hours whose meters are not added up, seconds."""

JOBS_INTERVAL_S = 300.0
"""Interval between checks of the database's own jobs, seconds."""

RETENTION_INTERVAL_S = 600.0
"""Interval between searches for history past its retention, seconds."""

_REST = 2.0
"""Pause after work, as a multiple of its duration, so that ingest gets most of the database."""

_log = structlog.get_logger()


@asynccontextmanager
async def maintenance(database: Database) -> AsyncIterator[None]:
    """Run the background work for the length of the block."""
    statements = (
        ("refresh_late_hours", queries.refresh_late_hours.sql, INTERVAL_S),
        ("restamp_pending", queries.restamp_pending.sql, INTERVAL_S),
        ("derive_pending", queries.derive_pending.sql, INTERVAL_S),
        ("account_hours", queries.account_hours.sql, INTERVAL_S),
        ("add_up_meters", queries.add_up_meters.sql, METERS_INTERVAL_S),
        ("pack_rollups", queries.pack_rollups.sql, RETENTION_INTERVAL_S),
        ("drop_old_history", queries.drop_old_history.sql, RETENTION_INTERVAL_S),
        ("forget_register_events", queries.forget_register_events.sql, RETENTION_INTERVAL_S),
        ("forget_browser_sessions", queries.forget_browser_sessions.sql, RETENTION_INTERVAL_S),
    )
    rounds: list[tuple[str, Callable[[], Awaitable[object]], float]] = [
        *((name, partial(database.run, sql), interval_s) for name, sql, interval_s in statements),
        ("evaluation", Evaluator(database).run, EVALUATION_INTERVAL_S),
        ("failing_jobs", partial(_log_failing_jobs, database), JOBS_INTERVAL_S),
    ]
    async with running(
        *(
            repeat(name, work, interval_s, first_pause_s=INTERVAL_S, rest=_REST)
            for name, work, interval_s in rounds
        )
    ):
        yield


async def _log_failing_jobs(database: Database) -> None:
    async with database.connection() as connection:
        async for row in queries.failing_jobs(connection):
            _log.error("a background job of the database fails", job=row["job"], error=row["error"])
