"""Reads delimited text: any encoding, lines before the header, quotes, record by record."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO, NamedTuple

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.lines import MAX_LINE
from fleetmeter.files.imports.mapping.model import Bound, MappingError
from fleetmeter.files.imports.mapping.table_columns import TableColumns
from fleetmeter.files.imports.tables.table import MissingColumnsError, Row, Table
from fleetmeter.readings.validate import Invalid

SEPARATORS = (",", ";", "\t", "|")

_EXCEL = ("sep=", "SEP=")
"""A line that gives Excel the separator."""

_SAMPLE_BYTES = 256 * 1024
_HEADER_LINES = 200
"""Number of lines in which a header is looked for."""

_QUOTED_LINES = 20
"""Maximum number of lines of one record in quotes."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Line(NamedTuple):
    """A record, which may go over several lines, or what is wrong with it."""

    number: int
    text: str
    wrong: Invalid | None = None


class Layout(NamedTuple):
    """The layout of a text."""

    separator: str
    names: Sequence[str]
    """Names of the columns."""

    begin: int
    """The number of the line before the first row."""


def open_delimited(file: BinaryIO, bound: Bound) -> Table:
    """Open a text with the columns that a mapping needs. Raises SourceError and MappingError."""
    mapping = bound.mapping
    encoding, notes = encoding_of(file, mapping.encoding)
    head = list(islice(records(file, encoding), _HEADER_LINES))
    layout = _layout(head, bound)

    def rows() -> Iterator[Row]:
        ignored = (*mapping.ignore, *_EXCEL)
        for line in records(file, encoding):
            if line.number <= layout.begin or not line.text.strip(f" {layout.separator}\"'"):
                continue
            if line.text.lstrip('"').startswith(ignored):
                continue
            cells: Sequence[str] | Invalid = line.wrong or _cells(line.text, layout)
            yield Row(line.number, cells, line.text)

    return Table(layout.names, rows, notes)


def encoding_of(file: BinaryIO, said: str | None) -> tuple[str, list[str]]:
    """Return the encoding of a text, and a note about it. Raises MappingError."""
    file.seek(0)
    sample = file.read(_SAMPLE_BYTES)
    if said is not None:
        try:
            codecs.lookup(said)
            "".encode(said)
        except (LookupError, TypeError):
            raise MappingError(f'the encoding "{said}" is unknown; cp1252 is one') from None
        is_utf8 = codecs.lookup(said).name == "utf-8"
        return ("utf-8-sig" if is_utf8 else said), []
    for mark, name in _BYTE_ORDER_MARKS:
        if sample.startswith(mark):
            return name, []
    half = len(sample) // 2 or 1
    if sample[1::2].count(0) > half * 0.4:
        return "utf-16-le", []
    if sample[0::2].count(0) > half * 0.4:
        return "utf-16-be", []
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return "cp1252", ["it is not UTF-8 and was read as cp1252; encoding = … names another"]
    return "utf-8-sig", []


def records(file: BinaryIO, encoding: str) -> Iterator[Line]:
    """Yield the records of a text from its beginning.

    A quote that is not closed within some lines costs its own line, never the rest of the file.
    """
    waiting: list[Line] = []
    lines = text_lines(file, encoding)
    while True:
        line = waiting.pop(0) if waiting else next(lines, None)
        if line is None:
            return
        if line.wrong is None and line.text.count('"') % 2:
            taken: list[Line] = []
            while len(taken) < _QUOTED_LINES:
                more = waiting.pop(0) if waiting else next(lines, None)
                if more is None:
                    break
                taken.append(more)
                if more.wrong is None and more.text.count('"') % 2:
                    break
            if taken and taken[-1].text.count('"') % 2 and taken[-1].wrong is None:
                text = "\n".join([line.text, *(each.text for each in taken)])
                if len(text) <= MAX_LINE:
                    yield Line(line.number, text)
                    continue
            waiting = taken + waiting
            line = Line(line.number, line.text, Invalid("malformed", "a quote is not closed"))
        yield line


