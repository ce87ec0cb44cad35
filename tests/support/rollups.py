"""Roll up and compress history as TimescaleDB's policies do in time."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar, TypeVarTuple

import asyncpg

from tests.conftest import Db, Server

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
