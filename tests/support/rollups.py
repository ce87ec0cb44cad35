"""Roll up and compress history as TimescaleDB's policies do in time."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple

import asyncpg
import httpx

from tests.conftest import Db, Server, hours_ago, meter_reading, post, vehicle_reading

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

ROLLUPS = ("quarter_hourly", "hourly", "daily")
"""Each is made from the one before."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_COLLISIONS = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.ObjectInUseError,
)


def between_policies(ask: Callable[[*Ts], T], *args: *Ts, timeout_s: float = 30) -> T:
    """Ask the database, and ask again while a policy or the service works on the same."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ask(*args)
        except _COLLISIONS:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def materialise(db: Db, server: Server, rollups: Sequence[str] = ROLLUPS) -> None:
    """Roll up everything that is over an hour old, so that what comes later is late.

    Plain PostgreSQL rolls up as readings come; there it does nothing.
    """
    if server.engine == "timescaledb":
        for rollup in rollups:
            script = (
                f"call refresh_continuous_aggregate('{rollup}', null, now() - interval '1 hour')"
            )
            between_policies(db.run, script)


def compress(db: Db, server: Server) -> None:
    """Compress all chunks that are over a day old, as the policy does after a week."""
    if server.engine == "timescaledb":
        db.fetch(
            "select compress_chunk(c)"
            " from show_chunks('readings', older_than => now() - interval '24 hours') as c"
        )


def ten_days(client: httpx.Client) -> datetime:
    """Send readings of two devices on each of the last ten days; return when they begin."""
    start = hours_ago(24 * 10).replace(hour=12, minute=0)
    post(
        client,
        *(
            reading
            for day in range(10)
            for n in range(5)
            for reading in (
                vehicle_reading("EV", start + day * DAY + n * MINUTE, 1 + n),
                meter_reading("M", start + day * DAY + n * MINUTE, 2 + n),
            )
        ),
    )
    return start


def rolled_up(db: Db) -> list[Any]:
    """Return every row of every rollup."""
    return [
        tuple(row)
        for rollup in ROLLUPS
        for row in db.fetch(f"select * from {rollup} order by bucket, device")
    ]
