"""Wait until other sessions wait for what a test has locked."""

import asyncio
from typing import Any

_BLOCKED = """
with recursive waiting as materialized (
    select distinct pid, pg_blocking_pids(pid) as blockers
    from pg_locks
    where not granted
), blocked as (
    select pid
    from waiting
    where pg_backend_pid() = any(blockers)
    union
    select w.pid
    from waiting as w
    join blocked as b on b.pid = any(w.blockers)
)
select count(*) from blocked
"""


async def until_blocked(connection: Any, sessions: int = 1, timeout_s: float = 30) -> None:
    """Return once so many sessions wait for this connection, or for others that do."""
    async with asyncio.timeout(timeout_s):
        while await connection.fetchval(_BLOCKED) < sessions:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
