"""Decodes bodies in InfluxDB's line protocol into readings, by a mapping."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, pairwise
from operator import itemgetter
from typing import TypeGuard

from fleetmeter.inputs.known_lines import KnownHeads
from fleetmeter.inputs.line_protocol import (
    MAX_LINE,
    BadLine,
    Line,
    head_of,
    next_line,
    split_head,
)
from fleetmeter.inputs.mapping.rules import Mapping, Untaken
from fleetmeter.inputs.untaken import OTHERS
from fleetmeter.intake.reading_groups import GroupedPart, GroupedReadings, ReadingGroup
from fleetmeter.readings.decode import Item
from fleetmeter.readings.item_boundaries import too_many
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid

_PIECE = 2 * MAX_LINE
"""Characters of a body that are looked at together, up to the end of a line. As no line is longer,
what begins in one piece ends in the next at the latest."""

_MANY = 4
"""Lines of a piece that are looked at together; of fewer, each is parsed by itself in less time."""

_GROUPED = 200
"""Lines whose readings are handed on by columns; those of fewer are put together with other
requests'."""

_SLICE = 8192
"""Characters of lines that are parsed one by one in a slice."""

_LINE = 10
"""What looking for the end of a text on another line takes, in such characters."""

_NEW_SHAPE, _MOST_NEW_SHAPES = 1024, 20
"""What making a shape takes, in such characters, beside twice those of its line; and how many a
body may make, so that a sender of ever new ones does not cost more than other senders do."""

_MOST_AGAIN = 16 * MAX_LINE
"""Characters of a body that are read again, about, as a text has taken them that has no end."""

