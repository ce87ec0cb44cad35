"""Reads Parquet files as tables, for mappings."""

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.model import Bound
from fleetmeter.files.imports.tables.table import Row, Table

try:
    import pyarrow
    import pyarrow.parquet
except ImportError as error:
    raise SourceError("Parquet needs pyarrow: pip install 'fleetmeter[parquet]'") from error

_ROWS = 5000


def open_parquet(file: BinaryIO, bound: Bound) -> Table:
    """Open a Parquet file. Raises SourceError."""
    try:
        parquet = pyarrow.parquet.ParquetFile(file, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise SourceError(f"this is not a Parquet file: {error}") from None
    names = parquet.schema_arrow.names

    def rows() -> Iterator[Row]:
        number = 0
        try:
            for batch in parquet.iter_batches(_ROWS, use_threads=False):
                for record in batch.to_pylist():
                    number += 1
                    cells = [record[name] for name in names]
                    text = msgspec.json.encode(record, enc_hook=str).decode()
                    yield Row(number, cells, text[:2000])
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise SourceError(f"after row {number:,} it cannot be read: {error}") from None

    return Table(names, rows)
