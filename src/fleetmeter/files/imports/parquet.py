"""Reads rows of Parquet files as readings, column by column."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any, BinaryIO

import msgspec

from fleetmeter.files.blocks import Block, Position
from fleetmeter.files.column_names import found_and_missing, ignored, missing_columns, misspelled
from fleetmeter.files.imports.csv_lines import SourceError, decoded_times, invalid_timestamp
from fleetmeter.readings.telemetry import FIELDS, TEXTS, TIMES, Telemetry
from fleetmeter.readings.validate import Invalid

try:
    import pyarrow
    import pyarrow.parquet
except ImportError as error:
    raise SourceError("Parquet needs pyarrow: pip install 'fleetmeter[parquet]'") from error

_ROWS = 5000
"""Rows per block."""

_READ_BYTES = 1 << 20
"""Bytes of a column read at a time: a row group need not fit into memory."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHEN = pyarrow.timestamp("us", "UTC")


class ParquetRows:
    """One file; its offsets are rows."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises SourceError."""
        try:
            self._file = pyarrow.parquet.ParquetFile(
                file, buffer_size=_READ_BYTES, pre_buffer=False
            )
        except (pyarrow.ArrowException, OSError) as error:
            raise SourceError(f"this is not a Parquet file: {error}") from None
        schema = self._file.schema_arrow
        self.size: int = self._file.metadata.num_rows
        self.ignored: Sequence[str] = ignored(schema.names)
        known = set(schema.names) & set(FIELDS)
        if twice := sorted(name for name in known if schema.names.count(name) > 1):
            raise SourceError(f"the file has the column {twice[0]} twice")
        if missing := missing_columns(known):
            if wrong := misspelled(schema.names):
                raise SourceError(" ".join(wrong))
            raise SourceError(
                f"the file lacks the columns {', '.join(missing)}; "
                f"{found_and_missing(schema.names)}"
            )
        self._columns = {name: _converter(name, schema.field(name).type) for name in known}

    def blocks(self, begin: Position) -> Iterator[Block]:
        """Yield all rows from an offset on. Raises SourceError."""
        metadata = self._file.metadata
        groups: list[int] = []
        row = 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if groups or row + rows > begin.offset:
                groups.append(group)
            else:
                row += rows
        try:
            for batch in self._file.iter_batches(
                _ROWS, row_groups=groups, columns=list(self._columns), use_threads=False
            ):
                skipped = min(max(begin.offset - row, 0), len(batch))
                row += len(batch)
                if skipped < len(batch):
                    yield self._block(batch.slice(skipped), row)
        except (pyarrow.ArrowException, OSError) as error:
            raise SourceError(f"after row {row:,} the file cannot be read: {error}") from None

    def _block(self, batch: Any, end: int) -> Block:
        def text(index: int) -> str:
            row = batch.slice(index, 1)
            shown = {name: _shown(row.column(name)) for name in self._columns}
            return msgspec.json.encode(shown, order="deterministic").decode()

        numbers = range(end - len(batch) + 1, end + 1)
        return Block(self._readings(batch), numbers, text, Position(end, end))

    def _readings(self, batch: Any) -> list[Telemetry | Invalid]:
        """Read all rows at once, or each by itself where that fails."""
        try:
            columns = [
                self._columns[name](batch.column(name)) if name in self._columns else repeat(None)
                for name in FIELDS
            ]
            return [*map(Telemetry, *columns)]
        except (msgspec.DecodeError, OverflowError):
            wrong = invalid_timestamp()
        except ValueError as error:  # bytes that are not text, values that do not fit
            wrong = Invalid("malformed", f"the row cannot be decoded: {error}")
        if len(batch) == 1:
            return [wrong]
        return [self._readings(batch.slice(row, 1))[0] for row in range(len(batch))]


def _converter(name: str, kind: Any) -> Callable[[Any], Iterable[Any]]:
    """Return what converts a column; its errors are those of a row. Raises SourceError."""
    types = pyarrow.types
    if types.is_dictionary(kind):
        inner = _converter(name, kind.value_type)
        return lambda column: inner(column.dictionary_decode())
    if types.is_null(kind):
        return lambda column: repeat(None, len(column))
    string = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if name in TEXTS:
        if string:
            return _strings
        needed = "a string"
    elif name in TIMES:
        if string:
            return _parsed_times
        if types.is_timestamp(kind) and kind.tz is not None:
            return _times
        needed = "a timestamp with a time zone, or a string"
    else:
        if types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind):
            return _numbers
        needed = "a number"
    raise SourceError(f"the column {name} is {kind}; it must be {needed}")


def _strings(column: Any) -> list[str | None]:
    return [value or None for value in column.to_pylist()]


def _parsed_times(column: Any) -> list[datetime | None]:
    cells = [(value or "").encode() for value in column.to_pylist()]
    if any(b'"' in cell or b"\\" in cell for cell in cells):
        raise msgspec.DecodeError
    return decoded_times(cells)


def _times(column: Any) -> list[datetime | None]:
    """Convert times to microseconds, as they are stored, cutting off anything finer."""
    finer = column.type.unit == "ns"
    numbers = column.cast(_WHEN, safe=not finer).cast(pyarrow.int64()).to_pylist()
    return [None if n is None else _EPOCH + timedelta(microseconds=n) for n in numbers]


def _numbers(column: Any) -> list[float | None]:
    """Convert numbers; NaN stands for a missing value, as in data frames."""
    numbers: list[float | None] = column.cast(pyarrow.float64(), safe=False).to_pylist()
    return [None if number != number else number for number in numbers]


def _shown(column: Any) -> Any:
    """Return the only value of a column for people, however wrong it is."""
    types, kind = pyarrow.types, column.type
    if types.is_dictionary(kind):
        return _shown(column.dictionary_decode())
    if types.is_timestamp(kind):
        with suppress(OverflowError, ValueError):
            return _times(column)[0]
        return f"{column.cast(pyarrow.int64()).to_pylist()[0]} {kind.unit} since 1970"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        value = column.cast(pyarrow.binary()).to_pylist()[0]
        return None if value is None else value.decode(errors="backslashreplace")
    return column.to_pylist()[0]
