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
from time import monotonic
from typing import Any, NamedTuple, Protocol

import numpy as np
import structlog

from fleetmeter.byte_budget import Counted
from fleetmeter.errors import CommitTimeoutError, FleetMeterError
from fleetmeter.intake.batch_columns import columns_of
from fleetmeter.intake.lane import Lane, Writer
from fleetmeter.intake.numbering import number, unnumbered
from fleetmeter.intake.outcomes import dropped_field, rejection_of
from fleetmeter.intake.parts import AT_A_TIME, Part, cut, parts_of
from fleetmeter.intake.pending_requests import PendingRequests, Request
from fleetmeter.intake.queue_limits import QueueLimits
from fleetmeter.intake.rows import DEVICE, ITEM, REQUEST, Mask, Matrix
from fleetmeter.readings.model import Rejection
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Bounds
from fleetmeter.settings import Settings

_log = structlog.get_logger()

_MANY = 1000
"""Readings that are made ready while all writers commit, and dealt out to all; fewer wait until a
writer is free, and go to one."""


_REJECTED_AT_A_TIME = 500
"""Readings that are found wrong before others have their turn."""


class Stored(NamedTuple):
    """Says what became of a request's readings."""

    new: int
    rejected: list[Rejection]
    warnings: list[Rejection]
    """Measurements that were left out of readings, also of rejected ones."""


