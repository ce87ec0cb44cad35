"""Roll up and compress history as TimescaleDB's policies do in time."""

import asyncpg

from tests.conftest import Db, Server, eventually

ROLLUPS = ("quarter_hourly", "hourly", "daily")
"""Each is made from the one before."""


def materialise(db: Db, server: Server) -> None:
    """Roll up everything that is over an hour old, so that what comes later is late.

    Plain PostgreSQL rolls up as readings come; there it does nothing.
    """
    if server.engine == "timescaledb":
        for rollup in ROLLUPS:
            eventually(_refreshed, db, rollup, timeout_s=30)


def _refreshed(db: Db, rollup: str) -> bool:
    try:
        db.fetch(f"call refresh_continuous_aggregate('{rollup}', null, now() - interval '1 hour')")
    except asyncpg.LockNotAvailableError:  # a policy is refreshing at this moment
        return False
    return True


def compress(db: Db, server: Server) -> None:
    """Compress all chunks that are over a day old, as the policy does after a week."""
    if server.engine == "timescaledb":
        db.fetch(
            "select compress_chunk(c)"
            " from show_chunks('readings', older_than => now() - interval '24 hours') as c"
        )
