"""Budgets of concurrent work: so many at a time, so many that wait, and no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fleetmeter.errors import BusyError


class Budget:
    """Lets `size` pieces of work run at a time."""

    def __init__(self, size: int, most_waiting: int, timeout_s: float) -> None:
        """Let `most_waiting` more wait, each for at most `timeout_s` seconds."""
        self._free = asyncio.Semaphore(size)
        self._most_waiting = most_waiting
        self._timeout_s = timeout_s
        self._waiting = 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Take a part of the budget for the length of the block. Raises BusyError."""
        if self._free.locked() and self._waiting >= self._most_waiting:
            raise BusyError("too many requests wait for the database")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
        except TimeoutError:
            raise BusyError(f"the database was busy for {self._timeout_s:g} s") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()
