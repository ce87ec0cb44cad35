"""The commit queue: requests put readings in and wait, writers take all that waits and commit it.

A free writer starts at once, so that a lone request pays one commit; while it commits, what comes
in gathers for the next transaction. A device always goes to the same writer. All of it is bounded.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

import structlog

from fleetmeter.errors import CommitTimeoutError, FleetMeterError, QueueFullError
from fleetmeter.readings.model import Batch, MeterRow, VehicleRow
from fleetmeter.settings import Settings

_log = structlog.get_logger()


class Part:
    """The readings of one request that go to one writer. Each (device, time) occurs once."""

    __slots__ = ("meters", "stored", "taken", "vehicles")

    def __init__(self) -> None:
        self.vehicles: list[VehicleRow] = []
        self.meters: list[MeterRow] = []
        self.taken = False
        self.stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def __len__(self) -> int:
        return len(self.vehicles) + len(self.meters)


class Writer(Protocol):
    """Commits parts in one transaction."""

    async def commit(self, parts: Sequence[Part]) -> list[int]:
        """How many readings of each part were new. Raises what made the transaction fail."""
        ...


class CommitQueue:
    """Bounded in readings and in the bytes of the bodies that they came in."""

    def __init__(self, writers: Sequence[Writer], settings: Settings) -> None:
        self._lanes = [_Lane(writer, settings.commit_readings) for writer in writers]
        self._max_readings = max(settings.queue_readings, settings.max_batch)
        self._max_bytes = max(settings.queue_bytes, settings.max_body_bytes)
        self._wait_s = settings.commit_wait_s
        self._readings = 0
        self._bytes = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["CommitQueue"]:
        """Write for the length of the block; at its end, commit what still waits."""
        tasks = [asyncio.create_task(lane.run()) for lane in self._lanes]
        try:
            yield self
        finally:
            for lane in self._lanes:
                lane.close()
            await asyncio.gather(*tasks)

    @contextmanager
    def admitted(self) -> Iterator[Callable[[int], None]]:
        """Work on a request: tell the yielded function of every byte that came in.

        Both raise QueueFullError: the request, before it is read, when readings are waiting that
        fill the queue; the function, when all requests together hold too many bytes.
        """
        if self._readings >= self._max_readings:
            raise QueueFullError("too many readings wait to be committed")
        mine = 0

        def count(size: int) -> None:
            nonlocal mine
            mine += size
            self._bytes += size
            if self._bytes > self._max_bytes:
                raise QueueFullError("too many bytes are being worked on")

        try:
            yield count
        finally:
            self._bytes -= mine

    async def store(self, batch: Batch) -> int:
        """Wait until the batch is committed; how many of its readings were new.

        Raises QueueFullError (nothing was stored), CommitTimeoutError, DatabaseUnavailableError
        (some may have been stored; sending it again is safe).
        """
        count = len(batch.vehicles) + len(batch.meters)
        if self._readings + count > self._max_readings:
            raise QueueFullError("too many readings wait to be committed")
        parts = self._split(batch)
        self._readings += count
        try:
            async with asyncio.timeout(self._wait_s):
                return sum(await asyncio.gather(*(part.stored for part in parts)))
        except TimeoutError:
            raise CommitTimeoutError(
                f"not committed within {self._wait_s:g} s",
                maybe_stored=any(part.taken for part in parts),
            ) from None
        finally:
            self._readings -= count
            for part in parts:
                if not part.taken:  # it waits no more, and holds nothing
                    part.vehicles, part.meters = [], []

    def _split(self, batch: Batch) -> list[Part]:
        """Give each device's readings to its writer's lane."""
        lanes = self._lanes
        parts = [Part() for _ in lanes]
        for vehicle in batch.vehicles:
            parts[hash(vehicle.vehicle_id) % len(lanes)].vehicles.append(vehicle)
        for meter in batch.meters:
            parts[hash(meter.meter_id) % len(lanes)].meters.append(meter)
        used = [(lane, part) for lane, part in zip(lanes, parts, strict=True) if len(part)]
        for lane, part in used:
            lane.put(part)
        return [part for _, part in used]


class _Lane:
    """What waits for one writer."""

    def __init__(self, writer: Writer, max_readings: int) -> None:
        self._writer = writer
        self._max_readings = max_readings
        self._waiting: deque[Part] = deque()
        self._work = asyncio.Event()
        self._closed = False

    def put(self, part: Part) -> None:
        self._waiting.append(part)
        self._work.set()

    def close(self) -> None:
        self._closed = True
        self._work.set()

    async def run(self) -> None:
        """Commit until closed and empty."""
        while True:
            await self._work.wait()
            if parts := self._take():
                await self._commit(parts)
            elif self._closed:
                return
            else:
                self._work.clear()

    def _take(self) -> list[Part]:
        """The parts of the next transaction: at least one, together at most the maximum."""
        parts: list[Part] = []
        readings = 0
        while self._waiting and (
            not parts or readings + len(self._waiting[0]) <= self._max_readings
        ):
            part = self._waiting.popleft()
            if not part.stored.done():  # its request gave up waiting
                part.taken = True
                parts.append(part)
                readings += len(part)
        return parts

    async def _commit(self, parts: list[Part]) -> None:
        """Commit together; if that fails for what is in one of them, each alone."""
        try:
            for part, stored in zip(parts, await self._writer.commit(parts), strict=True):
                if not part.stored.done():
                    part.stored.set_result(stored)
        except FleetMeterError as error:
            for part in parts:
                if not part.stored.done():
                    part.stored.set_exception(error)
        except Exception as error:
            if len(parts) > 1:
                _log.warning("a shared transaction failed; its requests go alone", exc_info=True)
                for part in parts:
                    await self._commit([part])
            elif not parts[0].stored.done():
                parts[0].stored.set_exception(error)
