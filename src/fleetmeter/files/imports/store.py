"""Puts blocks of a file into the commit queue, several at a time, and records them in order."""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic

from fleetmeter.files.blocks import Block
from fleetmeter.files.imports.correct import Store
from fleetmeter.files.imports.sidecar_files import SidecarFiles
from fleetmeter.files.imports.sources import Source
from fleetmeter.intake.door import IngestOutcome

_IN_FLIGHT = 8
"""Blocks committed at the same time: enough for each writer to fill its transactions."""

_SAVE_S = 1.0
"""Interval at which the progress is saved, seconds."""

_InFlight = tuple[Block, "asyncio.Task[IngestOutcome]"]


async def import_blocks(
    source: Source,
    sidecar: SidecarFiles,
    store: Store,
    stopping: Callable[[], bool],
    show_progress: Callable[[SidecarFiles], None],
) -> bool:
    """Store what the progress file does not have as committed; return False when asked to stop.

    Blocks in flight are committed and recorded first, whatever happens. Raises SourceError and
    DatabaseUnavailableError; importing again resumes there.
    """
    pipeline = _Pipeline(sidecar, store, show_progress)
    try:
        for block in source.blocks(sidecar.position):
            if stopping():
                return False
            await pipeline.put(block)
        return True
    finally:
        try:
            await pipeline.drain()
        finally:
            sidecar.save()


class _Pipeline:
    def __init__(
        self, sidecar: SidecarFiles, store: Store, show_progress: Callable[[SidecarFiles], None]
    ) -> None:
        self._sidecar = sidecar
        self._store = store
        self._show_progress = show_progress
        self._in_flight: deque[_InFlight] = deque()
        self._failed = False
        self._save_at = 0.0

    async def put(self, block: Block) -> None:
        """Commit a block; wait while too many are in flight."""
        self._in_flight.append((block, asyncio.create_task(self._store.store(block.items))))
        await asyncio.sleep(0)
        while len(self._in_flight) >= _IN_FLIGHT or self._first_is_done():
            await self._settle()

    async def drain(self) -> None:
        """Wait for all blocks; after a failure no more are recorded."""
        try:
            while self._in_flight and not self._failed:
                await self._settle()
        finally:
            await asyncio.gather(*(task for _, task in self._in_flight), return_exceptions=True)

    def _first_is_done(self) -> bool:
        return bool(self._in_flight) and self._in_flight[0][1].done()

    async def _settle(self) -> None:
        """Record the first block once it is committed."""
        block, task = self._in_flight.popleft()
        try:
            self._sidecar.committed(block, await task)
            self._show_progress(self._sidecar)
            if (now := monotonic()) >= self._save_at:
                self._sidecar.save()
                self._save_at = now + _SAVE_S
        except BaseException:
            self._failed = True
            raise