_MOST_UNTAKEN = 1000
"""Names that are counted by themselves of what a body has that no rule takes."""


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
        self._parts: list[GroupedPart | list[Item]] = []
        self._new_shapes = _MOST_NEW_SHAPES
        self._again = 0

        self.line_numbers: list[int] = []
        """By the place of an item."""

        self.untaken: Counter[Untaken] = Counter()

    def feed(self, piece: bytes) -> Generator[None, None, None]:
        """Take more of the body."""
        self._body += piece
        self._most_lines -= piece.count(b"\n")
        if self._most_lines < 0:
            raise too_many(self._max_batch)
        yield from ()

    def finish(self) -> Generator[None, None, Sequence[Item]]:
        """Finish the body. Raises BatchTooLargeError."""
        text = self._body.decode("utf-8-sig", "surrogateescape")  # next_line() refuses the latter
        arrival = datetime.now(UTC)
        first, begun = 1, 0
        for piece, after in pairwise(chain(_pieces(text), [[]])):
            if first > 1:
                yield
            lines = [*piece[begun:], *after]
            own = len(piece) - begun
            until = yield from self._decode(lines, own, first + begun, arrival)
            first += len(piece)
            begun = until - own
        return _together(self._parts)

    def _decode(
        self, lines: Sequence[str], own: int, first: int, arrival: datetime
    ) -> Generator[None, None, int]:
        """Decode what begins in the first `own` lines; return the place of what follows that.

        `first` is the number of the first line.
        """
        many = own >= _MANY
        groups, unknown = (
            self._known.match(lines[:own], self._unit_ns) if many else ([], range(own))
        )
        places: list[int] = []
        items: list[Item] = []
        until = spent = 0
        within: set[int] = set()
        for place in unknown:
            if place < until:
                continue  # it is in a text that began before
            line, until, passed = self._next(lines, place)
            spent += passed
            within.update(range(place + 1, until))
            if line is not None:
                parsed, cost = self._parsed(line, lines[place], arrival, many=many)
                items += parsed
                places += [place] * len(parsed)
                spent += cost
            if spent > _SLICE:
                yield
                spent = 0
        found: list[ReadingGroup] = []
        for group in groups:
            kept = group.without(within) if within else group
            if not kept.places:
                continue
            self._count(kept.shape.untaken, len(kept.places))
            found += kept.readings(arrival)
        self._add(found, places, items, first)
        if len(self.line_numbers) > self._max_batch:
            raise too_many(self._max_batch)
        return max(until, own)

    def _next(self, lines: Sequence[str], place: int) -> tuple[Line | BadLine | None, int, int]:
        """Return the point that begins at a place, the place of what follows it, and what it took
        to find a text without an end, in characters.

        A text without an end takes no other lines with it, within bounds: these are read again.
        """
        line, until = next_line(lines, place, self._unit_ns)
        more = until - place - 1
        if not isinstance(line, BadLine) or not more:
            return line, until, 0
        passed = sum(map(len, lines[place:until])) + more * _LINE
        if self._again < _MOST_AGAIN:
            self._again += passed
            return line, place + 1, passed
        why = f"{line.why}; {more:,} lines after it are lost with it, send these again"
        return line._replace(why=why), until, passed

    def _add(
        self,
        groups: Sequence[ReadingGroup],
        places: Sequence[int],
        items: Sequence[Item],
        first: int,
    ) -> None:
        """Add what some lines gave, in the order of the lines; `places` are those of `items`."""
        grouped = [*chain.from_iterable(group.places for group in groups)]
        if not items and len(grouped) >= _GROUPED and len(set(grouped)) == len(grouped):
            places = sorted(grouped)
            if places[-1] >= len(places):  # lines between them gave nothing
                at = {place: number for number, place in enumerate(places)}
                groups = [
                    group._replace(places=[at[place] for place in group.places]) for group in groups
                ]
            self._parts.append(GroupedPart(groups))
        else:
            found = [*zip(places, items, strict=True)]
            for group in groups:
                found += zip(group.places, group.readings(), strict=True)
            found.sort(key=_place)
            places = [place for place, _ in found]
            self._parts.append([item for _, item in found])
        self.line_numbers += [first + place for place in places]

    def _parsed(
        self, line: Line | BadLine, sent: str, arrival: datetime, *, many: bool
    ) -> tuple[Sequence[Item], int]:
        """Return what a line gives, and what that took, in characters; `sent` is its beginning.

        If there are many, others are expected to be like it.
        """
        cost = len(sent)
        if isinstance(line, BadLine):
            return [_malformed(line.why, line.text)], cost
        try:
            known = self._known.get(line.head) or self._known.add(
                line.head, self._mapping.series(*head_of(line.head))
            )
        except ValueError as error:
            return [_malformed(str(error), line.head)], cost
        untaken: list[Untaken] = []
        readings = known.series.readings(line.fields, line.time or arrival, untaken)
        self._count(untaken)
        if many and self._known.learn(known, split_head(sent)[2], also_new=self._new_shapes > 0):
            self._new_shapes -= 1
            cost += _NEW_SHAPE + 2 * len(sent)
        return readings, cost

    def _count(self, untaken: Sequence[Untaken], lines: int = 1) -> None:
        for each in untaken:
            if each not in self.untaken and len(self.untaken) >= _MOST_UNTAKEN:
                self.untaken[Untaken(each.reason, OTHERS)] += lines
            else:
                self.untaken[each] += lines


_place = itemgetter(0)


def _together(parts: Sequence[GroupedPart | list[Item]]) -> Sequence[Item]:
    """Return a batch of parts; as it is if some are groups and the rest is readings."""
    plain = [part for part in parts if not isinstance(part, GroupedPart)]
    if len(plain) < len(parts):
        known = [part for part in parts if isinstance(part, GroupedPart) or _are_readings(part)]
        if len(known) == len(parts):
            return GroupedReadings(known)
    return [
        item
        for part in parts
        for item in (part.readings if isinstance(part, GroupedPart) else part)
    ]


def _are_readings(items: list[Item]) -> TypeGuard[list[Telemetry]]:
    return not any(isinstance(item, Invalid) for item in items)


def _pieces(text: str) -> Iterator[list[str]]:
    """Cut a text at ends of lines, into the lines of pieces of at least `_PIECE` characters."""
    start = 0
    while (end := text.find("\n", start + _PIECE)) >= 0:
        yield text[start:end].split("\n")
        start = end + 1
    yield text[start:].split("\n")


def _malformed(why: str, text: str) -> Invalid:
    invalid = Invalid("malformed", why)
    invalid.sent = text.encode(errors="surrogateescape")
    return invalid
