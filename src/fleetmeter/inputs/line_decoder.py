"""Decodes bodies in InfluxDB's line protocol into readings, by a mapping."""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime

from fleetmeter.errors import MalformedBodyError
from fleetmeter.inputs.line_protocol import BadLine, Line, head_of, next_line, time_of
from fleetmeter.inputs.line_shapes import KnownHeads, KnownLines
from fleetmeter.inputs.mapping.rules import Mapping, Untaken
from fleetmeter.readings.decode import Item
from fleetmeter.readings.item_boundaries import too_many
from fleetmeter.readings.validate import Invalid

_SLICE, _SLICE_CHARACTERS = 500, 64 * 1024
"""Lines that are decoded in a slice, and roughly how many characters they may have."""

_MOST_UNTAKEN = 10_000
"""Fields of a body that are counted by themselves as not taken."""


class LineDecoder:
    """Decodes lines by a mapping; with the number of the line of each item."""

    def __init__(self, mapping: Mapping, known: KnownHeads, unit_ns: int, max_batch: int) -> None:
        """Prepare to decode; `unit_ns` is what timestamps count, nanoseconds."""
        self._mapping = mapping
        self._known = known
        self._unit_ns = unit_ns
        self._max_batch = max_batch
        self._most_lines = max_batch
        self._body = bytearray()
        self._items: list[Item] = []
        self._times: dict[str, datetime] = {}
        """Times that came in the body already, by how they are written."""

        self.line_numbers: list[int] = []
        """By the place of an item."""

        self.untaken: list[Untaken] = []

    def feed(self, piece: bytes) -> Generator[None, None, None]:
        """Take more of the body."""
        self._body += piece
        self._most_lines -= piece.count(b"\n")
        if self._most_lines < 0:
            raise too_many(self._max_batch)
        yield from ()

    def finish(self) -> Generator[None, None, list[Item]]:
        """Finish the body. Raises MalformedBodyError and BatchTooLargeError."""
        try:
            text = self._body.decode()
        except UnicodeDecodeError as error:
            number = self._body.count(b"\n", 0, error.start) + 1
            raise MalformedBodyError(f"line {number} is not UTF-8 text") from None
        arrival = datetime.now(UTC)
        if '"' not in text:
            text = text.replace("\r\n", "\n")
        lines = text.split("\n")
        at, until, left = 0, _SLICE, _SLICE_CHARACTERS
        while at < len(lines):
            left -= len(lines[at])
            if at >= until or left < 0:
                yield
                until, left = at + _SLICE, _SLICE_CHARACTERS
                del self.untaken[_MOST_UNTAKEN:]
            head, _, rest = lines[at].partition(" ")
            known = self._known.get(head)
            if known is not None and self._quick(at + 1, known, rest, arrival):
                at += 1
            else:
                line, at = next_line(lines, at, self._unit_ns)
                if line is not None:
                    self._decode(line, rest, arrival)
        return self._items

    def _quick(self, number: int, known: KnownLines, rest: str, arrival: datetime) -> bool:
        """Decode a line of a shape that came before; return whether it is one."""
        for shape in known.shapes:
            if (found := shape.pattern.fullmatch(rest)) is None:
                continue
            *numbers, written = found.groups()
            time = arrival if written is None else self._times.get(written)
            if time is None:
                try:
                    self._times[written] = time = time_of(written, self._unit_ns)
                except ValueError:
                    return False
            self._add(number, shape.readings(numbers, time))
            if shape.untaken:
                self.untaken += shape.untaken
            return True
        return False

    def _decode(self, line: Line | BadLine, rest: str, arrival: datetime) -> None:
        if isinstance(line, BadLine):
            self._add(line.number, [_malformed(line.why, line.text)])
            return
        try:
            known = self._known.get(line.head) or self._known.add(
                line.head, self._mapping.series(*head_of(line.head))
            )
        except ValueError as error:
            self._add(line.number, [_malformed(str(error), line.head)])
            return
        self._add(
            line.number, known.series.readings(line.fields, line.time or arrival, self.untaken)
        )
        known.learn(rest)

    def _add(self, line: int, items: Sequence[Item]) -> None:
        self._items += items
        self.line_numbers += [line] * len(items)
        if len(self._items) > self._max_batch:
            raise too_many(self._max_batch)


def _malformed(why: str, text: str) -> Invalid:
    invalid = Invalid("malformed", why)
    invalid.sent = text.encode()
    return invalid
