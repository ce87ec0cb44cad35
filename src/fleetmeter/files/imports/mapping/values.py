"""Reads the cells of a row: numbers in units of the wire, ids, differences."""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from fleetmeter.files.imports.mapping.model import Column, Value
from fleetmeter.files.imports.mapping.numbers import NumberOf
from fleetmeter.files.imports.mapping.table_columns import TableColumns, matches, places_of
from fleetmeter.readings.units import conversion
from fleetmeter.readings.validate import Invalid

Take = Callable[[Sequence[Any]], Any]
"""Reads one value of a row; None: there is none. Raises Invalid."""

_MOST_COUNTERS = 100_000


def number_taker(
    name: str, value: Value, columns: TableColumns, number: NumberOf, place: int | None
) -> Take:
    """Return a function that reads a number; `place` is its column for a device of a wide file."""
    added, times, divided = conversion(name, value.unit)
    times *= value.factor
    if value.constant is not None:
        constant = number(value.constant, name)
        return _where(lambda cells: constant, value, columns)
    chosen: Sequence[Column] = value.sum or [value.column or 0]
    places = [place] if place is not None else [columns.place(each) or 0 for each in chosen]
    names = columns.names

    def take(cells: Sequence[Any]) -> float | None:
        found = [number(cells[at], names[at]) for at in places]
        given = [each for each in found if each is not None]
        if not given:
            return None
        if len(given) < len(found):
            lacking = ", ".join(
                names[at] for at, each in zip(places, found, strict=True) if each is None
            )
            raise Invalid("missing_field", f"{lacking} is empty, and {name} is a sum with it")
        return (sum(given) + added * len(given)) * times / divided

    return _where(take, value, columns)


def text_taker(value: Value, columns: TableColumns) -> Take:
    """Return a function that reads an id."""
    if value.constant is not None:
        constant = _text(value.constant)
        return _where(lambda cells: constant, value, columns)
    chosen: Sequence[Column] = value.join or [value.column or 0]
    places = [columns.place(each) or 0 for each in chosen]

    def take(cells: Sequence[Any]) -> str | None:
        parts = [_text(cells[place]) for place in places]
        text = "-".join(part for part in parts if part)
        return value.prefix + value.names.get(text, text) if text else None

    return _where(take, value, columns)


def _text(cell: Any) -> str:
    """Return a cell as an id; spreadsheets have 12 as 12.0."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell).strip()


def _where(take: Take, value: Value, columns: TableColumns) -> Take:
    if not value.where:
        return take
    wanted = places_of(value.where, columns)

    def chosen(cells: Sequence[Any]) -> Any:
        return take(cells) if all(matches(cells[at], each) for at, each in wanted) else None

    return chosen


class Counter(NamedTuple):
    """The value of a counter, until its difference can be taken."""

    value: float
    session: str | None
    """The session it counts in, if it restarts with each."""


class Differences:
    """Computes interval energy from counters: differences within each device and session."""

    def __init__(self, *, newest_first: bool) -> None:
        self._newest_first = newest_first
        self._last: dict[Hashable, tuple[Counter, datetime]] = {}

    def apply(self, slots: list[Any], device: Hashable, time: datetime) -> datetime | None:
        """Replace counters by differences; return the start of their interval. Raises Invalid.

        A session's counter begins at 0, another one with its first value.
        """
        counters = [(at, each) for at, each in enumerate(slots) if isinstance(each, Counter)]
        if counters and self._newest_first:
            raise Invalid(
                "contradictory", "a difference needs the oldest rows first; sort the file"
            )
        began = None
        for slot, counter in counters:
            key = (slot, device)
            if len(self._last) >= _MOST_COUNTERS:
                self._last.clear()
            last, at = self._last.get(key, (None, None))
            self._last[key] = (counter, time)
            if last is None or last.session != counter.session:
                slots[slot] = None if counter.session is None else counter.value
                continue
            if counter.value < last.value:
                raise Invalid(
                    "out_of_range",
                    f"the counter fell from {last.value:g} to {counter.value:g}; if it begins "
                    'again with each session, name their column: difference = "session"',
                )
            slots[slot], began = counter.value - last.value, at
        return began


def counter_taker(take: Take, session: int | None) -> Take:
    """Return a function that reads a counter, from its value and the column of its session."""

    def counted(cells: Sequence[Any]) -> Counter | None:
        value = take(cells)
        if value is None:
            return None
        return Counter(value, None if session is None else _text(cells[session]))

    return counted