def text_lines(file: BinaryIO, encoding: str) -> Iterator[Line]:
    """Yield the lines of a text from its beginning, in little memory. Raises SourceError."""
    file.seek(0)
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    text = io.TextIOWrapper(file, encoding, errors=errors, newline=None)
    try:
        number = 0
        while line := text.readline(MAX_LINE + 1):
            number += 1
            wrong = None
            if len(line) > MAX_LINE:
                wrong = Invalid("malformed", f"the line is longer than {MAX_LINE // 1024} KiB")
                while len(more := text.readline(MAX_LINE)) == MAX_LINE and more[-1] != "\n":
                    pass
                line = f"{line[:1000]}..."
            elif "\0" in line:
                wrong = Invalid("malformed", "the line has NUL bytes")
            elif not line.isascii() and _is_broken(line):
                line = line.encode(errors="surrogateescape").decode(errors="backslashreplace")
                wrong = Invalid(
                    "malformed", 'the line is not UTF-8; name the encoding: encoding = "cp1252"'
                )
            yield Line(number, line.rstrip("\n"), wrong)
    except UnicodeError as error:
        raise SourceError(f"it cannot be read as {encoding}: {error}") from None
    finally:
        text.detach()


def _is_broken(line: str) -> bool:
    """Return whether bytes of a line are not valid in its encoding."""
    return any("\udc80" <= character <= "\udcff" for character in line)


def split(text: str, separator: str) -> list[str]:
    """Return the fields of a record. Raises csv.Error."""
    if '"' not in text:
        return text.split(separator)
    lines = io.StringIO(text, newline="")
    return next(csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=False))


def _cells(text: str, layout: Layout) -> list[str] | Invalid:
    try:
        cells = split(text, layout.separator)
    except (csv.Error, StopIteration) as error:
        return Invalid("malformed", f"the line is not CSV: {error}")
    width = len(layout.names)
    while len(cells) > width and not cells[-1].strip():
        cells.pop()
    if len(cells) == width:
        return cells
    if len(cells) > width:
        wrong = f"the line has {len(cells)} fields, the header has {width}"
        if layout.separator == ",":
            wrong += "; numbers with decimal commas have to be in quotes"
        return Invalid("malformed", wrong)
    if len(cells) == 1:
        return Invalid(
            "malformed", "the line does not belong to the table; ignore = […] leaves it out"
        )
    return cells + [""] * (width - len(cells))


def _layout(head: Sequence[Line], bound: Bound) -> Layout:
    """Find the header and the separator: those with the columns. Raises SourceError."""
    mapping = bound.mapping
    separators = (mapping.separator,) if mapping.separator else SEPARATORS
    if mapping.header is False:
        return _without_header(head, separators)
    best: TableColumns | None = None
    least = None
    for line in head:
        if mapping.header is not True and line.number != mapping.header:
            continue
        for separator in separators:
            columns = TableColumns(_names(line.text, separator))
            missing = columns.missing(bound)
            if not missing:
                return Layout(separator, columns.names, line.number)
            rank = (len(missing), -len(columns.names))
            if least is None or rank < least:
                best, least = columns, rank
    raise missing_columns_error(best, bound)


def missing_columns_error(columns: TableColumns | None, bound: Bound) -> SourceError:
    """Return the error for a table that lacks columns a mapping needs."""
    if columns is None:
        return SourceError("it is empty, or has no such header line")
    missing = columns.missing(bound)
    near = columns.near(missing)
    said = [f"{name} (did you mean {near[name]}?)" if name in near else name for name in missing]
    return MissingColumnsError(said, columns.names)


def _names(text: str, separator: str) -> list[str]:
    try:
        return [" ".join(name.split()) for name in split(text, separator)]
    except (csv.Error, StopIteration):
        return []


def _without_header(head: Sequence[Line], separators: Sequence[str]) -> Layout:
    """Choose the separator that most lines have equally often."""

    def agreeing(separator: str) -> int:
        widths = [len(_names(line.text, separator)) for line in head if line.text.strip()]
        return max((widths.count(width) for width in {*widths} if width > 1), default=0)

    separator = max(separators, key=agreeing)
    widths = [len(_names(line.text, separator)) for line in head if line.text.strip()]
    width = max({*widths}, key=widths.count, default=1)
    return Layout(separator, [str(place + 1) for place in range(width)], 0)
