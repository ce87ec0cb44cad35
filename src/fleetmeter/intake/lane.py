"""A lane: the readings that wait for one writer, and the loop that has them committed."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import pairwise
from time import monotonic
from typing import Protocol

import numpy as np
import structlog

from fleetmeter.errors import CommitTimeoutError, FleetMeterError
from fleetmeter.intake.batch_start import StaleNumbersError
from fleetmeter.intake.pending_requests import PendingRequests
from fleetmeter.intake.rows import CONFLICT, REQUEST, Matrix, Statuses
from fleetmeter.metrics import COMMIT_FAILURES, COMMIT_READINGS, COMMIT_SECONDS
from fleetmeter.traces import span

_REFUSED_AT_A_TIME = 1000
"""Refusals that are worded before others have their turn."""

_log = structlog.get_logger()


class Writer(Protocol):
    """Commits readings in one transaction."""

    async def commit(self, rows: Matrix, devices_version: int) -> Statuses:
        """Return what became of each reading. Raises what made the transaction fail."""
        ...


class Lane:
    """Holds what waits for one writer."""

    def __init__(
        self,
        writer: Writer,
        requests: PendingRequests,
        max_readings: int,
        on_change: Callable[[], None],
        renumber: Callable[[Matrix, int], Awaitable[None]],
    ) -> None:
        """Create a lane of transactions of at most so many readings.

        It calls `on_change` when the writer can use more, and `renumber` with readings, and the
        version that they are numbered for, when devices have been purged since.
        """
        self._writer = writer
        self._requests = requests
        self._max_readings = max_readings
        self._on_change = on_change
        self._renumber = renumber
        self.waiting: deque[tuple[Matrix, int]] = deque()
        """Readings, with the version of the devices for which their numbers hold."""
        self._is_committing = False
        self._wake = asyncio.Event()
        self._closed = False

    @property
    def is_free(self) -> bool:
        """Return whether its writer has nothing to do."""
        return not self._is_committing and not self.waiting

    def put(self, rows: Matrix, devices_version: int) -> None:
        """Let readings wait for the writer."""
        self.waiting.append((rows, devices_version))
        self._wake.set()

    def close(self) -> None:
        """Let run() return when nothing waits any more."""
        self._closed = True
        self._wake.set()

    async def run(self) -> None:
        """Commit until closed and empty."""
        while True:
            await self._wake.wait()
            if self.waiting:
                self._is_committing = True
                rows, version = self._next_transaction()
                self._on_change()
                if rows.shape[1]:
                    await self._commit(rows, version)
                self._is_committing = False
                self._on_change()
            elif self._closed:
                return
            else:
                self._wake.clear()

    def _next_transaction(self) -> tuple[Matrix, int]:
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
        return self._awaited(rows), version

    def _awaited(self, rows: Matrix) -> Matrix:
        """Return the readings still waited for; their requests may be stored from now on."""
        given_up = []
        for request_id in np.unique(rows[REQUEST]).tolist():
            request = self._requests[request_id]
            if request.is_over:
                given_up.append(request_id)
            request.is_begun = True
        if not given_up:
            return rows
        dropped = np.isin(rows[REQUEST], given_up)
        self._requests.fail(rows[:, dropped], CommitTimeoutError("given up", maybe_stored=False))
        return rows[:, ~dropped]

    async def _commit(self, rows: Matrix, version: int) -> None:
        """Commit together; if that fails for what is in one of the requests, each alone."""
        began = monotonic()
        try:
            with span("commit", readings=rows.shape[1]):
                statuses = await self._writer.commit(rows, version)
            COMMIT_SECONDS.observe(monotonic() - began)
            COMMIT_READINGS.observe(rows.shape[1])
            await self._settle(rows, statuses)
        except StaleNumbersError:
            await self._number_again(rows, version)
        except FleetMeterError as error:
            COMMIT_FAILURES.inc()
            self._requests.fail(rows, error)
        except Exception as error:
            COMMIT_FAILURES.inc()
            request_ids = np.unique(rows[REQUEST])
            if len(request_ids) == 1:
                self._requests.fail(rows, error)
                return
            _log.warning("a shared transaction failed; its requests go alone", exc_info=True)
            for request_id in request_ids:
                await self._commit(rows[:, rows[REQUEST] == request_id], version)

    async def _settle(self, rows: Matrix, statuses: Statuses) -> None:
        """Give requests their outcomes, of many refusals some at a time."""
        refused = np.flatnonzero(statuses >= CONFLICT)
        cuts = refused[_REFUSED_AT_A_TIME::_REFUSED_AT_A_TIME].tolist()
        for start, end in pairwise([0, *cuts, len(statuses)]):
            if start:
                await asyncio.sleep(0)
            self._requests.settle(rows[:, start:end], statuses[start:end])

    async def _number_again(self, rows: Matrix, version: int) -> None:
        if not (rows := self._awaited(rows)).size:
            return
        try:
            await self._renumber(rows, version)
        except FleetMeterError as error:
            self._requests.fail(rows, error)
