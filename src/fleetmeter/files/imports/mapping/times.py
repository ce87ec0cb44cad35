"""Reads times as files write them: wall times, times with an offset, counts since an epoch."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from fleetmeter.files.imports.mapping.model import MappingError
from fleetmeter.readings.validate import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXCEL_EPOCH = datetime(1899, 12, 30)
_SINCE_EPOCH = {"epoch": 1, "epoch_ms": 1000, "epoch_us": 1_000_000}
"""Units per second."""

_SANE_S = (631_152_000, 4_102_444_800)
"""1990 to 2100; a count outside of it is not a time, or has another unit."""

_ORDERED = re.compile(
    r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2}),?"
    r"(?:[ T]+(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,](\d{1,6}))?)?\s*([AaPp])?\.?[Mm]?\.?)?"
)
_MIDNIGHT = re.compile(r"([ T])24:00(:00)?(?!\d)")
"""24:00, which energy data use for the end of a day."""

Parse = Callable[[str], datetime]
"""A text as a time, naive where it has no offset. Raises ValueError."""


def _iso(text: str) -> datetime:
    if not text[:4].isdigit() or len(text) < 8:
        raise ValueError
    return datetime.fromisoformat(text)


def _since_epoch(per_second: int) -> Parse:
    def parse(text: str) -> datetime:
        count = Decimal(text) / per_second
        if not _SANE_S[0] <= count <= _SANE_S[1]:
            raise ValueError
        return _EPOCH + timedelta(microseconds=int(count * 1_000_000))

    return parse


def _ordered(day_first: bool) -> Parse:
    def parse(text: str) -> datetime:
        match = _ORDERED.fullmatch(text)
        if match is None:
            raise ValueError
        first, second, year, hour, minute, second_, fraction, half = match.groups()
        day, month = (first, second) if day_first else (second, first)
        hours = int(hour or 0)
        if half is not None:
            if not 1 <= hours <= 12:
                raise ValueError
            hours = hours % 12 + 12 * (half in "pP")
        return datetime(
            int(year) + 2000 * (len(year) == 2),
            int(month),
            int(day),
            hours,
            int(minute or 0),
            int(second_ or 0),
            int((fraction or "").ljust(6, "0")),
        )

    return parse


def _excel(text: str) -> datetime:
    days = float(text)
    if not 32_874 <= days <= 73_051:
        raise ValueError
    return _EXCEL_EPOCH + timedelta(milliseconds=round(days * 86_400_000))


def _rfc2822(text: str) -> datetime:
    found = parsedate_to_datetime(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


_NAMED: dict[str, Parse] = {
    "iso": _iso,
    "day-first": _ordered(day_first=True),
    "month-first": _ordered(day_first=False),
    "excel": _excel,
    "rfc2822": _rfc2822,
    **{name: _since_epoch(per_second) for name, per_second in _SINCE_EPOCH.items()},
}

FORMATS: tuple[str, ...] = tuple(_NAMED)
"""The names of ways to write a time, beside strptime's."""


def parser(format_: str) -> Parse:
    """Return a function that parses one format of times. Raises MappingError."""
    if format_ in _NAMED:
        return _NAMED[format_]
    if "%" not in format_:
        raise MappingError(
            f'the time format "{format_}" is unknown; it can be {", ".join(FORMATS)} or one '
            'of strptime, such as "%d.%m.%Y %H:%M"'
        )
    try:
        example = datetime(2026, 10, 25, 2, 30, tzinfo=UTC).strftime(format_)
        datetime.strptime(example, format_)
    except (ValueError, re.error) as error:
        raise MappingError(f'the time format "{format_}" cannot be used: {error}') from None
    return lambda text: datetime.strptime(text, format_)


def time_reader(formats: Sequence[str]) -> Callable[[Any, str], datetime | None]:
    """Return a function that reads a column's times in the first format that fits, or None."""
    parsers = [parser(each) for each in formats]

    @lru_cache(4096)
    def parsed(text: str) -> datetime | None:
        for plain, day in ((text, 0), (_MIDNIGHT.sub(r"\g<1>00:00\g<2>", text), 1)):
            if day and plain == text:
                break
            for parse in parsers:
                try:
                    return parse(plain) + timedelta(days=day)
                except (ValueError, ArithmeticError, TypeError):
                    continue
        return None

    def read(cell: Any, column: str) -> datetime | None:
        if isinstance(cell, datetime):
            return cell
        if isinstance(cell, date):
            return datetime(cell.year, cell.month, cell.day)
        text = "" if cell is None else str(cell).strip()
        if not text:
            return None
        found = parsed(text) if len(text) <= 64 else None
        if found is None:
            seen = text if len(text) <= 40 else f"{text[:40]}…"
            wanted = " or ".join(formats)
            raise Invalid(
                "invalid_timestamp",
                f"{column} is {seen}, which is not a time as {wanted} writes it; "
                "say in the mapping how it is: time = { format = … }",
            )
        return found

    return read
