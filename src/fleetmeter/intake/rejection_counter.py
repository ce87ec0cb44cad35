"""Counts rejected readings by device and code: in memory, and every two seconds in the database.

Ids are stored as they were sent, and anybody can make them up. So the number of counts is bounded,
here and in the table, as are the length of an example and what is logged.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Container, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import structlog

from fleetmeter.background import repeat, running
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.errors import DatabaseUnavailableError
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.model import Rejection
from fleetmeter.readings.telemetry import FIELDS, Telemetry, attribute
from fleetmeter.readings.validate import Invalid

FLUSH_S = 2.0
"""Interval at which counts are added to the database, seconds."""

LOG_S = 60.0
"""Minimum interval between lines in the log, seconds."""

MOST_KEYS = 1000
"""Maximum number of separate counts between two flushes; the rest are added up by code."""

MOST_ID, MOST_DETAIL, MOST_EXAMPLE = 64, 300, 500
"""Maximum number of characters of each; the rest is cut off."""

_LOGGED = 3
"""Number of devices named in a line of the log: those with the most rejected readings."""

_log = structlog.get_logger()


class Key(NamedTuple):
    """Identifies a count; without an id, the readings had none or there was no room for it."""

    kind: str
    id: str
    code: str


class _Count(msgspec.Struct):
    """Counts the readings rejected under a key, and keeps the last example."""

    count: int
    first_at: datetime
    last_at: datetime
    detail: str
    path: str
    example: str


def _now() -> datetime:
    return datetime.now(UTC)


class RejectionCounter:
    """Counts rejected readings; the counts of several services on a database add up."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._clock = clock
        self._counts: dict[Key, _Count] = {}
        self._unlogged: Counter[Key] = Counter()
        self._log_at = 0.0

    def note(
        self,
        items: Sequence[Telemetry | Invalid],
        rejected: Sequence[Rejection],
        outside: Container[int] = (),
    ) -> None:
        """Count the items of a batch that were rejected, which are few as a rule.

        Those at the places `outside` count for no device: their sender must not write it.
        """
        now = self._clock()
        counts = self._counts
        for rejection in rejected:
            item = items[rejection.index]
            device = ("", "") if rejection.index in outside else device_of(item)
            key = Key(*device, rejection.code)
            if key not in counts and len(counts) >= MOST_KEYS:
                key = Key("", "", rejection.code)
            if (found := counts.get(key)) is not None:
                found.count += 1
                found.last_at = now
            else:
                counts[key] = _Count(
                    1, now, now, shown(rejection.detail, MOST_DETAIL), rejection.path, example(item)
                )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["RejectionCounter"]:
        """Flush every two seconds for the length of the block, and at its end."""
        try:
            async with running(repeat("rejections", self.flush, FLUSH_S, first_pause_s=FLUSH_S)):
                yield self
        finally:
            try:
                await self.flush()
            except Exception:
                _log.warning("rejections could not be stored", exc_info=True)

    async def flush(self) -> None:
        """Add what was counted to the table, and log it. Raises DatabaseUnavailableError."""
        counts = self._counts
        if counts:
            self._counts = {}
            try:
                await self._store(counts)
            except (DatabaseUnavailableError, asyncio.CancelledError):
                self._add(counts)
                raise
            for key, each in counts.items():
                if key in self._unlogged or len(self._unlogged) < MOST_KEYS:
                    self._unlogged[key] += each.count
        if self._unlogged and monotonic() >= self._log_at:
            self._log_at = monotonic() + LOG_S
            _log_refused(self._unlogged)
            self._unlogged.clear()

    async def _store(self, counts: dict[Key, _Count]) -> None:
        rows = [key._asdict() | msgspec.structs.asdict(each) for key, each in counts.items()]
        async with self._database.connection() as connection:
            await queries.note_rejections(connection, rejections=msgspec.json.encode(rows).decode())

    def _add(self, counts: dict[Key, _Count]) -> None:
        """Count again what could not be stored."""
        for key, each in counts.items():
            if key not in self._counts and len(self._counts) >= MOST_KEYS:
                key = Key("", "", key.code)
            if (found := self._counts.get(key)) is not None:
                found.count += each.count
                found.first_at = min(found.first_at, each.first_at)
            else:
                self._counts[key] = each


def device_of(item: Telemetry | Invalid) -> tuple[str, str]:
    """Return the kind and id of a rejected item, or two empty strings if it has none."""
    if isinstance(item, Invalid):
        given = _given(item.sent)
    else:
        given = {kind.id_field: getattr(item, attribute(kind.id_field)) for kind in KINDS}
    for kind in KINDS:
        id_ = given.get(kind.id_field)
        if isinstance(id_, str):
            return kind.name, shown(id_, MOST_ID)
    return "", ""


def example(item: Telemetry | Invalid) -> str:
    """Return a rejected item for people to read: as JSON if possible, and cut to length."""
    if isinstance(item, Invalid):
        given = _decoded(item.sent)
        text = bytes(item.sent).decode(errors="backslashreplace") if given is None else given
    else:
        text = {field: getattr(item, attribute(field)) for field in FIELDS}
        text = {field: value for field, value in text.items() if value is not None}
    if not isinstance(text, str):
        try:
            text = msgspec.json.encode(text).decode()
        except (TypeError, ValueError, RecursionError):  # MessagePack can say more than JSON
            text = repr(text)
    return shown(text, MOST_EXAMPLE)


def shown(text: str, most: int) -> str:
    """Return text that can be stored and printed, cut."""
    text = text[: most + 1].encode("ascii", "backslashreplace").decode()
    text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    return text if len(text) <= most else f"{text[: most - 3]}..."


_IDS = re.compile(
    rb'"(%s)"\s*:\s*"((?:[^"\\]|\\.){1,300})"' % b"|".join(kind.id_field.encode() for kind in KINDS)
)


def _given(sent: bytes) -> dict[str, Any]:
    """Return the ids of an item that cannot be decoded as a reading."""
    decoded = _decoded(sent)
    if isinstance(decoded, dict):
        return decoded
    # also when it is not JSON either, as with NaN
    return {name.decode(): id_.decode(errors="replace") for name, id_ in _IDS.findall(sent)}


def _decoded(sent: bytes) -> Any:
    """Return what an item is as JSON or MessagePack; None when it is neither."""
    first = sent.lstrip()[:1]
    if first not in b'{["' and first < b"\x80":
        return None  # the 5 of JSON would be the number 53
    decode = msgspec.json.decode if first in b'{["' else msgspec.msgpack.decode
    try:
        return decode(sent)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _log_refused(counts: Counter[Key]) -> None:
    """Log how many readings were rejected, and the devices with the most."""
    _log.warning(
        "readings refused",
        readings=counts.total(),
        devices=len({key[:2] for key in counts}),
        most=[
            f"{key.kind or 'reading'} {key.id or 'without an id'}: {count} {key.code}"
            for key, count in counts.most_common(_LOGGED)
        ],
    )
