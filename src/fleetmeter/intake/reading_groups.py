"""Readings that an input has by columns: each is made only when it is asked for by itself.

Inputs that read many messages of one form at a time have their numbers as columns, which is what
the batch becomes anyway (batch_columns.py).
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from itertools import accumulate, repeat
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from fleetmeter.intake.rows import Column
from fleetmeter.readings.model import EPOCH
from fleetmeter.readings.telemetry import FIELDS, Telemetry

Numbers = NDArray[np.float64]


class ReadingGroup(NamedTuple):
    """Readings of one kind with the same fields, of which each has a value."""

    kind: int
    """Its place in KINDS."""

    places: Sequence[int]
    """In a part of a batch."""

    texts: Sequence[Sequence[str] | None]
    """The columns of TEXTS; None where there is none."""

    numbers: dict[int, Numbers]
    """The columns by their place in FIELDS, in the units of the API."""

    times: Column
    """Microseconds since 2000."""

    def readings(self) -> list[Telemetry]:
        """Return the readings in the order of their places."""
        columns: list[Any] = [repeat(None)] * len(FIELDS)
        for at, texts in enumerate(self.texts):
            if texts is not None:
                columns[at] = texts
        for at, numbers in self.numbers.items():
            columns[at] = numbers.tolist()
        since: list[timedelta] = self.times.view("m8[us]").tolist()
        columns[-1] = map(EPOCH.__add__, since)
        return list(map(_telemetry, *columns))


class GroupedPart:
    """A part of a batch: groups in which each of its readings is once."""

    def __init__(self, groups: Sequence[ReadingGroup]) -> None:
        self.groups = groups
        self._count = sum(len(group.places) for group in groups)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> Telemetry:
        return self.readings[place]

    @cached_property
    def readings(self) -> list[Telemetry]:
        """The readings in their order."""
        placed: dict[int, Telemetry] = {}
        for group in self.groups:
            placed |= zip(group.places, group.readings(), strict=True)
        return [placed[place] for place in range(self._count)]


class GroupedReadings(Sequence[Telemetry]):
    """A batch by its parts, of which some are groups."""

    def __init__(self, parts: Sequence[GroupedPart | Sequence[Telemetry]]) -> None:
        self.parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Telemetry]:
        for part in self.parts:
            yield from part.readings if isinstance(part, GroupedPart) else part

    @overload
    def __getitem__(self, index: int) -> Telemetry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Telemetry]: ...
    def __getitem__(self, index: int | slice) -> Telemetry | list[Telemetry]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        at = index if index >= 0 else index + len(self)
        if not 0 <= at < len(self):
            raise IndexError(index)
        part = bisect_right(self._ends, at)
        return self.parts[part][at - (self._ends[part - 1] if part else 0)]


_telemetry: Any = Telemetry
