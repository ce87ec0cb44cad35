"""The requests that wait for their commit, and what becomes of the readings in them."""

import asyncio
from collections.abc import Sequence
from itertools import count
from time import monotonic

import numpy as np

from fleetmeter.intake.outcomes import conflict_of
from fleetmeter.intake.rows import CONFLICT, ITEM, NEW, REJECTED, REQUEST, Matrix, Statuses
from fleetmeter.readings.model import Rejection
from fleetmeter.readings.telemetry import Telemetry


class Request:
    """Holds readings that a caller waits for, until all are settled or one fails."""

    def __init__(self, readings: Sequence[Telemetry]) -> None:
        self.readings = readings
        self.since = monotonic()
        self.is_begun = False
        """True once a writer has begun to write some of it."""
        self.rejected: list[Rejection] = []
        self.warnings: list[Rejection] = []
        self._unsettled = len(readings)
        self._stored = 0
        self._done: asyncio.Future[int] | None = asyncio.get_running_loop().create_future()

    @property
    def is_over(self) -> bool:
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
        self._unsettled -= readings
        self._stored += stored
        if not self._unsettled and self._done is not None and not self.is_over:
            self._done.set_result(self._stored)
        return not self._unsettled

    def release_readings(self) -> None:
        """Drop the readings: nobody waits. What a writer has begun with, it finishes."""
        self.readings = ()

    def fail(self, error: BaseException) -> None:
        """Note that the request will not be stored as a whole."""
        if self._done is not None and not self.is_over:
            self._done.set_exception(error)


class PendingRequests(dict[int, Request]):
    """The requests whose readings are in a lane, by the id that the rows have."""

    def __init__(self) -> None:
        super().__init__()
        self._ids = count()

    def add(self, requests: Sequence[Request]) -> list[int]:
        """Give requests their ids, and return these."""
        ids = [next(self._ids) for _ in requests]
        self.update(zip(ids, requests, strict=True))
        return ids

    def settle(self, rows: Matrix, statuses: Statuses) -> None:
        """Give the requests the outcomes of their readings."""
        for place in np.flatnonzero(statuses >= CONFLICT).tolist():
            request, item = self[int(rows[REQUEST, place])], int(rows[ITEM, place])
            if not request.is_over:
                request.rejected.append(
                    conflict_of(item, request.readings[item], int(statuses[place]))
                )
        self._settle(rows, statuses)

    def settle_rejected(self, rows: Matrix) -> None:
        """Note that readings will not be stored; why is known already."""
        self._settle(rows, np.full(rows.shape[1], REJECTED, np.int8))

    def fail(self, rows: Matrix, error: BaseException) -> None:
        """Fail the requests of these readings, which could not be stored."""
        for request_id in np.unique(rows[REQUEST]).tolist():
            self[request_id].fail(error)
        self.settle_rejected(rows)

    def _settle(self, rows: Matrix, statuses: Statuses) -> None:
        ids, places, sizes = np.unique(rows[REQUEST], return_inverse=True, return_counts=True)
        stored = np.bincount(places, weights=statuses == NEW, minlength=len(ids))
        for id_, size, new in zip(ids.tolist(), sizes.tolist(), stored.tolist(), strict=True):
            if self[id_].settle(size, int(new)):
                del self[id_]
