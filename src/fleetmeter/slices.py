"""Long work in slices, so that everything else in the process has its turn in between.

Work is a generator that yields wherever it may be interrupted; what it returns is its result. A
slice, from one yield to the next, takes a few milliseconds.
"""

import asyncio
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


class Slices:
    """Runs one slice in each turn of the event loop, of all pieces of work in rotation."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, work: Generator[None, None, T]) -> T:
        """Run work to its end; its first slice, and so work that is short, at once."""
        try:
            next(work)
            while True:
                async with self._turn:
                    await asyncio.sleep(0)
                    next(work)
        except StopIteration as end:
            result: T = end.value
            return result

    async def turn(self) -> None:
        """Wait for a turn, before work that is not worth dividing but may come many times."""
        async with self._turn:
            await asyncio.sleep(0)


def at_once(work: Generator[None, None, T]) -> T:
    """Run work to its end without interruption, where nothing else waits."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
