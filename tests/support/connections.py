"""Connections to the databases of a run that stay open between two statements of a test.

To open one takes longer than most statements do, above all on TimescaleDB.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

import asyncpg

T = TypeVar("T")
_pools: dict[str, Any] = {}
"""By URL; only the thread of `_loop` touches it."""


def using(url: str, work: Callable[[Any], Awaitable[T]]) -> T:
    """Do `work` with a connection to the database that has no state of what was done before."""

    async def connected() -> T:
        if url not in _pools:
            _pools[url] = asyncpg.create_pool(
                url,
                min_size=0,
                max_size=8,
                max_inactive_connection_lifetime=0,
                statement_cache_size=0,  # tests change tables
                server_settings={"timezone": "UTC"},
            )
        pool = await _pools[url]
        async with pool.acquire() as connection:
            return await work(connection)

    return _run(connected())


def close(url: str) -> None:
    """Close what is open to the database."""

    async def terminate() -> None:
        if (pool := _pools.pop(url, None)) is not None:
            pool.terminate()

    _run(terminate())


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Run a loop of its own, in the background: a connection belongs to the loop it was made in."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop
