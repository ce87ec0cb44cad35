"""Remembers series and the shapes of their lines, and reads those that come again. Pure."""

from collections.abc import Container, Sequence
from datetime import datetime
from itertools import compress
from operator import not_
from typing import NamedTuple

from fleetmeter.inputs.line_protocol import split_head
from fleetmeter.inputs.line_shapes import Form, Shape, Values, form_of
from fleetmeter.inputs.mapping.rules import Series, Untaken
from fleetmeter.intake.reading_groups import ReadingGroup
from fleetmeter.readings.telemetry import TEXTS, attribute

_MOST_HEADS, _MOST_HEAD = 50_000, 256
"""Heads that are remembered, and the characters of the longest; when there are more, every other
one is forgotten."""

_MOST_SHAPES, _SHAPES_OF_HEAD = 1000, 4
"""Shapes that are remembered, and those that are tried for a head, the newest first."""

_MOST_REST = 8192
"""Characters that a line of a shape may have behind its head."""

_Key = tuple[Form, str, Untaken | None, tuple[int, ...]]
"""A form, and what series have in common: name, what is not taken, and the rules."""


class KnownLines:
    """The series of one head, and the shapes of its lines."""

    __slots__ = ("ids", "series", "shapes")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.ids = [
            tuple(target.texts.get(attribute(text)) for text in TEXTS) for target in series.targets
        ]
        self.shapes: tuple[Shape, ...] = ()


class Group(NamedTuple):
    """Lines of one shape."""

    shape: Shape
    places: Sequence[int]
    known: Sequence[KnownLines]
    values: Values

    def without(self, places: Container[int]) -> "Group":
        """Return the group without lines."""
        kept = [place not in places for place in self.places]
        columns = [list(compress(column, kept)) for column in self.values.columns]
        times = self.values.times
        return Group(
            self.shape,
            list(compress(self.places, kept)),
            list(compress(self.known, kept)),
            Values(columns, None if times is None else times[kept]),
        )

    def readings(self, arrival: datetime) -> list[ReadingGroup]:
        """Return the readings of the lines, a group for each device that a line has."""
        ids = [each.ids for each in self.known]
        return self.shape.groups(self.values, self.places, ids, arrival)


class KnownHeads:
    """The lines of each head, in bounded memory."""

    def __init__(self) -> None:
        self._known: dict[str, KnownLines] = {}
        self._shapes: dict[_Key, Shape] = {}

    def get(self, head: str) -> KnownLines | None:
        """Return the lines of a head that came before."""
        return self._known.get(head)

    def add(self, head: str, series: Series) -> KnownLines:
        """Return the lines of a new head."""
        lines = KnownLines(series)
        if len(head) <= _MOST_HEAD:
            if len(self._known) >= _MOST_HEADS:
                for each in list(self._known)[::2]:
                    del self._known[each]
            self._known[head] = lines
        return lines

    def learn(self, known: KnownLines, rest: str, *, also_new: bool) -> bool:
        """Give a head the shape of what a line has behind it; return whether that shape is new.

        A new shape takes about a millisecond to make, and is made only if `also_new`.
        """
        form = form_of(rest)
        if form is None:
            return False
        series = known.series
        key = (form, series.name, series.untaken, tuple(id(of.numbers) for of in series.targets))
        shape = self._shapes.get(key)
        is_new = shape is None
        if shape is None:
            if not also_new:
                return False
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            shape = self._shapes[key] = Shape(form, series)
        if shape not in known.shapes:
            known.shapes = (shape, *known.shapes[: _SHAPES_OF_HEAD - 1])
        return is_new

    def match(self, lines: Sequence[str], unit_ns: int) -> tuple[list[Group], list[int]]:
        """Return the lines that have a known shape, and the places of the others in order."""
        parts = [line.partition(" ") if "\\" not in line else split_head(line) for line in lines]
        known = [
            self._known.get(head) if len(rest) <= _MOST_REST else None for head, _, rest in parts
        ]
        groups: list[Group] = []
        unknown: list[int] = []
        left: Sequence[int] = range(len(lines))
        for turn in range(_SHAPES_OF_HEAD):
            alike: dict[Shape, list[int]] = {}
            for place in left:
                of = known[place]
                if of is None or turn >= len(of.shapes):
                    unknown.append(place)
                else:
                    alike.setdefault(of.shapes[turn], []).append(place)
            left = []
            for shape, places in alike.items():
                rests = [parts[place][2] for place in places]
                values = shape.values(rests, unit_ns)
                if values is None:  # not all have the shape
                    fits = [shape.values([rest], unit_ns) is not None for rest in rests]
                    left += compress(places, map(not_, fits))
                    places, rests = list(compress(places, fits)), list(compress(rests, fits))
                    values = shape.values(rests, unit_ns)
                if values is not None:
                    of_places = [of for place in places if (of := known[place]) is not None]
                    groups.append(Group(shape, places, of_places, values))
        return groups, sorted([*unknown, *left])
