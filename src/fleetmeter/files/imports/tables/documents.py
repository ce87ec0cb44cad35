"""Reads JSON documents and lines as tables: objects are rows, nested keys have dotted names."""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import msgspec

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.lines import BYTE_ORDER_MARK, MAX_LINE, read_lines, shown, text_of
from fleetmeter.files.imports.mapping.model import Bound
from fleetmeter.files.imports.tables.table import Row, Table, whole_document
from fleetmeter.readings.validate import Invalid

_SHOWN = 2000
_LONGEST = 16 * MAX_LINE
"""Maximum size of a record, bytes."""

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_arrays = msgspec.json.Decoder(list[msgspec.Raw])

_DEEP = 6
_WIDE = 1000
"""Maximum number of columns of a record."""


def open_json(file: BinaryIO, bound: Bound) -> Table:
    """Open a document that is an array, or has one at `records`. Raises SourceError."""
    try:
        document = msgspec.json.decode(whole_document(file), type=msgspec.Raw)
        items = list(_items(_at(document, bound.mapping.records)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"this is not a JSON document: {error}") from None

    def rows() -> Iterator[Row]:
        for number, item in enumerate(items, 1):
            decoded = _decoded(bytes(item))
            if isinstance(decoded, Invalid):
                yield Row(number, decoded, shown(bytes(item)))
            else:
                yield _row(number, decoded, names)

    first = [_decoded(bytes(item)) for item in items[:1000]]
    names = _names(bound, [each for each in first if not isinstance(each, Invalid)])
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
            item = _line(line)
            if isinstance(item, Invalid):
                yield Row(number, item, shown(line))
            else:
                yield _row(number, item, names)

    first = [_line(line) for _, line in _first(lines())]
    names = _names(bound, [each for each in first if not isinstance(each, Invalid)])
    return Table(names, rows)


def _first(lines: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return [line for _, line in zip(range(1000), lines, strict=False)]


def _line(line: bytes) -> Any:
    """Return the record of a line, or its error."""
    try:
        text_of(line)
    except Invalid as invalid:
        return invalid
    return _decoded(line)


def _decoded(item: bytes) -> Any:
    """Return a record, or its error."""
    if len(item) > _LONGEST:
        return Invalid("malformed", f"it is longer than {_LONGEST // 1024} KiB")
    try:
        return msgspec.json.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Invalid("malformed", f"this is not JSON: {error}")


def _at(document: msgspec.Raw, path: str | None) -> msgspec.Raw:
    """Return the array at a dotted path. Raises SourceError."""
    found = document
    for key in path.split(".") if path and not _begins(document, b"[") else ():
        keys = _objects.decode(found) if _begins(found, b"{") else {}
        if key not in keys:
            has = ", ".join(list(keys)[:20]) or "no keys"
            raise SourceError(f"the document has nothing at {path}; it has {has}")
        found = keys[key]
    if path or not _begins(found, b"{"):
        return found
    arrays = {key: each for key, each in _objects.decode(found).items() if _begins(each, b"[")}
    if len(arrays) > 1:
        raise SourceError(
            f"the document has several arrays, {', '.join(list(arrays)[:10])}; say which one with "
            f'records = "{next(iter(arrays))}"'
        )
    return next(iter(arrays.values()), found)


def _items(found: msgspec.Raw, deep: int = 0) -> Iterator[msgspec.Raw]:
    """Yield the records of an array, and of arrays of arrays of objects."""
    if not _begins(found, b"["):
        yield found
        return
    for item in _arrays.decode(found):
        if deep < _DEEP and _begins(item, b"[") and _begins(_inside(item), b"{"):
            yield from _items(item, deep + 1)
        else:
            yield item


def _begins(value: msgspec.Raw | bytes, with_: bytes) -> bool:
    return bytes(memoryview(value)[:64]).lstrip()[:1] == with_


def _inside(array: msgspec.Raw) -> bytes:
    """Return the text of an array after its bracket."""
    return bytes(memoryview(array)[:256]).lstrip()[1:]


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
    """Return a record with dotted names for nested values."""
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
        return Row(number, Invalid("not_an_object", "the item is not an object"), shown_)
    record = flat(item)
    return Row(number, [record.get(name) for name in names], shown_)
