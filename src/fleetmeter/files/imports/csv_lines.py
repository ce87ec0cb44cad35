"""Turns CSV lines into readings: a whole block if possible, line by line if a line is unusual.

Each physical line is a record, because no value has a line break: a quote that is not closed costs
its own line, never the rest of the file.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any

import msgspec

from fleetmeter.errors import FleetMeterError
from fleetmeter.files.column_names import (
    TIMESTAMP,
    found_and_missing,
    ignored,
    is_meant,
    missing_columns,
    misspelled,
)
from fleetmeter.files.imports.lines import BYTE_ORDER_MARK, MAX_LINE, text_of
from fleetmeter.readings.telemetry import FIELDS, TEXTS, TIMES, Telemetry
from fleetmeter.readings.validate import Invalid

_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}

_UNUSUAL = (b"\\", b"\0", BYTE_ORDER_MARK)
"""Matches blocks that have to be read line by line."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")

_NOT_AS_JSON = re.compile(r"\+[0-9]*\.?[0-9]+|-?(\.[0-9]+|0[0-9]+(\.[0-9]*)?|[0-9]+\.)")
"""Numbers that other programs write: +5, .5, 05, 5."""

_is_cell = re.compile(r'"[^"]*+"|[^"]*+').fullmatch
"""Returns whether a cell's quotes can be removed without looking at its neighbours."""

_numbers = msgspec.json.Decoder(list[float | None])
_number = msgspec.json.Decoder(float | None)
_strings = msgspec.json.Decoder(list[str])
_times = msgspec.json.Decoder(list[datetime | None])


class SourceError(FleetMeterError):
    """A file cannot be imported as a whole; the text says at which line."""


class CsvLines:
    """Turns the lines under one header into readings."""

    def __init__(self, header: bytes, number: int = 1) -> None:
        """Read the header, which is line `number`. Raises SourceError."""
        if b"\r" in header and b"\0" not in header:
            raise SourceError(
                f"line {number}: the lines end with CR alone; save the file with LF or CRLF line "
                "ends"
            )
        try:
            self._header = text_of(header.removeprefix(BYTE_ORDER_MARK))
        except Invalid as invalid:
            detail = invalid.detail.replace("the line", "the header")
            raise SourceError(f"line {number}: {detail}; save the file as CSV in UTF-8") from None
        self._separator = max(
            _SEPARATORS, key=lambda each: sum(map(is_meant, _names(self._header, each)))
        )
        names = _names(self._header, self._separator)
        try:
            _check_columns(names)
        except SourceError as error:
            raise SourceError(f"line {number}: {error}") from None
        self._width = len(names)
        self._columns = tuple(names.index(name) if name in names else None for name in FIELDS)
        self.ignored: Sequence[str] = ignored(names)
        """Columns without a meaning here."""

    def block(self, lines: Sequence[bytes]) -> list[Telemetry] | None:
        """Decode all lines at once; return None when one of them needs a closer look."""
        separator = self._separator.encode()
        block = (separator + b"\n" + separator).join(lines)
        if any(unusual in block for unusual in _UNUSUAL) or max(map(len, lines)) > MAX_LINE:
            return None
        cells = block.split(separator)
        stride = self._width + 1
        if len(cells) != len(lines) * stride - 1 or (
            cells[self._width :: stride].count(b"\n") != len(lines) - 1
        ):
            return None  # a line has more or fewer fields than the header
        try:
            if not block.isascii():
                block.decode()
            by_place = [cells[at::stride] for at in range(self._width)]
            if b" " in block:
                if b'" ' in block or b' "' in block:
                    return None  # spaces are padding on both sides of a quote
                if _is_padded(block, separator):
                    by_place = [[cell.strip(b" ") for cell in column] for column in by_place]
            if b'"' in block:
                by_place = [*map(_unquoted, by_place)]
            columns = [
                repeat(None) if at is None else _column(name, by_place[at])
                for name, at in zip(FIELDS, self._columns, strict=True)
            ]
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return [*map(Telemetry, *columns)]

    def reading(self, line: bytes) -> Telemetry:
        """Decode one line. Raises Invalid."""
        text = text_of(line)
        if text == self._header:
            raise Invalid("malformed", "the line is the header again; remove it")
        cells = self._cells(text)
        if len(cells) != self._width:
            raise Invalid("malformed", self._wrong_number(text, len(cells)))
        return Telemetry(
            *[
                None if at is None else _value(name, cells[at].strip(" "))
                for name, at in zip(FIELDS, self._columns, strict=True)
            ]
        )

    def _cells(self, text: str) -> list[str]:
        if '"' not in text:
            return text.split(self._separator)
        cells = [cell.strip(" ") for cell in text.split(self._separator)]
        if all(map(_is_cell, cells)):
            return [cell.strip('"') for cell in cells]
        if text.count('"') % 2:
            raise Invalid(
                "malformed", "a quote is not closed in its line; no value has line breaks"
            )
        try:
            return next(csv.reader([text], delimiter=self._separator, strict=True))
        except csv.Error as error:
            raise Invalid("malformed", f"the line is not CSV: {error}") from None

    def _wrong_number(self, text: str, count: int) -> str:
        own = _SEPARATORS[self._separator]
        for other, name in _SEPARATORS.items():
            if other != self._separator and text.count(other) >= self._width - 1:
                return f"the line has {name} between its fields, the header has {own}"
        wrong = f"the line has {count} field{'s' * (count != 1)}, the header has {self._width}"
        if count > self._width and self._separator == ",":
            wrong += "; if a number has a decimal comma, use a decimal point"
        return wrong


