"""Defines what every reader returns: columns, and rows in the order of the file."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.lines import BYTE_ORDER_MARK
from fleetmeter.readings.validate import Invalid

MAX_DOCUMENT = 128 * 1024 * 1024
"""Maximum size of a document that must be held in memory as a whole, unpacked, bytes."""

MAX_VALUES = 10_000_000
"""Maximum number of values of a document; each takes far more memory than its bytes."""


_SHOWN = 60
"""Maximum number of columns named in a message."""


class MissingColumnsError(SourceError):
    """A table lacks columns that a mapping needs."""

    def __init__(self, needed: Sequence[str], found: Sequence[str]) -> None:
        """`needed`: the missing columns, with those that may be meant."""
        self.needed = ", ".join(needed)
        self.found = ", ".join(name or "(no name)" for name in list(found)[:_SHOWN])
        super().__init__(
            f"the mapping needs the columns {self.needed}; the columns found are {self.found}. A "
            "file without a header needs header = false, and columns by number"
        )


class Row(NamedTuple):
    """One row of a table."""

    number: int
    """Its line, or its position from 1."""

    cells: Sequence[Any] | Invalid
    """One per column, or the error of the row."""

    text: str
    """The row as the file has it, for people."""


class Table(NamedTuple):
    """A file as columns and rows."""

    columns: Sequence[str]
    rows: Callable[[], Iterator[Row]]
    """Returns an iterator from the first row on, which raises SourceError."""

    notes: Sequence[str] = ()
    """Remarks about how it was read, for people."""


def whole_document(file: BinaryIO) -> bytes:
    """Read a JSON document. Raises SourceError when it is too large."""
    file.seek(0)
    body = Limited(file, _CONVERT).read().removeprefix(BYTE_ORDER_MARK)
    if body.count(b",") > MAX_VALUES:
        raise SourceError(f"it has more than {MAX_VALUES:,} values; {_CONVERT}")
    return body


_CONVERT = "convert it to NDJSON, which may be of any size: jq -c '.[]' FILE > FILE.ndjson"


class Limited:
    """A file that refuses to be read beyond a number of bytes."""

    def __init__(self, file: BinaryIO, helps: str = "split it") -> None:
        """`helps`: what to do about a larger file."""
        self._file = file
        self._helps = helps
        self._left = MAX_DOCUMENT

    def read(self, size: int = -1) -> bytes:
        """Read this many bytes. Raises SourceError beyond the limit."""
        piece = self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(piece)
        if self._left < 0:
            raise SourceError(
                f"it is larger than {MAX_DOCUMENT // 1024**2} MiB, unpacked; {self._helps}"
            )
        return piece
