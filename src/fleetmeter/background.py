"""Runs background work: repeats rounds until the service stops."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog

from fleetmeter.errors import DatabaseUnavailableError
from fleetmeter.metrics import BACKGROUND_FAILURES

_LONGEST_PAUSE_S = 60.0
"""Longest pause between retries of failing work, seconds, unless its own pause is longer."""

_PATIENCE = 30
"""Rounds in a row with the database away before a warning is logged."""

_log = structlog.get_logger()


@asynccontextmanager
async def running(*endless: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run work that does not end by itself for the length of the block."""
    tasks = [asyncio.create_task(each) for each in endless]
    try:
        yield
    finally:
        await stopped(tasks)


async def stopped(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def repeat(
    name: str,
    work: Callable[[], Awaitable[object]],
    pause_s: float,
    *,
    first_pause_s: float = 0.0,
    rest: float = 0.0,
) -> None:
    """Repeat `work` forever, pausing for `pause_s` or `rest` times the duration of a round.

    A failed round is logged and delays the next one. Finding the database away is not a failure;
    if that lasts, a warning is logged. Cancel it to stop.
    """
    failing_s = pause_s
    waits = 0
    await asyncio.sleep(first_pause_s)
    while True:
        started = time.monotonic()
        next_s = pause_s
        try:
            await work()
            failing_s = pause_s
            waits = 0
        except DatabaseUnavailableError as error:
            waits += 1
            if waits % _PATIENCE == 0:
                _log.warning("background work waits", work=name, error=str(error), rounds=waits)
        except Exception:
            BACKGROUND_FAILURES.labels(name).inc()
            next_s = failing_s = max(pause_s, min(2 * failing_s, _LONGEST_PAUSE_S))
            _log.warning("background work failed", work=name, exc_info=True, again_in_s=next_s)
        await asyncio.sleep(max(next_s, rest * (time.monotonic() - started)))
