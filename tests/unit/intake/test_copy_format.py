"""The bytes of a binary COPY are what its format says, for all columns that pass validation."""

import struct
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.intake.copy_format import packed
from fleetmeter.intake.rows import NULL

TYPES = {
    "device": "integer",
    "time": "timestamptz",
    "energy_mwh": "bigint",
    "declared": "boolean",
    "soc_bp": "smallint",
    "voltage_mv": "integer",
}
CODES = {"integer": "i", "timestamptz": "q", "bigint": "q", "boolean": "b", "smallint": "h"}
VALUES = {
    "integer": st.integers(-(1 << 31), (1 << 31) - 1),
    "timestamptz": st.integers(-(1 << 60), 1 << 60),
    "bigint": st.integers(-(1 << 63) + 1, (1 << 63) - 1),
    "boolean": st.integers(0, 1),
    "smallint": st.integers(-(1 << 15), (1 << 15) - 1),
}
ROWS = st.lists(st.tuples(*(st.none() | VALUES[kind] for kind in TYPES.values())), min_size=1)


def rows_of(copy: bytes) -> list[tuple[Any, ...]]:
    """The rows of a COPY in binary format, read as its documentation says."""
    assert copy[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    at, rows = 19, []
    while (count := struct.unpack_from(">h", copy, at)[0]) != -1:
        assert count == len(TYPES)
        at += 2
        row: list[Any] = []
        for kind in TYPES.values():
            (length,) = struct.unpack_from(">i", copy, at)
            at += 4
            raw = copy[at : at + max(length, 0)]
            row.append(None if length == -1 else struct.unpack(f">{CODES[kind]}", raw)[0])
            at += max(length, 0)
        rows.append(tuple(row))
    assert at + 2 == len(copy)
    return rows


@given(ROWS)
def test_rows_are_packed_whatever_they_lack(rows: list[tuple[Any, ...]]) -> None:
    columns = {
        name: np.array([NULL if value is None else value for value in column], np.int64)
        for name, column in zip(TYPES, zip(*rows, strict=True), strict=True)
    }
    found = rows_of(packed(columns, TYPES))
    assert sorted(map(repr, found)) == sorted(map(repr, rows))


@given(ROWS)
def test_rows_that_lack_the_same_keep_their_order(rows: list[tuple[Any, ...]]) -> None:
    columns = {
        name: np.array([NULL if value is None else value for value in column], np.int64)
        for name, column in zip(TYPES, zip(*rows, strict=True), strict=True)
    }
    lacking = [[value is None for value in row] for row in rows]
    for pattern in lacking:
        found = [r for r in rows_of(packed(columns, TYPES)) if [v is None for v in r] == pattern]
        assert found == [r for r, lacks in zip(rows, lacking, strict=True) if lacks == pattern]