def _names(header: str, separator: str) -> list[str]:
    return [name.strip().strip('"').strip() for name in header.split(separator)]


def _check_columns(names: list[str]) -> None:
    """Raise SourceError unless the columns make readings of at least one kind."""
    known = set(names) & set(FIELDS)
    missing = missing_columns(known)
    if missing and (wrong := misspelled(names)):
        raise SourceError(" ".join(wrong))
    if twice := sorted(name for name in known if names.count(name) > 1):
        raise SourceError(f"the header has {twice[0]} twice")
    if missing:
        what = f"the header lacks {', '.join(missing)}" if known else "no column is known by name"
        raise SourceError(f"{what}; {found_and_missing(names)}")


def _is_padded(block: bytes, separator: bytes) -> bool:
    """Return whether there are spaces around a cell."""
    return (
        block.startswith(b" ")
        or block.endswith(b" ")
        or b" " + separator in block
        or separator + b" " in block
    )


def _unquoted(cells: list[bytes]) -> list[bytes]:
    """Remove the quotes of a column in which all cells have them, or none. Raises DecodeError.

    A string of JSON has no line break, so none goes on in the next cell; and as many strings as
    cells are one each.
    """
    if b'"' not in b"".join(cells):
        return cells
    strings = _strings.decode(b"[" + b",\n".join([cell or b'""' for cell in cells]) + b"]")
    if len(strings) != len(cells):
        raise msgspec.DecodeError
    return [string.encode() for string in strings]


def _column(name: str, cells: list[bytes]) -> Iterable[Any]:
    """Decode a column strictly, as JSON. Raises DecodeError."""
    if name in TEXTS:
        strings = _strings.decode(b'["' + b'","'.join(cells) + b'"]')
        return [string or None for string in strings] if b"" in cells else strings
    if name in TIMES:
        return decoded_times(cells)
    if b"" in cells:
        cells = [cell or b"null" for cell in cells]
    numbers = _numbers.decode(b"[" + b",".join(cells) + b"]")
    if len(numbers) != len(cells):  # 1,5 under another separator
        raise msgspec.DecodeError
    return numbers


def decoded_times(cells: Sequence[bytes]) -> list[datetime | None]:
    """Decode RFC 3339 times without quotes; empty ones are absent. Raises DecodeError."""
    block = b'["' + b'","'.join(cells) + b'"]'
    return _times.decode(block.replace(b'""', b"null") if b"" in cells else block)


def _value(name: str, cell: str) -> Any:
    """Decode one cell. Raises Invalid."""
    if not cell:
        return None
    if name in TEXTS:
        return cell
    path = f"$.{name}"
    try:
        if name in TIMES:
            return msgspec.convert(cell, datetime)
        return _number.decode(cell.encode()) if not cell.isspace() else None
    except msgspec.DecodeError:
        if name in TIMES:
            raise invalid_timestamp(name) from None
        seen = cell if len(cell) <= 40 else f"{cell[:40]}…"
        wrong = f"{name} is {seen}; it must be a number"
        if _DECIMAL_COMMA.fullmatch(cell):
            wrong = f"{name} is {seen}; use a decimal point"
        elif _NOT_AS_JSON.fullmatch(cell):
            wrong = f"{name} is {seen}; it is not written as JSON writes it, such as 0.5"
        raise Invalid("invalid_type", wrong, path) from None


def invalid_timestamp(name: str = TIMESTAMP) -> Invalid:
    """Return the error that the API gives for such a time."""
    return Invalid(
        "invalid_timestamp",
        f"{name} must be an RFC 3339 time such as 2026-02-09T10:00:00Z",
        f"$.{name}",
    )
