"""Reads files block by block: each line or row as a reading, or with what is wrong with it."""

import gzip
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Literal, Protocol, cast

import msgspec

from fleetmeter.errors import FleetMeterError
from fleetmeter.files.blocks import Block, Items, Position
from fleetmeter.files.imports.csv_lines import CsvLines
from fleetmeter.files.imports.json_array import JsonArray
from fleetmeter.files.imports.lines import (
    BYTE_ORDER_MARK,
    CUT,
    MAX_LINE,
    Lines,
    read_lines,
    shown,
    text_of,
)
from fleetmeter.readings.decode import decode_one
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ImportFormat = Literal["csv", "ndjson", "json", "parquet"]

_ENDINGS: dict[str, ImportFormat] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".parquet": "parquet",
}

_PACKED = (".gz", ".zst")
"""Endings of compressed files, which are read from the beginning even to continue an import."""

UNREADABLE = (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError)
"""Errors that reading a compressed file may raise anywhere."""

_EXCEL_SEPARATOR = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=."?\r?\n', re.IGNORECASE)
"""A first line that gives Excel the separator."""

_json = msgspec.json.Decoder(Telemetry)


class Source(Protocol):
    """An open file."""

    ignored: Sequence[str]
    """Columns without a meaning here."""

    size: int
    """Offset of its end."""

    def blocks(self, begin: Position) -> Iterator[Block]:
        """Yield blocks from the end of an earlier one on. Raises SourceError."""
        ...


def format_of(name: str) -> ImportFormat:
    """Return the format that a file's extension shows. Raises FleetMeterError."""
    for ending, format_ in _ENDINGS.items():
        packed = tuple(ending + each for each in _PACKED if format_ != "parquet")
        if name.lower().endswith((ending, *packed)):
            return format_
    raise FleetMeterError(
        f"{name}: its extension does not show the format; add --format csv, ndjson, json or "
        "parquet, or say with --map or --preset what it is"
    )


def is_packed(name: str) -> bool:
    """Return whether a file of lines is compressed, by its name."""
    return name.lower().endswith(_PACKED)


def unpacked(file: BinaryIO, name: str) -> BinaryIO:
    """Open a file, unpacked if it is compressed; reading it may raise UNREADABLE."""
    if not is_packed(name):
        return file
    if name.lower().endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    return cast(BinaryIO, zstd.ZstdFile(file))


def open_source(file: BinaryIO, format_: ImportFormat, size: int) -> Source:
    """Open a file as a source, positioned at its beginning. Raises SourceError."""
    if format_ == "csv":
        return _Csv(file, size)
    if format_ == "ndjson":
        return _Ndjson(file, size)
    if format_ == "json":
        return JsonArray(file)
    from fleetmeter.files.imports.parquet import ParquetRows  # needs what not everybody installs

    return ParquetRows(file)


class _Csv:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size
        header = file.readline(MAX_LINE + 2)
        self._begin = Position(len(header), 1)
        if _EXCEL_SEPARATOR.fullmatch(header):
            header = file.readline(MAX_LINE + 2)
            self._begin = Position(self._begin.offset + len(header), 2)
        self._csv = CsvLines(header.rstrip(b"\r\n"), self._begin.lines)
        self.ignored = self._csv.ignored

    def blocks(self, begin: Position) -> Iterator[Block]:
        begin = max(begin, self._begin)
        for lines in read_lines(self._file, begin.offset):
            block = _block(lines, begin.lines, self._csv.block, self._csv.reading)
            yield block
            begin = block.end


class _Ndjson:
    ignored: Sequence[str] = ()

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    def blocks(self, begin: Position) -> Iterator[Block]:
        for lines in read_lines(self._file, begin.offset):
            if begin == Position():
                lines.lines[0] = lines.lines[0].removeprefix(BYTE_ORDER_MARK)
            block = _block(lines, begin.lines, _json_block, _json_reading)
            yield block
            begin = block.end


def _json_block(lines: Sequence[bytes]) -> list[Telemetry] | None:
    block = b"\n".join(lines)
    if max(map(len, lines)) > MAX_LINE or not _are_objects(block, len(lines)):
        return None
    try:
        if not block.isascii():
            block.decode()  # fields that mean nothing here are not looked at otherwise
        readings = _json.decode_lines(block)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return readings if len(readings) == len(lines) else None


def _are_objects(block: bytes, lines: int) -> bool:
    """Return whether each line begins and ends like an object.

    JSON has no value that goes on with { after }, so none can go over a line's end either; and as
    many values as lines are one each.
    """
    return block[:1] == b"{" and block[-1:] == b"}" and block.count(b"}\n{") == lines - 1


def _json_reading(line: bytes) -> Telemetry:
    text_of(line)
    return decode_one(line, _json.decode)


def _block(
    lines: Lines,
    before: int,
    all_at_once: Callable[[Sequence[bytes]], list[Telemetry] | None],
    one: Callable[[bytes], Telemetry],
) -> Block:
    """Read lines together if possible, else each by itself."""
    kept: Sequence[bytes] = lines.lines
    end = Position(lines.end, before + len(kept))
    numbers: Sequence[int] = range(before + 1, end.lines + 1)
    items: Items | None = all_at_once(kept)
    if items is None:
        numbers = [number for number, line in zip(numbers, kept, strict=True) if line.strip()]
        kept = [line for line in kept if line.strip()]
        items = [_reading_or_not(line, one, lines.whole) for line in kept]
    return Block(items, numbers, lambda index: shown(kept[index]), end)


def _reading_or_not(
    line: bytes, one: Callable[[bytes], Telemetry], whole: bool
) -> Telemetry | Invalid:
    try:
        return one(line)
    except Invalid as invalid:
        detail = invalid.detail if whole else invalid.detail + CUT
        return Invalid(invalid.code, detail, invalid.path)
