"""Reads lines of a shape that came before in a fraction of the time. Pure.

Programs write the same fields in the same order again and again, so a pattern is made of what such
a line has behind its head: `energy=` a number `,power=` a number, and a time. What it does not
match is parsed as any line is.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from re import Pattern
from typing import Any, NamedTuple

from fleetmeter.inputs.mapping.rules import Series, Untaken
from fleetmeter.readings.telemetry import FIELDS, Telemetry, attribute

_MOST_SHAPES = 4
"""Shapes that are tried for a series, the newest first."""

_MOST_HEADS, _MOST_HEAD = 20_000, 256
"""Heads that are remembered, and the characters of the longest; when there are more, all are
forgotten."""

_MOST_FIELDS = 1000
"""Characters of the fields of a line that has a shape."""

_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?(i?)")

_PLACES = {attribute(field): place for place, field in enumerate(FIELDS)}
_TIMESTAMP = _PLACES["timestamp"]

_Convert = tuple[float, float, float] | None


class _Target(NamedTuple):
    """A device, and which numbers of a line are its measurements."""

    values: list[Any]
    """A reading's values in the order of FIELDS, with the ids."""

    numbers: list[tuple[int, int, _Convert]]
    """The group of the pattern, the place of the value, and offset, factor and divisor."""


class Shape(NamedTuple):
    """What lines of a series look like behind their head, and what becomes of them."""

    pattern: Pattern[str]
    targets: Sequence[_Target]
    untaken: Sequence[Untaken]

    def readings(self, numbers: Sequence[str], time: datetime) -> list[Telemetry]:
        """Return what `Series.readings` does, of the numbers in the pattern's groups."""
        readings = []
        for ids, taken in self.targets:
            values = ids.copy()
            for group, place, convert in taken:
                value = float(numbers[group])
                if convert is not None:
                    added, times, divided = convert
                    value = (value + added) * times / divided
                values[place] = value
            values[_TIMESTAMP] = time
            readings.append(Telemetry(*values))
        return readings


class KnownLines:
    """The series of one head, and the shapes of its lines."""

    __slots__ = ("series", "shapes")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.shapes: tuple[Shape, ...] = ()

    def learn(self, rest: str) -> None:
        """Make a shape of what a line has behind its head, if it is one of plain numbers."""
        fields = rest.partition(" ")[0]
        if len(fields) > _MOST_FIELDS:
            return
        names, parts = [], []
        for pair in fields.split(","):
            name, _, value = pair.partition("=")
            if (number := _NUMBER.fullmatch(value)) is None or "\\" in name or '"' in name:
                return
            names.append(name)
            parts.append(
                rf"{re.escape(name)}=(-?\d{{1,15}})i"
                if number[1]
                else rf"{re.escape(name)}=(-?\d{{1,15}}(?:\.\d{{1,15}})?)"
            )
        pattern = _compiled(",".join(parts) + r"(?: (-?\d{1,19}))?")
        if len(set(names)) == len(names) and all(each.pattern != pattern for each in self.shapes):
            self.shapes = (self._shape(names, pattern), *self.shapes[: _MOST_SHAPES - 1])

    def _shape(self, names: Sequence[str], pattern: Pattern[str]) -> Shape:
        untaken: list[Untaken] = []
        self.series.readings([(name, 0.0) for name in names], _NEVER, untaken)
        targets = []
        for texts, of in self.series.targets:
            numbers = [
                (group, _PLACES[number.attribute], number.convert)
                for group, name in enumerate(names)
                for number in of.get(name, ())
            ]
            if numbers:
                targets.append(_Target([texts.get(name) for name in _PLACES], numbers))
        return Shape(pattern, targets, untaken)


class KnownHeads:
    """The lines of each head, in bounded memory."""

    def __init__(self) -> None:
        self._known: dict[str, KnownLines] = {}

    def get(self, head: str) -> KnownLines | None:
        """Return the lines of a head that came before."""
        return self._known.get(head)

    def add(self, head: str, series: Series) -> KnownLines:
        """Return the lines of a new head."""
        lines = KnownLines(series)
        if len(head) <= _MOST_HEAD:
            if len(self._known) >= _MOST_HEADS:
                self._known.clear()
            self._known[head] = lines
        return lines


_NEVER = datetime.min

_compiled = lru_cache(1000)(re.compile)
"""Series share their shapes."""
