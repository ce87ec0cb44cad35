"""Reads a file with a mapping as the source of an import."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import BinaryIO

import msgspec

from fleetmeter.files.blocks import Block, Position
from fleetmeter.files.imports.mapping.model import Bound
from fleetmeter.files.imports.mapping.options import MappingOptions
from fleetmeter.files.imports.mapping.reader import RowReader
from fleetmeter.files.imports.mapping.table_columns import TableColumns
from fleetmeter.files.imports.tables.opening import open_first
from fleetmeter.files.imports.tables.table import Row, Table
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid

_BLOCK = 5000
"""Readings per block; one row may exceed it."""

_LOOKED_AT = 300
"""Rows examined to find out whether the newest come first."""


class MappedSource:
    """Reads a file with a mapping; offsets are rows, always reached from the beginning.

    The meaning of a row may depend on earlier ones: clocks that were put back, and differences.
    """

    def __init__(self, file: BinaryIO, options: MappingOptions, default: str, size: int) -> None:
        """Raises SourceError and MappingError."""
        self.layout, self.bound, self._table, columns = open_first(
            file, options.candidates(), default
        )
        self.size = size
        self.ignored: Sequence[str] = ()
        self.notes: list[str] = list(self._table.notes)
        self._columns = columns
        self._reader = _reader(self.bound, self._table, columns)

    @property
    def left_out(self) -> int:
        """Return how many of the rows read so far had nothing that is wanted."""
        return self._reader.left_out

    def blocks(self, begin: Position) -> Iterator[Block]:
        """Yield blocks after this many rows. Raises SourceError."""
        self._reader = reader = _reader(self.bound, self._table, self._columns)
        items: list[Telemetry | Invalid] = []
        rows: list[Row] = []  # one for each item
        count, row = 0, None
        for row in self._table.rows():
            count += 1
            found: list[Telemetry | Invalid]
            found = [row.cells] if isinstance(row.cells, Invalid) else reader.readings(row.cells)
            if count <= begin.offset:
                continue
            items += found
            rows += [row] * len(found)
            if len(items) >= _BLOCK:
                yield _block(items, rows, Position(count, row.number))
                items, rows = [], []
        if row is not None and count > begin.offset:
            yield _block(items, rows, Position(count, row.number))


def _block(items: list[Telemetry | Invalid], rows: list[Row], end: Position) -> Block:
    return Block(items, [row.number for row in rows], lambda index: rows[index].text, end)


def _reader(bound: Bound, table: Table, columns: TableColumns) -> RowReader:
    return RowReader(bound, columns, newest_first=_is_newest_first(bound, table, columns))


def _is_newest_first(bound: Bound, table: Table, columns: TableColumns) -> bool:
    """Return whether each device's times go back in the first rows."""
    reader = RowReader(bound, columns)
    last: dict[str | None, datetime] = {}
    steps = 0
    for row in islice(table.rows(), _LOOKED_AT):
        if isinstance(row.cells, Invalid):
            continue
        for item in reader.readings(row.cells):
            if isinstance(item, Telemetry) and item.timestamp is not None:
                device = item.vehicle_id or item.meter_id
                before = last.get(device)
                steps += 0 if before is None else _sign(before, item.timestamp)
                last[device] = item.timestamp
    return steps < 0


def _sign(before: datetime, after: datetime) -> int:
    return int(after > before) - int(after < before)


def fingerprint(options: MappingOptions) -> str:
    """Return a hash of a mapping, so that a resumed import notices when it has changed."""
    said = [
        (name, each.mapping)
        for name, each in options.candidates().items()
        if isinstance(each, Bound)
    ]
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()
