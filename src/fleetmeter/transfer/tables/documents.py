"""JSON documents and lines as tables: an object is a row, and what is in it has dotted names."""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import msgspec

from fleetmeter.readings.validate import Invalid
from fleetmeter.transfer.csv_lines import SourceError
from fleetmeter.transfer.lines import BYTE_ORDER_MARK, MAX_LINE, read_lines, shown, text_of
from fleetmeter.transfer.mapping.model import Bound
from fleetmeter.transfer.tables.table import MAX_DOCUMENT, Limited, Row, Table

_SHOWN = 2000
_DEEP = 6
_WIDE = 1000
"""Most columns of a record."""


def whole(file: BinaryIO) -> bytes:
    """Read a document. Raises SourceError when it is too large."""
    file.seek(0)
    return Limited(file, MAX_DOCUMENT).read().removeprefix(BYTE_ORDER_MARK)


def open_json(file: BinaryIO, bound: Bound) -> Table:
    """Open a document that is an array, or has one at `records`. Raises SourceError."""
    try:
        document = msgspec.json.decode(whole(file))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"it is no JSON document: {error}") from None
    items = list(_items(_at(document, bound.mapping.records)))

    def rows() -> Iterator[Row]:
        for number, item in enumerate(items, 1):
            yield _row(number, item, names)

    names = _names(bound, items[:1000])
    return Table(names, rows)


def open_ndjson(file: BinaryIO, bound: Bound) -> Table:
    """Open a file with an object in each line."""

    def lines() -> Iterator[tuple[int, bytes]]:
        number = 0
        for block in read_lines(file, 0):
            for line in block.lines:
                number += 1
                if number == 1:
                    line = line.removeprefix(BYTE_ORDER_MARK)
                if line.strip():
                    yield number, line

    def rows() -> Iterator[Row]:
        for number, line in lines():
            item = _decoded(line)
            if isinstance(item, Invalid):
                yield Row(number, item, shown(line))
            else:
                yield _row(number, item, names)

    first = [_decoded(line) for _, line in _first(lines())]
    names = _names(bound, [each for each in first if not isinstance(each, Invalid)])
    return Table(names, rows)


def _first(lines: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return [line for _, line in zip(range(1000), lines, strict=False)]


def _decoded(line: bytes) -> Any:
    try:
        text_of(line)
        return msgspec.json.decode(line)
    except Invalid as invalid:
        return invalid
    except (msgspec.DecodeError, RecursionError) as error:
        return Invalid("malformed", f"the line is no JSON: {error}")


def _at(document: Any, path: str | None) -> Any:
    """Return what is at a dotted path; an array is what would be there. Raises SourceError."""
    found = document
    for key in (path or "").split(".") if not isinstance(document, list) and path else ():
        if not isinstance(found, dict) or key not in found:
            has = ", ".join(list(found)[:20]) if isinstance(found, dict) else "no keys"
            raise SourceError(f"the document has nothing at {path}; it has {has}")
        found = found[key]
    if isinstance(found, dict) and path is None:
        arrays = [key for key, value in found.items() if isinstance(value, list) and value]
        if len(arrays) == 1:
            return found[arrays[0]]
        if arrays:
            raise SourceError(
                f"the document has several arrays, {', '.join(arrays[:10])}; say which one with "
                f'records = "{arrays[0]}"'
            )
    return found


def _items(found: Any, deep: int = 0) -> Iterator[Any]:
    """Yield the records of an array, and of arrays of arrays of objects."""
    if not isinstance(found, list):
        yield found
        return
    for item in found:
        if isinstance(item, list) and deep < _DEEP and item and isinstance(item[0], dict):
            yield from _items(item, deep + 1)
        else:
            yield item


def _names(bound: Bound, items: Iterable[Any]) -> list[str]:
    """Return the columns of records; an array as a record has them numbered."""
    names: dict[str, None] = {}
    for item in items:
        names |= dict.fromkeys(flat(item))
        if len(names) > _WIDE:
            break
    wanted = [column for column in bound.columns() if isinstance(column, str)]
    if items and not {*wanted} & {*names}:
        return list(names)
    return list(names | dict.fromkeys(wanted))


def flat(item: Any) -> dict[str, Any]:
    """Return a record with dotted names for what is deeper in it."""
    if isinstance(item, list):
        return {str(place): value for place, value in enumerate(item, 1)}
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any, int]] = [("", item, 0)] if isinstance(item, dict) else []
    while waiting and len(found) < _WIDE:
        prefix, record, deep = waiting.pop()
        for key, value in record.items():
            if isinstance(value, dict) and deep < _DEEP:
                waiting.append((f"{prefix}{key}.", value, deep + 1))
            else:
                found[f"{prefix}{key}"] = value
    return found


def _row(number: int, item: Any, names: list[str]) -> Row:
    text = msgspec.json.encode(item).decode(errors="backslashreplace")
    shown_ = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    if not isinstance(item, dict | list):
        return Row(number, Invalid("not_an_object", "the item is no object"), shown_)
    if len(text) > 16 * MAX_LINE:
        return Row(number, Invalid("malformed", "the item is longer than a MiB"), shown_)
    record = flat(item)
    return Row(number, [record.get(name) for name in names], shown_)
