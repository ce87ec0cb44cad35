"""The commit queue: requests put readings in and wait, writers take all that waits and commit it.

What waits is made into columns together, and each device's readings go to the lane of its writer;
few go to the first, all of them. A device may so change its writer, as it may change the service:
the database decides. A free writer starts at once, so that a lone request pays one commit; while it
commits, what comes in gathers for the next transaction. All of it is bounded.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import chain, count
from typing import Any, NamedTuple, Protocol

import numpy as np
import structlog

from fleetmeter.errors import CommitTimeoutError, FleetMeterError, QueueFullError
from fleetmeter.intake.batch_start import StaleNumbersError
from fleetmeter.intake.columns import columns_of
from fleetmeter.intake.numbering import number, unnumbered
from fleetmeter.intake.outcomes import dropped_field, refusal_of, rejection_of
from fleetmeter.intake.rows import (
    CONFLICT,
    DEVICE,
    ITEM,
    NEW,
    REJECTED,
    REQUEST,
    Matrix,
    Statuses,
)
from fleetmeter.readings.model import Rejection
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Bounds
from fleetmeter.settings import Settings

_log = structlog.get_logger()

_WORTHWHILE = 1000
"""Readings that are made ready while all writers commit, and dealt out to all; fewer wait until a
writer is free, and go to one."""


class Request:
    """Holds readings that a caller waits for, until all are settled or one fails."""

    def __init__(self, readings: Sequence[Telemetry]) -> None:
        self.readings = readings
        self.taken = False
        """Whether a writer has begun with some of it."""
        self.rejected: list[Rejection] = []
        self.warnings: list[Rejection] = []
        self._left = len(readings)
        self._stored = 0
        self._done: asyncio.Future[int] | None = asyncio.get_running_loop().create_future()

    @property
    def over(self) -> bool:
        """Return whether nobody waits for it any more."""
        return self._done is None or self._done.done()

    async def wait(self) -> int:
        """Wait for the outcome; return how many readings were stored."""
        assert self._done is not None  # noqa: S101 - it is waited for once
        try:
            return await self._done
        finally:
            # an error knows the frames that it went through, and so the whole request: a future
            # that stayed would keep both, in a circle and from a lane that is stuck
            self._done = None

    def settle(self, readings: int, stored: int) -> bool:
        """Note that so many of its readings have an outcome; return whether all have."""
        self._left -= readings
        self._stored += stored
        if not self._left and self._done is not None and not self.over:
            self._done.set_result(self._stored)
        return not self._left

    def let_go(self) -> None:
        """Let go of the readings: nobody waits. What a writer has begun with, it finishes."""
        self.readings = ()

    def fail(self, error: BaseException) -> None:
        """Note that the request will not be stored as a whole."""
        if self._done is not None and not self.over:
            self._done.set_exception(error)


class Stored(NamedTuple):
    """Says what became of a request's readings."""

    new: int
    rejected: list[Rejection]
    warnings: list[Rejection]
    """Measurements that were left out of readings, also of rejected ones."""


class Writer(Protocol):
    """Commits readings in one transaction."""

    async def commit(self, rows: Matrix, devices_version: int) -> Statuses:
        """Return what became of each reading. Raises what made the transaction fail."""
        ...


class Numbers(Protocol):
    """Knows the numbers of devices; see DeviceNumbers."""

    version: int

    def of(self, kind: int, ids: Sequence[str | None]) -> Any:
        """Return the numbers of ids of a kind, 0 where one is not known."""
        ...

    async def learn(self, devices: Iterable[tuple[int, str]]) -> None:
        """Ask for the numbers of devices."""
        ...

    def forget(self) -> None:
        """Ask for all of them again."""
        ...


