"""The bytes of a binary COPY are what its format says, for all rows that pass validation."""

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.ingest.copy import meters_copy, vehicles_copy
from fleetmeter.readings.ids import DEVICE_ID

IDS = st.from_regex(DEVICE_ID, fullmatch=True)
TIMES = st.integers(-(1 << 60), 1 << 60)
INT8 = st.integers(-(1 << 63), (1 << 63) - 1)
INT4 = st.integers(-(1 << 31), (1 << 31) - 1)
INT2 = st.integers(-(1 << 15), (1 << 15) - 1)
VEHICLES = st.lists(
    st.tuples(IDS, TIMES, INT8, INT2, INT2, st.none() | IDS, st.booleans()), max_size=5
)
METERS = st.lists(st.tuples(IDS, TIMES, INT8, INT4), max_size=5)
TYPES = {"t": lambda raw: raw.decode(), "?": lambda raw: raw == b"\1"} | {
    code: lambda raw, code=code: struct.unpack(f">{code}", raw)[0] for code in "qih"
}


def fields(copy: bytes, types: str) -> list[tuple[Any, ...]]:
    """The rows of a COPY in binary format, read as its documentation says."""
    assert copy[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    at, rows = 19, []
    while (count := struct.unpack_from(">h", copy, at)[0]) != -1:
        assert count == len(types)
        at += 2
        row: list[Any] = []
        for code in types:
            (length,) = struct.unpack_from(">i", copy, at)
            at += 4
            row.append(None if length == -1 else TYPES[code](copy[at : at + length]))
            at += max(length, 0)
        rows.append(tuple(row))
    assert at + 2 == len(copy)
    return rows


@given(VEHICLES)
def test_vehicle_rows(rows: list[Any]) -> None:
    assert fields(vehicles_copy(rows), "tqqhht?") == rows
    parts = range(len(rows))
    assert fields(vehicles_copy(rows, parts), "itqqhht?") == [
        (part, *row) for part, row in enumerate(rows)
    ]


@given(METERS)
def test_meter_rows(rows: list[Any]) -> None:
    assert fields(meters_copy(rows), "tqqi") == rows
    parts = range(len(rows))
    assert fields(meters_copy(rows, parts), "itqqi") == [
        (part, *row) for part, row in enumerate(rows)
    ]
