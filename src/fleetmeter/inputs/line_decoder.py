"""Decodes bodies in InfluxDB's line protocol into readings, by a mapping."""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime

from fleetmeter.errors import MalformedBodyError
from fleetmeter.inputs.line_protocol import BadLine, Line, head_of, parsed
from fleetmeter.inputs.mapping.rules import KnownSeries, Mapping, Series, Untaken
from fleetmeter.readings.decode import Item
from fleetmeter.readings.item_boundaries import too_many
from fleetmeter.readings.validate import Invalid

_MOST_UNTAKEN = 10_000
"""Fields of a body that are counted by themselves as not taken."""


class LineDecoder:
    """Decodes lines by a mapping; with the number of the line of each item."""

    def __init__(self, mapping: Mapping, known: KnownSeries, unit_ns: int, max_batch: int) -> None:
        """Prepare to decode; `unit_ns` is what timestamps count, nanoseconds."""
        self._mapping = mapping
        self._known = known
        self._unit_ns = unit_ns
        self._max_batch = max_batch
        self._body = bytearray()
        self._items: list[Item] = []
        self.line_numbers: list[int] = []
        """By the place of an item."""

        self.untaken: list[Untaken] = []

    def feed(self, piece: bytes) -> Generator[None, None, None]:
        """Take more of the body."""
        self._body += piece
        yield from ()

    def finish(self) -> Generator[None, None, list[Item]]:
        """Finish the body. Raises MalformedBodyError and BatchTooLargeError."""
        try:
            text = self._body.decode()
        except UnicodeDecodeError as error:
            number = self._body.count(b"\n", 0, error.start) + 1
            raise MalformedBodyError(f"line {number} is not UTF-8 text") from None
        arrival = datetime.now(UTC)
        for line in parsed(text, self._unit_ns):
            if line is None:
                yield
            elif isinstance(line, BadLine):
                self._add(line.number, [_malformed(line.why, line.text)])
            else:
                try:
                    series = self._known.get(line.head) or self._series(line)
                except ValueError as error:
                    self._add(line.number, [_malformed(str(error), line.head)])
                    continue
                readings = series.readings(line.fields, line.time or arrival, self.untaken)
                self._add(line.number, readings)
        return self._items

    def _add(self, line: int, items: Sequence[Item]) -> None:
        self._items += items
        self.line_numbers += [line] * len(items)
        if len(self._items) > self._max_batch:
            raise too_many(self._max_batch)
        del self.untaken[_MOST_UNTAKEN:]

    def _series(self, line: Line) -> Series:
        name, tags = head_of(line.head)
        series = self._mapping.series(name, tags)
        self._known.put(line.head, series)
        return series


def _malformed(why: str, text: str) -> Invalid:
    invalid = Invalid("malformed", why)
    invalid.sent = text.encode()
    return invalid
