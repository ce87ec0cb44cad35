"""The commit queue: requests put readings in and wait, writers take all that waits and commit it.

A free writer starts at once, so that a lone request pays one commit; while it commits, what comes
in gathers for the next transaction. A device always goes to the same writer. All of it is bounded.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from fleetmeter.errors import CommitTimeoutError, FleetMeterError, QueueFullError
from fleetmeter.readings.model import KINDS, Batch, Kind, MeterRow, Row, VehicleRow
from fleetmeter.settings import Settings

_log = structlog.get_logger()


class _Request:
    """What a request waits for: all of its parts, or the first of them to fail."""

    __slots__ = ("_parts_left", "_readings", "_stored", "conflicts", "refused")

    def __init__(self, parts: int) -> None:
        self._parts_left = parts
        self._readings = 0
        self.refused: set[tuple[Kind, str]] = set()
        self.conflicts: set[tuple[Kind, Row]] = set()
        self._stored: asyncio.Future[int] | None = asyncio.get_running_loop().create_future()

    @property
    def done(self) -> bool:
        """Nobody waits for it any more."""
        return self._stored is None or self._stored.done()

    async def wait(self) -> int:
        """How many readings were stored."""
        assert self._stored is not None  # noqa: S101 - it is waited for once
        try:
            return await self._stored
        finally:
            # an error knows the frames that it went through, and so the whole request: a future
            # that stayed would keep both, in a circle and from a lane that is stuck
            self._stored = None

    def part_stored(self, readings: int) -> None:
        self._readings += readings
        self._parts_left -= 1
        if self._stored is not None and not self._parts_left and not self.done:
            self._stored.set_result(self._readings)

    def fail(self, error: BaseException) -> None:
        if self._stored is not None and not self.done:
            self._stored.set_exception(error)


class Part:
    """The readings of one request that go to one writer."""

    __slots__ = (
        "conflicts",
        "meter_registers",
        "meters",
        "refused",
        "request",
        "taken",
        "vehicle_registers",
        "vehicles",
    )

    def __init__(self) -> None:
        self.vehicles: list[VehicleRow] = []
        self.meters: list[MeterRow] = []
        self.vehicle_registers: list[VehicleRow] = []
        self.meter_registers: list[MeterRow] = []
        self.refused: set[tuple[Kind, str]] = set()
        self.conflicts: set[tuple[Kind, Row]] = set()
        self.request: _Request
        self.taken = False

    def __len__(self) -> int:
        return (
            len(self.vehicles)
            + len(self.meters)
            + len(self.vehicle_registers)
            + len(self.meter_registers)
        )

    def clear(self) -> None:
        """Hold nothing any more."""
        for kind in KINDS:
            setattr(self, kind, [])


class Writer(Protocol):
    """Commits parts in one transaction."""

    async def commit(self, parts: Sequence[Part]) -> list[int]:
        """How many readings of each part were new; adds to its refused devices and conflicts.

        Raises what made the transaction fail.
        """
        ...


class CommitQueue:
    """Bounded in readings and in the bytes of the bodies that they came in."""

    def __init__(self, writers: Sequence[Writer], settings: Settings) -> None:
        self._lanes = [_Lane(writer, settings.commit_readings) for writer in writers]
        self._max_readings = settings.queue_readings
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

    def admitted(self) -> "_Admission":
        """Work on a request, as a context manager that yields a function.

        Tell it of every byte that comes in. Both raise QueueFullError: entering, before the request
        is read, when readings are waiting that fill the queue; the function, when all requests
        together hold too many bytes.
        """
        self._check_room()
        return _Admission(self)

    def _check_room(self) -> None:
        if self._readings >= self._max_readings:
            raise QueueFullError("too many readings wait to be committed")

    def hold(self, size: int) -> None:
        """Count bytes that a request brings, negative when it is done. Raises QueueFullError."""
        self._bytes += size
        if size > 0 and self._bytes > self._max_bytes:
            raise QueueFullError("too many bytes are being worked on")

    async def store(self, batch: Batch) -> int:
        """Wait until the batch is committed; how many of its readings were new.

        Those of devices that keep to the other kind of energy, and those that history has with
        other values, join its rejected items.

        The last batch that goes in may overfill the queue: it has been decoded already.

        Raises QueueFullError (nothing was stored), CommitTimeoutError, DatabaseUnavailableError
        (some may have been stored; sending it again is safe).
        """
        self._check_room()
        count = len(batch)
        parts = self._split(batch)
        request = _Request(len(parts))
        for lane, part in parts:
            part.request = request
            lane.put(part)
        self._readings += count
        timer = asyncio.get_running_loop().call_later(self._wait_s, self._expire, request, parts)
        try:
            stored = await request.wait()
            if request.refused or request.conflicts:
                batch.reject(request.refused, request.conflicts)
            return stored
        finally:
            timer.cancel()
            self._readings -= count
            for _, part in parts:
                if not part.taken:  # it waits no more, and holds nothing
                    part.clear()

    def _expire(self, request: _Request, parts: "Sequence[tuple[_Lane, Part]]") -> None:
        request.fail(
            CommitTimeoutError(
                f"not committed within {self._wait_s:g} s",
                maybe_stored=any(part.taken for _, part in parts),
            )
        )

    def _split(self, batch: Batch) -> "list[tuple[_Lane, Part]]":
        """Each device's readings with its writer's lane."""
        lanes = self._lanes
        parts = [Part() for _ in lanes]
        for vehicle in batch.vehicles:
            parts[hash(vehicle[0]) % len(lanes)].vehicles.append(vehicle)
        for meter in batch.meters:
            parts[hash(meter[0]) % len(lanes)].meters.append(meter)
        for vehicle in batch.vehicle_registers:
            parts[hash(vehicle[0]) % len(lanes)].vehicle_registers.append(vehicle)
        for meter in batch.meter_registers:
            parts[hash(meter[0]) % len(lanes)].meter_registers.append(meter)
        return [(lane, part) for lane, part in zip(lanes, parts, strict=True) if len(part)]


class _Admission:
    __slots__ = ("_bytes", "_queue")

    def __init__(self, queue: CommitQueue) -> None:
        self._queue = queue
        self._bytes = 0

    def __enter__(self) -> Callable[[int], None]:
        return self._count

    def _count(self, size: int) -> None:
        self._bytes += size
        self._queue.hold(size)

    def __exit__(self, *_: object) -> None:
        self._queue.hold(-self._bytes)


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
            if not part.request.done:  # its request gave up waiting
                part.taken = True
                parts.append(part)
                readings += len(part)
        return parts

    async def _commit(self, parts: list[Part]) -> None:
        """Commit together; if that fails for what is in one of them, each alone."""
        try:
            for part, stored in zip(parts, await self._writer.commit(parts), strict=True):
                part.request.refused |= part.refused
                part.request.conflicts |= part.conflicts
                part.request.part_stored(stored)
        except FleetMeterError as error:
            for part in parts:
                part.request.fail(error)
        except Exception as error:
            if len(parts) == 1:
                parts[0].request.fail(error)
                return
            _log.warning("a shared transaction failed; its requests go alone", exc_info=True)
            for part in parts:
                await self._commit([part])
