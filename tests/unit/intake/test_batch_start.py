"""A writer learns what it lacks of devices without keeping everything else waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import numpy as np

from fleetmeter.database.pool import Database
from fleetmeter.intake import batch_start
from fleetmeter.intake.writer_cache import WriterCache

MANY = 10_000
NOW = datetime.now(UTC)


class _Database:
    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield None


async def _terms(_: Any) -> dict[str, Any]:
    return {"devices_version": 1, "assignments_version": 1, "horizon": NOW}


async def _states(_: Any, devices: list[int]) -> AsyncIterator[dict[str, Any]]:
    reverse = ("reverse_at", "reverse_highest_mwh", "reverse_limit_mwh")
    nothing = dict.fromkeys(("energy_at", "highest_mwh", "limit_mwh", *reverse, "since", "meter"))
    known = {"time": NOW, "is_session": False, "derivation": 0, "interval_ms": 0}
    for device in devices:
        yield {"device": device} | nothing | known


async def _turns_while_learning(cache: WriterCache) -> int:
    devices = np.arange(MANY, dtype=np.int64)
    learning = asyncio.ensure_future(
        batch_start.learn_devices(cast("Database", _Database()), cache, devices, 1)
    )
    turns = 0
    while not learning.done():
        await asyncio.sleep(0)
        turns += 1
    await learning
    return turns


def test_many_devices_are_learnt_in_turns() -> None:
    cache = WriterCache()
    cache.make_room(MANY)
    queries = SimpleNamespace(begin_batch=_terms, writer_state=_states)
    with patch.object(batch_start, "queries", queries):
        turns = asyncio.run(_turns_while_learning(cache))
    assert turns >= MANY // 1000
    assert not cache.unknown(np.arange(MANY)).size