class _Prepared(NamedTuple):
    """Readings with the numbers of their devices, and what is to be said of some of them."""

    rows: Matrix
    wrong: Mask
    version: int
    """For which the numbers of devices hold."""

    rejected: list[tuple[int, Rejection]]
    warnings: list[tuple[int, Rejection]]
    """With the id of their request."""


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
        self._limits = QueueLimits(settings)
        self._most_at_once = settings.commit_readings
        self._wait_s = settings.commit_wait_s
        self._waiting: deque[Request] = deque()
        self.requests = PendingRequests()
        """Those whose readings are in a lane."""
        self._wake = asyncio.Event()
        """Set when a writer can use more, or there is more for one."""
        self._closed = False
        self._lanes = [
            Lane(writer, self.requests, self._most_at_once, self._wake.set, self._renumber)
            for writer in writers
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["CommitQueue"]:
        """Write for the length of the block; at its end, commit what still waits."""
        dealing = asyncio.create_task(self._deal_out())
        tasks = [asyncio.create_task(lane.run()) for lane in self._lanes]
        try:
            yield self
        finally:
            self._closed = True
            self._wake.set()
            await dealing
            for lane in self._lanes:
                lane.close()
            await asyncio.gather(*tasks)

    @property
    def readings(self) -> int:
        """Return how many readings wait for their commit."""
        return self._limits.readings

    @property
    def bytes(self) -> int:
        """Return the size of all request bodies in progress."""
        return self._limits.bodies.used

    def age_s(self) -> float:
        """Return the time that the oldest request has waited, seconds; 0 if none waits."""
        oldest = next(iter(self.requests.values()), None) or next(iter(self._waiting), None)
        return 0.0 if oldest is None else monotonic() - oldest.since

    def admitted(self) -> Counted:
        """Admit a request, or raise QueueFullError when readings are waiting that fill the queue.

        Return a context manager that yields a function, to be called with the size of each piece
        that comes in. That raises QueueFullError when all requests together hold too many bytes.
        """
        self._limits.check_room()
        return self._limits.bodies.counted()

    async def store(self, readings: Sequence[Telemetry]) -> Stored:
        """Wait until readings are committed; return how many were new, and what was not taken.

        The last batch that goes in may overfill the queue: it has been decoded already.

        Raises QueueFullError (nothing was stored), CommitTimeoutError, DatabaseUnavailableError
        (some may have been stored; sending it again is safe).
        """
        self._limits.check_room()
        request = Request(readings)
        self._waiting.append(request)
        self._limits.readings += len(readings)
        self._wake.set()
        timer = asyncio.get_running_loop().call_later(self._wait_s, self._expire, request)
        try:
            stored = await request.wait()
            return Stored(stored, request.rejected, request.warnings)
        finally:
            timer.cancel()
            self._limits.readings -= len(readings)
            request.release_readings()

    def _expire(self, request: Request) -> None:
        request.fail(
            CommitTimeoutError(
                f"not committed within {self._wait_s:g} s", maybe_stored=request.is_begun
            )
        )

    async def _deal_out(self) -> None:
        """Make what waits into columns and deal it out, as soon as a writer can use it."""
        while self._waiting or not self._closed:
            self._wake.clear()
            if self._waiting and self._is_due():
                await self._prepare_all(self._next_requests())
            else:
                await self._wake.wait()

    def _is_due(self) -> bool:
        """Return whether a writer is free; for many readings, whether one has nothing next."""
        waiting = 0
        for request in self._waiting:
            waiting += len(request.readings)
            if waiting >= _MANY:
                return any(not lane.waiting for lane in self._lanes)
        return any(lane.is_free for lane in self._lanes_for(waiting))

    def _lanes_for(self, readings: int) -> Sequence[Lane]:
        """Return the lanes for so many readings: few are cheaper in one commit than in several."""
        first, *others = self._lanes
        if readings < _MANY and all(lane.is_free for lane in others):
            return [first]
        return self._lanes

    def _next_requests(self) -> list[Request]:
        """Return at least one request; together at most what a writer commits at once."""
        requests: list[Request] = []
        readings = 0
        while self._waiting and (
            not requests or readings + len(self._waiting[0].readings) <= self._most_at_once
        ):
            request = self._waiting.popleft()
            if not request.is_over:  # it has not given up waiting
                requests.append(request)
                readings += len(request.readings)
        return requests

    async def _prepare_all(self, requests: list[Request]) -> None:
        """Make requests ready together; if that fails for what is in one of them, each alone."""
        request_ids = self.requests.add(requests)
        try:
            await self._prepare(parts_of(requests, request_ids))
        except Exception as error:
            if len(requests) > 1 and not isinstance(error, FleetMeterError):
                _log.warning("requests that cannot be prepared together go alone", exc_info=True)
                for request in requests:
                    await self._prepare_all([request])
                return
            for request in requests:
                request.fail(error)
            for request_id in request_ids:
                self.requests.pop(request_id, None)

    async def _prepare(self, parts: Sequence[Part]) -> None:
        """Check readings, number their devices, and put them into the lanes of their writers.

        That is done a part at a time, so that others have their turn; they go into the lanes
        together, or not at all.
        """
        bounds = self._bounds()
        prepared: list[_Prepared] = []
        since_turn = 0
        for part in parts:
            since_turn += len(part.readings)
            if since_turn > AT_A_TIME and prepared:
                await asyncio.sleep(0)
                since_turn = len(part.readings)
            prepared.append(await self._prepare_part(part, bounds))
        lanes = self._lanes_for(sum(len(part.readings) for part in parts))
        for rows, wrong, version, rejected, warnings in prepared:
            for request_id, rejection in rejected:
                self.requests[request_id].rejected.append(rejection)
            for request_id, warning in warnings:
                self.requests[request_id].warnings.append(warning)
            if rejected:
                self.requests.settle_rejected(rows[:, wrong])
            right = rows[:, ~wrong] if rejected else rows
            homes = right[DEVICE] % len(lanes)
            for place, lane in enumerate(lanes):
                if (here := homes == place).any():
                    lane.put(right[:, here], version)

    async def _prepare_part(self, part: Part, bounds: Bounds) -> "_Prepared":
        readings, request_ids, items = part
        columns = columns_of(readings, bounds)
        rows = columns.rows
        rows[REQUEST], rows[ITEM] = request_ids, items
        number(columns, self._numbers.of)
        while missing := unnumbered(columns):  # again when others were forgotten for the new ones
            await self._numbers.learn(missing)
            number(columns, self._numbers.of)
        version = self._numbers.version
        warnings: list[tuple[int, Rejection]] = []
        for place, measurement in columns.dropped:
            warning = dropped_field(int(items[place]), readings[place], measurement)
            warnings.append((int(request_ids[place]), warning))
            if len(warnings) % _REJECTED_AT_A_TIME == 0:
                await asyncio.sleep(0)
        rejected: list[tuple[int, Rejection]] = []
        for place in np.flatnonzero(columns.wrong).tolist():
            rejection = rejection_of(int(items[place]), readings[place], bounds)
            rejected.append((int(request_ids[place]), rejection))
            if len(rejected) % _REJECTED_AT_A_TIME == 0:
                await asyncio.sleep(0)
        return _Prepared(rows, columns.wrong, version, rejected, warnings)

    async def _renumber(self, rows: Matrix, devices_version: int) -> None:
        """Number these readings' devices again, since some have been purged since that version."""
        if self._numbers.version == devices_version:
            self._numbers.forget()
        readings = [
            self.requests[request_id].readings[item]
            for request_id, item in zip(rows[REQUEST].tolist(), rows[ITEM].tolist(), strict=True)
        ]
        await self._prepare(cut(readings, rows[REQUEST], rows[ITEM]))