class CommitQueue:
    """Queues requests, bounded in readings and in the bytes of the bodies that they came in."""

    def __init__(
        self,
        writers: Sequence[Writer],
        numbers: Numbers,
        bounds: Callable[[], Bounds],
        settings: Settings,
    ) -> None:
        self._numbers = numbers
        self._bounds = bounds
        self._lanes = [_Lane(self, writer, settings.commit_readings) for writer in writers]
        self._most_at_once = settings.commit_readings
        self._max_readings = settings.queue_readings
        self._max_bytes = max(settings.queue_bytes, settings.max_body_bytes)
        self._wait_s = settings.commit_wait_s
        self._readings = 0
        self._bytes = 0
        self._waiting: deque[Request] = deque()
        self.requests: dict[int, Request] = {}
        """Those whose readings are in a lane, by the number that the rows have."""
        self._keys = count()
        self._work = asyncio.Event()
        self._closed = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator["CommitQueue"]:
        """Write for the length of the block; at its end, commit what still waits."""
        gathering = asyncio.create_task(self._gather())
        tasks = [asyncio.create_task(lane.run()) for lane in self._lanes]
        try:
            yield self
        finally:
            self._closed = True
            self._work.set()
            await gathering
            for lane in self._lanes:
                lane.close()
            await asyncio.gather(*tasks)

    def admitted(self) -> "_Admission":
        """Work on a request, as a context manager that yields a function.

        Call it with the size of each piece that comes in. Both raise QueueFullError: entering,
        before the request is read, when readings are waiting that fill the queue; the function,
        when all requests together hold too many bytes.
        """
        self._check_room()
        return _Admission(self)

    def _check_room(self) -> None:
        if self._readings >= self._max_readings:
            raise QueueFullError("too many readings are waiting to be committed")

    def hold(self, size: int) -> None:
        """Count bytes that a request brings, negative when it is done. Raises QueueFullError."""
        self._bytes += size
        if size > 0 and self._bytes > self._max_bytes:
            raise QueueFullError("too many bytes are being processed")

    async def store(self, readings: Sequence[Telemetry]) -> Stored:
        """Wait until readings are committed; return how many were new, and what was not taken.

        The last batch that goes in may overfill the queue: it has been decoded already.

        Raises QueueFullError (nothing was stored), CommitTimeoutError, DatabaseUnavailableError
        (some may have been stored; sending it again is safe).
        """
        self._check_room()
        request = Request(readings)
        self._waiting.append(request)
        self._readings += len(readings)
        self._work.set()
        timer = asyncio.get_running_loop().call_later(self._wait_s, self._expire, request)
        try:
            stored = await request.wait()
            return Stored(stored, request.rejected, request.warnings)
        finally:
            timer.cancel()
            self._readings -= len(readings)
            request.let_go()

    def _expire(self, request: Request) -> None:
        request.fail(
            CommitTimeoutError(
                f"not committed within {self._wait_s:g} s", maybe_stored=request.taken
            )
        )

    def look(self) -> None:
        """Wake up: a writer can use more, or there is more for one."""
        self._work.set()

    async def _gather(self) -> None:
        """Make what waits into columns and deal it out, as soon as a writer can use it."""
        while self._waiting or not self._closed:
            self._work.clear()
            if self._waiting and self._is_wanted():
                await self._deal(self._take())
            else:
                await self._work.wait()

    def _is_wanted(self) -> bool:
        """Return whether a writer is free; for many readings, whether one has nothing next."""
        waiting = 0
        for request in self._waiting:
            waiting += len(request.readings)
            if waiting >= _WORTHWHILE:
                return any(not lane.waiting for lane in self._lanes)
        return any(lane.is_free for lane in self._lanes_for(waiting))

    def _lanes_for(self, readings: int) -> Sequence["_Lane"]:
        """Return the lanes for so many readings: few are cheaper in one commit than in several."""
        first, *others = self._lanes
        if readings < _WORTHWHILE and all(lane.is_free for lane in others):
            return [first]
        return self._lanes

    def _take(self) -> list[Request]:
        """Return at least one request; together at most what a writer commits at once."""
        requests: list[Request] = []
        readings = 0
        while self._waiting and (
            not requests or readings + len(self._waiting[0].readings) <= self._most_at_once
        ):
            request = self._waiting.popleft()
            if not request.over:  # it has not given up waiting
                requests.append(request)
                readings += len(request.readings)
        return requests

    async def _deal(self, requests: list[Request]) -> None:
        """Make requests ready together; if that fails for what is in one of them, each alone."""
        keys = [next(self._keys) for _ in requests]
        self.requests |= zip(keys, requests, strict=True)
        sizes = [len(each.readings) for each in requests]
        try:
            await self._prepare(
                [*chain.from_iterable(each.readings for each in requests)],
                np.repeat(keys, sizes),
                np.concatenate([np.arange(size) for size in sizes] or [np.arange(0)]),
            )
        except Exception as error:
            if len(requests) > 1 and not isinstance(error, FleetMeterError):
                _log.warning("requests that cannot be prepared together go alone", exc_info=True)
                for request in requests:
                    await self._deal([request])
                return
            for request in requests:
                request.fail(error)
            for key in keys:
                self.requests.pop(key, None)

    async def _prepare(self, readings: Sequence[Telemetry], keys: Any, items: Any) -> None:
        """Check readings, number their devices, and put them into the lanes of their writers."""
        bounds = self._bounds()
        columns = columns_of(readings, bounds)
        rows = columns.rows
        rows[REQUEST], rows[ITEM] = keys, items
        number(columns, self._numbers.of)
        while missing := unnumbered(columns):  # again when others were forgotten for the new ones
            await self._numbers.learn(missing)
            number(columns, self._numbers.of)
        for place, measurement in columns.dropped:
            request, item = self.requests[int(keys[place])], int(items[place])
            request.warnings.append(dropped_field(item, readings[place], measurement))
        if columns.wrong.any():
            wrong = np.flatnonzero(columns.wrong)
            for place in wrong.tolist():
                request, item = self.requests[int(keys[place])], int(items[place])
                request.rejected.append(rejection_of(item, readings[place], bounds))
            self._settle(rows[:, wrong], np.full(len(wrong), REJECTED, np.int8))
            rows = rows[:, ~columns.wrong]
        lanes = self._lanes_for(rows.shape[1])
        homes = rows[DEVICE] % len(lanes)
        for place, lane in enumerate(lanes):
            if (here := homes == place).any():
                lane.put(rows[:, here], self._numbers.version)

    async def renumber(self, rows: Matrix, devices_version: int) -> None:
        """Number these readings' devices again, since some have been purged since that version."""
        if self._numbers.version == devices_version:
            self._numbers.forget()
        readings = [
            self.requests[key].readings[item]
            for key, item in zip(rows[REQUEST].tolist(), rows[ITEM].tolist(), strict=True)
        ]
        await self._prepare(readings, rows[REQUEST], rows[ITEM])

    def settle(self, rows: Matrix, statuses: Statuses) -> None:
        """Give the requests the outcomes of their readings."""
        for place in np.flatnonzero(statuses >= CONFLICT).tolist():
            request, item = self.requests[int(rows[REQUEST, place])], int(rows[ITEM, place])
            if not request.over:
                request.rejected.append(
                    refusal_of(item, request.readings[item], int(statuses[place]))
                )
        self._settle(rows, statuses)

    def _settle(self, rows: Matrix, statuses: Statuses) -> None:
        keys, places, sizes = np.unique(rows[REQUEST], return_inverse=True, return_counts=True)
        stored = np.bincount(places, weights=statuses == NEW, minlength=len(keys))
        for key, size, new in zip(keys.tolist(), sizes.tolist(), stored.tolist(), strict=True):
            if self.requests[key].settle(size, int(new)):
                del self.requests[key]

    def fail(self, rows: Matrix, error: BaseException) -> None:
        """Fail the requests of these readings, which could not be stored."""
        for key in np.unique(rows[REQUEST]).tolist():
            self.requests[key].fail(error)
        self._settle(rows, np.full(rows.shape[1], REJECTED, np.int8))


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
    """Holds what waits for one writer."""

    def __init__(self, queue: CommitQueue, writer: Writer, max_readings: int) -> None:
        self._queue = queue
        self._writer = writer
        self._max_readings = max_readings
        self.waiting: deque[tuple[Matrix, int]] = deque()
        """Readings, with the version of the devices for which their numbers hold."""
        self._commits = False
        self._work = asyncio.Event()
        self._closed = False

    @property
    def is_free(self) -> bool:
        """Return whether its writer has nothing to do."""
        return not self._commits and not self.waiting

    def put(self, rows: Matrix, devices_version: int) -> None:
        self.waiting.append((rows, devices_version))
        self._work.set()

    def close(self) -> None:
        self._closed = True
        self._work.set()

    async def run(self) -> None:
        """Commit until closed and empty."""
        while True:
            await self._work.wait()
            if self.waiting:
                self._commits = True
                rows, version = self._take()
                self._queue.look()
                if rows.shape[1]:
                    await self._commit(rows, version)
                self._commits = False
                self._queue.look()
            elif self._closed:
                return
            else:
                self._work.clear()

    def _take(self) -> tuple[Matrix, int]:
        """Return the readings of the next transaction, at most the maximum but for one piece."""
        pieces: list[Matrix] = []
        readings, version = 0, self.waiting[0][1]
        while self.waiting and (
            not pieces
            or (
                readings + self.waiting[0][0].shape[1] <= self._max_readings
                and self.waiting[0][1] == version
            )
        ):
            rows, _ = self.waiting.popleft()
            pieces.append(rows)
            readings += rows.shape[1]
        rows = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
        return self._wanted(rows), version

    def _wanted(self, rows: Matrix) -> Matrix:
        """Return the readings still waited for; their requests may be stored from now on."""
        given_up = []
        for key in np.unique(rows[REQUEST]).tolist():
            request = self._queue.requests[key]
            if request.over:
                given_up.append(key)
            request.taken = True
        if not given_up:
            return rows
        unwanted = np.isin(rows[REQUEST], given_up)
        self._queue.fail(rows[:, unwanted], CommitTimeoutError("given up", maybe_stored=False))
        return rows[:, ~unwanted]

    async def _commit(self, rows: Matrix, version: int) -> None:
        """Commit together; if that fails for what is in one of the requests, each alone."""
        try:
            self._queue.settle(rows, await self._writer.commit(rows, version))
        except StaleNumbersError:
            await self._renumber(rows, version)
        except FleetMeterError as error:
            self._queue.fail(rows, error)
        except Exception as error:
            keys = np.unique(rows[REQUEST])
            if len(keys) == 1:
                self._queue.fail(rows, error)
                return
            _log.warning("a shared transaction failed; its requests go alone", exc_info=True)
            for key in keys:
                await self._commit(rows[:, rows[REQUEST] == key], version)

    async def _renumber(self, rows: Matrix, version: int) -> None:
        if not (rows := self._wanted(rows)).size:
            return
        try:
            await self._queue.renumber(rows, version)
        except FleetMeterError as error:
            self._queue.fail(rows, error)
