"""Columns as the bytes of a binary COPY.

The format is PostgreSQL's own (COPY, "Binary Format"): each row has its number of fields, and each
field its length before it. The types are known here, so rows that lack the same fields are packed
together, a column at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fleetmeter.intake.rows import (
    NULL,
    Column,
)

_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_WIDTHS = {"boolean": 1, "smallint": 2, "integer": 4, "bigint": 8, "timestamptz": 8}


def packed(columns: Mapping[str, Column], types: Mapping[str, str]) -> bytes:
    """Return the rows as a COPY of these columns; times are microseconds since 2000.

    A column of another type than `types` has for it is a defect: it would be cut, not refused.
    """
    pieces = [_BEGIN]
    for pattern, chosen in _patterns(list(columns.values())):
        names = tuple(columns)
        layout = _layout(tuple(types[name] for name in names), pattern)
        first = columns[names[0]] if chosen is None else chosen
        rows = np.empty(len(first), layout)
        rows["fields"] = len(names)
        for number, name in enumerate(names):
            if pattern[number]:
                rows[f"length{number}"] = -1
            else:
                rows[f"length{number}"] = _WIDTHS[types[name]]
                column = columns[name]
                rows[f"value{number}"] = column if chosen is None else column[chosen]
        pieces.append(rows.tobytes())
    pieces.append(_END)
    return b"".join(pieces)


def _patterns(columns: Sequence[Column]) -> Iterator[tuple[tuple[bool, ...], Any]]:
    """Yield which columns are null, with the rows for which that is so; None: all rows."""
    nulls = [column == NULL for column in columns]
    counts = [int(np.count_nonzero(each)) for each in nulls]
    size = len(columns[0])
    mixed = [number for number, count in enumerate(counts) if 0 < count < size]
    pattern = [count == size for count in counts]
    if not mixed:
        yield tuple(pattern), None
        return
    codes = np.zeros(size, np.int64)
    for place, number in enumerate(mixed):
        codes |= nulls[number].astype(np.int64) << place
    for code in np.unique(codes).tolist():
        for place, number in enumerate(mixed):
            pattern[number] = bool(code >> place & 1)
        yield tuple(pattern), np.flatnonzero(codes == code)


@lru_cache(1024)
def _layout(types: tuple[str, ...], pattern: tuple[bool, ...]) -> np.dtype[Any]:
    """Return the bytes of a row in which these columns are null."""
    fields = [("fields", ">i2")]
    for number, (type_, null) in enumerate(zip(types, pattern, strict=True)):
        fields.append((f"length{number}", ">i4"))
        if not null:
            fields.append((f"value{number}", f">i{_WIDTHS[type_]}"))
    return np.dtype(fields)
