"""Makes Parquet from exported CSV lines; it needs pyarrow, an optional extra."""

import io
from typing import Any

from fleetmeter.errors import FleetMeterError
from fleetmeter.files.column_names import EXPORTED
from fleetmeter.readings.telemetry import TEXTS, TIMES

ROW_GROUP_READINGS = 131_072
"""Readings per row group, or a block of lines more; no more are held in memory."""


class ParquetMissingError(FleetMeterError):
    """Parquet was requested, but pyarrow is not installed."""


def require_parquet() -> None:
    """Load what Parquet needs. Raises ParquetMissingError."""
    try:
        import pyarrow.csv
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ParquetMissingError(
            "Parquet needs an extra: pip install 'fleetmeter[parquet]'"
        ) from None


class ParquetMaker:
    """Turns lines into the bytes of a Parquet file. Slow: run it in a thread."""

    def __init__(self) -> None:
        import pyarrow
        from pyarrow import csv, parquet

        self._pyarrow: Any = pyarrow
        self._csv: Any = csv
        schema = _schema(pyarrow)
        self._read = csv.ReadOptions(column_names=schema.names, use_threads=False)
        self._convert = csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            true_values=["true"],
        )
        self._sink = _Sink()
        self._writer: Any = parquet.ParquetWriter(self._sink, schema, compression="zstd")
        self._tables: list[Any] = []
        self._readings = 0

    def feed(self, lines: bytes) -> bytes:
        """Take whole lines of CSV; return the bytes that are ready."""
        table = self._csv.read_csv(
            self._pyarrow.BufferReader(lines),
            read_options=self._read,
            convert_options=self._convert,
        )
        self._tables.append(table)
        self._readings += table.num_rows
        if self._readings >= ROW_GROUP_READINGS:
            self._write_row_group()
        return self._sink.take()

    def finish(self) -> bytes:
        """Return the end of the file, and the memory that Arrow keeps for more to the system."""
        if self._tables:
            self._write_row_group()
        self._writer.close()
        self._pyarrow.default_memory_pool().release_unused()
        return self._sink.take()

    def _write_row_group(self) -> None:
        self._writer.write_table(
            self._pyarrow.concat_tables(self._tables), row_group_size=self._readings
        )
        self._tables.clear()
        self._readings = 0


def _schema(pa: Any) -> Any:
    """Return the types of an export's columns."""
    text, number = pa.dictionary(pa.int32(), pa.string()), pa.float64()
    types = dict.fromkeys((*TEXTS, "assignedMeterId"), text)
    types |= dict.fromkeys((*TIMES, "sentTimestamp"), pa.timestamp("us", "UTC")) | {
        "reset": pa.bool_()
    }
    return pa.schema([(name, types.get(name, number)) for name in EXPORTED])


class _Sink(io.RawIOBase):
    """A file whose bytes are taken away as it grows."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, piece: Any) -> int:
        written = bytes(piece)
        self._pieces.append(written)
        self._position += len(written)
        return len(written)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
