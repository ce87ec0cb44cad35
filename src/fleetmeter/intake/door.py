"""The door of every protocol: takes decoded readings and returns the outcome of each.

It knows bounds, back-pressure and the bytes that are being worked on, and nothing of HTTP. An
adapter asks to be admitted, counts the bytes that it reads, and brings what it decoded.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Container, Generator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from time import monotonic

import msgspec
from msgspec import UNSET, UnsetType

from fleetmeter.access.reach import EVERYTHING, Reach
from fleetmeter.byte_budget import Counted
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.database.waits import Waits
from fleetmeter.errors import CommitTimeoutError, NotMigratedError
from fleetmeter.intake.arrivals import Arrivals, Stamped
from fleetmeter.intake.device_numbers import DeviceNumbers
from fleetmeter.intake.queue import CommitQueue
from fleetmeter.intake.reading_groups import GroupedReadings
from fleetmeter.intake.rejection_counter import RejectionCounter
from fleetmeter.intake.within_reach import Sites, within_reach
from fleetmeter.intake.writer import DatabaseWriter
from fleetmeter.intake.writer_cache import WriterCache
from fleetmeter.metrics import READINGS, REJECTED, Protocol
from fleetmeter.readings.model import Rejection
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Bounds, Invalid, invalid_item
from fleetmeter.settings import Settings
from fleetmeter.slices import Slices

_AT_A_TIME, _NOTED_AT_A_TIME = 2000, 250
"""Items that are looked at in a slice, and rejected ones that are counted."""


class IngestOutcome(msgspec.Struct, rename="camel"):
    """Says what became of each item of a batch."""

    accepted: int
    """Stored by this request."""

    duplicates: int
    """Same device and time as a reading that was there already."""

    rejected: list[Rejection]
    """Not stored; sending again is useless."""

    warnings: list[Rejection] | UnsetType = UNSET
    """Stored without a field whose value cannot be, or by another time than was sent."""


class Door:
    """Takes readings in, from every protocol."""

    def __init__(
        self,
        queue: CommitQueue,
        waits: Waits,
        bounds: Callable[[], Bounds],
        rejections: RejectionCounter | None = None,
        arrivals: Arrivals | None = None,
        sites: Sites | None = None,
    ) -> None:
        self.queue = queue
        self._waits = waits
        self.slices = Slices()
        """Gives what takes long, of any request, one turn of the event loop after the other."""
        self.bounds = bounds
        """Between which times readings are taken at present."""
        self._rejections = rejections
        self._arrivals = arrivals
        self._sites = sites

    def admitted(self) -> Counted:
        """Admit a request, as a context manager; see CommitQueue.admitted()."""
        return self.queue.admitted()

    async def store(
        self,
        items: Sequence[Telemetry | Invalid],
        protocol: Protocol = "http",
        reach: Reach = EVERYTHING,
    ) -> IngestOutcome:
        """Wait until a batch is committed, and return what became of its items.

        Those that name a device beyond the sender's reach are rejected.

        Raises QueueFullError (nothing was stored), CommitTimeoutError, DatabaseUnavailableError
        (some may have been stored; sending it again is safe).
        """
        sent = items
        outside: frozenset[int] = frozenset()
        if not reach.whole:
            assert self._sites is not None  # noqa: S101 - only senders without limits do without
            items, outside = await within_reach(items, reach, self._sites, self.slices)
        outcome = await self._store(items)
        if outcome.rejected:
            if len(outcome.rejected) > _AT_A_TIME:
                await self.slices.turn()
            if self._arrivals is not None:
                await self._store_by_arrival(self._arrivals, items, outcome)
            if self._rejections is not None:
                await self.slices.run(_noted(self._rejections, sent, outcome.rejected, outside))
            for code, count in Counter(each.code for each in outcome.rejected).items():
                REJECTED.labels(code).inc(count)
        _count(outcome, protocol)
        return outcome

    async def _store_by_arrival(
        self, arrivals: Arrivals, items: Sequence[Telemetry | Invalid], outcome: IngestOutcome
    ) -> None:
        """Store what was refused for its time alone, where it may go by its arrival."""
        readings: Sequence[Telemetry] = items  # type: ignore[assignment] # those of CODES
        found = await arrivals.stamped(readings, outcome.rejected)
        stamped = [each for each in found if isinstance(each, Stamped)]
        still = {each.index: each for each in found if isinstance(each, Rejection)}
        again = await self._store([each.reading for each in stamped])
        still |= {stamped[each.index].place: each for each in again.rejected}
        done = {each.place: each.warning for each in stamped if each.place not in still}
        for each in (*again.rejected, *(again.warnings or ())):
            each.index = stamped[each.index].place
        outcome.accepted += again.accepted
        outcome.duplicates += again.duplicates
        outcome.rejected = [
            still.get(each.index, each) for each in outcome.rejected if each.index not in done
        ]
        warnings = [*(outcome.warnings or ()), *(again.warnings or ()), *done.values()]
        outcome.warnings = sorted(warnings, key=_index) or UNSET

    async def _store(self, items: Sequence[Telemetry | Invalid]) -> IngestOutcome:
        rejected: list[Rejection] = []
        if isinstance(items, GroupedReadings):
            pass  # all of them are readings
        elif len(items) <= _AT_A_TIME:
            rejected = _invalid_items(items)
        else:
            rejected = await self.slices.run(_invalid_of_many(items))
        if len(rejected) > _AT_A_TIME:
            await self.slices.turn()
        readings: Sequence[Telemetry] = items  # type: ignore[assignment]
        places: Sequence[int] = range(len(items))
        if rejected:
            places = [place for place, item in enumerate(items) if isinstance(item, Telemetry)]
            readings = [items[place] for place in places]  # type: ignore[misc]
        if not readings:
            return IngestOutcome(0, 0, rejected)
        try:
            stored = await self.queue.store(readings)
        except CommitTimeoutError:
            self._waits.note("the commit of a request")
            raise
        for each in (*stored.rejected, *stored.warnings):
            each.index = places[each.index]
        if stored.rejected:
            rejected = sorted([*rejected, *stored.rejected], key=_index)
        outcome = IngestOutcome(stored.new, len(items) - len(rejected) - stored.new, rejected)
        if stored.warnings:
            refused = {each.index for each in rejected}
            warnings = [each for each in stored.warnings if each.index not in refused]
            outcome.warnings = sorted(warnings, key=_index) or UNSET
        return outcome


def _count(outcome: IngestOutcome, protocol: Protocol) -> None:
    _readings("accepted", protocol).inc(outcome.accepted)
    if outcome.duplicates:
        _readings("duplicate", protocol).inc(outcome.duplicates)
    if outcome.rejected:
        _readings("rejected", protocol).inc(len(outcome.rejected))


_readings = cache(READINGS.labels)
"""Finding a metric by its labels takes longer than counting does."""


def _invalid_items(items: Sequence[Telemetry | Invalid], first: int = 0) -> list[Rejection]:
    """Return the outcomes of items that could not be decoded; `first` is the place of the first."""
    return [
        invalid_item(place, item)
        for place, item in enumerate(items, first)
        if isinstance(item, Invalid)
    ]


def _invalid_of_many(
    items: Sequence[Telemetry | Invalid],
) -> Generator[None, None, list[Rejection]]:
    rejected: list[Rejection] = []
    for first in range(0, len(items), _AT_A_TIME):
        if first:
            yield
        rejected += _invalid_items(items[first : first + _AT_A_TIME], first)
    return rejected


def _noted(
    rejections: RejectionCounter,
    items: Sequence[Telemetry | Invalid],
    rejected: Sequence[Rejection],
    outside: Container[int],
) -> Generator[None, None, None]:
    """Count what was rejected."""
    for first in range(0, len(rejected), _NOTED_AT_A_TIME):
        if first:
            yield
        rejections.note(items, rejected[first : first + _NOTED_AT_A_TIME], outside)


def _index(outcome: Rejection) -> int:
    return outcome.index


@asynccontextmanager
async def open_door(
    database: Database,
    settings: Settings,
    rejections: RejectionCounter | None = None,
    arrivals: Arrivals | None = None,
    bounds: Callable[[], Bounds] | None = None,
) -> AsyncIterator[Door]:
    """Take readings for the length of the block; at its end, what waits is committed.

    Without `rejections`, rejected readings are not counted, and without `arrivals`, none is stamped
    by its arrival: as for a file. Without `bounds`, times are judged by the clock. Raises
    DatabaseUnavailableError.
    """
    bounds = bounds or _bounds(settings.retention_days, await _kept_since(database))
    cache = WriterCache()
    writers = [DatabaseWriter(database, cache) for _ in range(settings.writers)]
    async with CommitQueue(writers, DeviceNumbers(database), bounds, settings).running() as queue:
        yield Door(queue, database.waits, bounds, rejections, arrivals, Sites(database))


def _bounds(retention_days: int, kept_since: datetime) -> Callable[[], Bounds]:
    """Return what may be taken, to a tenth of a second."""
    until = 0.0
    bounds: Bounds

    def now() -> Bounds:
        nonlocal until, bounds
        if (clock := monotonic()) >= until:
            bounds = Bounds.at(datetime.now(UTC), retention_days, kept_since)
            until = clock + 0.1
        return bounds

    return now


async def _kept_since(database: Database) -> datetime:
    """Return from when on history is whole; retention would drop what is older."""
    try:
        async with database.connection() as connection:
            since: datetime = await queries.kept_since(connection)
            return since
    except NotMigratedError:  # it will answer 503 to everything
        return datetime.min.replace(tzinfo=UTC)
