"""Finds the columns of a table by name, pattern or position."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from fleetmeter.files.imports.mapping.model import Bound, Column, Where


class TableColumns:
    """The columns of a table, found by name or place."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._exact = {name: place for place, name in reversed(list(enumerate(names)))}
        self._folded = {folded(name): place for name, place in self._exact.items()}

    def place(self, column: Column) -> int | None:
        """Return the position of a column, from 0; letter case and spaces do not matter.

        A name with * stands for the only column that matches.
        """
        if isinstance(column, int):
            return column - 1 if 1 <= column <= len(self.names) else None
        found = self._exact.get(column, self._folded.get(folded(column)))
        if found is None and "*" in column:
            fitting = list(self.each(column))
            found = fitting[0] if len(fitting) == 1 else None
        return found

    def each(self, wanted: str | Sequence[str], used: Iterable[Column] = ()) -> dict[int, str]:
        """Return the positions of columns that each stand for a device, with its name.

        In a pattern, the name is what stands for the *; "*" alone is every column not `used`.
        """
        if not isinstance(wanted, str):
            places = {name: self.place(name) for name in wanted}
            return {place: name for name, place in places.items() if place is not None}
        pattern = re.compile(re.escape(wanted).replace(r"\*", "(.*)"), re.DOTALL)
        taken = {self.place(column) for column in used}
        found: dict[int, str] = {}
        for place, name in enumerate(self.names):
            match = pattern.fullmatch(name)
            if match and name and not (wanted == "*" and place in taken):
                found[place] = (match[1] if pattern.groups else name).strip()
        return found

    def missing(self, bound: Bound) -> list[str]:
        """Return the columns that a mapping needs and that are not there."""
        lacking = [str(column) for column in bound.columns() if self.place(column) is None]
        lacking += [str(each) for each in bound.each() if not self.each(each)]
        return lacking

    def near(self, missing: Sequence[str]) -> dict[str, str]:
        """Return the columns that missing ones may mean."""
        names = {folded(name): name for name in self.names}
        close = {name: get_close_matches(folded(name), names, 1) for name in missing}
        return {name: names[found[0]] for name, found in close.items() if found}


def folded(name: str) -> str:
    """Return a name in lower case without spaces, for comparison."""
    return " ".join(name.casefold().split())


def matches(cell: Any, wanted: str | Sequence[str]) -> bool:
    """Return whether a cell has one of the values of a `where`."""
    text = "" if cell is None else str(cell).strip()
    patterns = [wanted] if isinstance(wanted, str) else wanted
    return any(text == each or fnmatchcase(text, each) for each in patterns)


def places_of(where: Where, columns: TableColumns) -> list[tuple[int, str | list[str]]]:
    """Return a `where` by places; columns that are not there are left out."""
    found = [(columns.place(column), wanted) for column, wanted in where.items()]
    return [(place, wanted) for place, wanted in found if place is not None]
