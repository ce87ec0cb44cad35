"""Makes a pattern of a line, by which others of its shape are read many at a time. Pure.

Programs write the same fields in the same order again and again, so a pattern is made of what a
line has behind its head: `energy=` a number `,power=` a number, and a time. What it does not match
is parsed as any line is.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from fleetmeter.inputs.line_protocol import BOOLEANS, NANOSECONDS
from fleetmeter.inputs.mapping.rules import Number, Series, Target, Untaken, Value
from fleetmeter.intake.reading_groups import ReadingGroup
from fleetmeter.intake.rows import Column
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.model import EPOCH, microseconds
from fleetmeter.readings.telemetry import FIELDS, attribute

MOST_FIELDS = 4000
"""Characters of the fields of a line that has a shape."""

_EPOCH_US = 946_684_800_000_000
"""2000, from where the service counts, since 1970, from where lines do; microseconds."""

_PLACES = {attribute(field): place for place, field in enumerate(FIELDS)}

# A number behind which something else stands is longer than these, and then no such number.
_NUMBERS = {
    "float": r"(-?[0-9]{1,15}+(?:\.[0-9]{1,22}+)?+)",
    "integer": r"(-?[0-9]{1,18}+)i",
    "unsigned": r"([0-9]{1,18}+)u",
}
_OTHERS = {"truth": f"(?:{'|'.join(BOOLEANS)})", "text": r'"[^"\\\n\udc80-\udcff]{0,200}+"'}
_TIME = " (-?[0-9]{1,19}+)"

_FIELD = re.compile(
    r"([^\\\",= ]+)=(?:"
    + "|".join(f"(?P<{kind}>{one})" for kind, one in (_NUMBERS | _OTHERS).items())
    + r")(?=[, \r]|$)"
)
_END = re.compile(rf"(?P<time>{_TIME})?\r?")


class Form(NamedTuple):
    """The fields of a line, each with the kind of its value, and whether a time follows."""

    fields: tuple[tuple[str, str], ...]
    timed: bool


def form_of(rest: str) -> Form | None:
    """Return the form of what a line has behind its head; None for what is too varied for one."""
    fields: list[tuple[str, str]] = []
    at = 0
    while found := _FIELD.match(rest, at, MOST_FIELDS):
        kind = next(kind for kind, value in found.groupdict().items() if value is not None)
        fields.append((found[1], kind))
        at = found.end()
        if rest[at : at + 1] != ",":
            break
        at += 1
    end = _END.fullmatch(rest, at)
    if end is None or not fields or len(dict(fields)) != len(fields):
        return None
    return Form(tuple(fields), end["time"] is not None)


class Shape:
    """What lines of some series have behind their heads, and what becomes of their numbers."""

    def __init__(self, form: Form, series: Series) -> None:
        parts, taken = [], []
        for name, kind in form.fields:
            value = _NUMBERS.get(kind) or _OTHERS[kind]
            if kind in _NUMBERS and name in series.taken:
                taken.append(name)
            else:
                value = re.sub(r"\((?!\?)", "(?:", value)
            parts.append(f"{re.escape(name)}={value}")
        time = _TIME if form.timed else ""
        self._timed = form.timed
        self._groups = len(taken) + form.timed
        self._pattern = re.compile(rf"^{','.join(parts)}{time}\r?$", re.MULTILINE)
        self._targets = [
            _Target(place, _kind_of(target), numbers)
            for place, target in enumerate(series.targets)
            if (
                numbers := [
                    (group, _PLACES[number.attribute], number)
                    for group, name in enumerate(taken)
                    for number in target.numbers.get(name, ())
                ]
            )
        ]
        self.rules = [target.numbers for target in series.targets]
        """Kept, as KnownHeads goes by their identity."""

        self.untaken: list[Untaken] = []
        """What each line has that no rule takes."""
        series.readings([(n, _EXAMPLES.get(k, 0.0)) for n, k in form.fields], EPOCH, self.untaken)

    def values(self, rests: Sequence[str], unit_ns: int) -> "Values | None":
        """Return what lines have behind their heads, by columns; None if one is not of the shape.

        `unit_ns` is what timestamps count, nanoseconds.
        """
        found = self._pattern.findall("\n".join(rests))
        if len(found) != len(rests) or not rests:
            return None
        columns = list(zip(*found, strict=True)) if self._groups > 1 else [found]
        if not self._timed:
            return Values(columns, None)
        times = _times(columns[-1], unit_ns)
        return None if times is None else Values(columns, times)

    def groups(
        self,
        values: "Values",
        places: Sequence[int],
        ids_of: Sequence[Sequence[Sequence[str | None]]],
        arrival: datetime,
    ) -> list[ReadingGroup]:
        """Return what `Series.readings` makes of lines, which are at some places.

        `ids_of` has the ids of each line: for each target, those of TEXTS.
        """
        times = values.times
        if times is None:
            times = np.full(len(places), microseconds(arrival), np.int64)
        found = []
        for target, kind, numbers in self._targets:
            columns = {
                at: number.of(np.array(list(map(float, values.columns[group])), np.float64))
                for group, at, number in numbers
            }
            texts = [
                None if column[0] is None else column
                for column in zip(*[ids[target] for ids in ids_of], strict=True)
            ]
            found.append(ReadingGroup(kind, places, texts, columns, times))
        return found


class _Target(NamedTuple):
    """A device, and which numbers of a line are its measurements."""

    place: int
    """In the series."""

    kind: int
    """In KINDS."""

    numbers: list[tuple[int, int, Number]]
    """The group of the pattern, the place in a Telemetry, and the conversion."""


class Values(NamedTuple):
    """What lines of a shape have, in their order."""

    columns: Sequence[Sequence[str]]
    """The numbers that are taken, as they are written."""

    times: Column | None
    """Microseconds since 2000; None: when they arrive."""


_EXAMPLES: dict[str, Value] = {"truth": True, "text": ""}


def _kind_of(target: Target) -> int:
    return next(kind for kind, each in enumerate(KINDS) if attribute(each.id_field) in target.texts)


def _times(written: Sequence[str], unit_ns: int) -> Column | None:
    """Return times, to the microsecond before; None if one cannot be."""
    distinct = set(written)
    counts = list(map(int, distinct))
    if not (min(counts) * unit_ns in NANOSECONDS and max(counts) * unit_ns in NANOSECONDS):
        return None
    since = [count * unit_ns // 1000 - _EPOCH_US for count in counts]
    times = dict(zip(distinct, since, strict=True))
    return np.array([times[each] for each in written], np.int64)
