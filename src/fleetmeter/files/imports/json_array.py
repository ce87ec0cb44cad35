"""Reads a JSON array of readings, or one reading, as the API accepts it."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec

from fleetmeter.files.blocks import Block, Position
from fleetmeter.files.column_names import found_and_missing
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.lines import shown
from fleetmeter.files.imports.tables.table import whole_document
from fleetmeter.readings.decode import decode_one
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid

_BLOCK = 5000
_reading = msgspec.json.Decoder(Telemetry)
_items = msgspec.json.Decoder(list[msgspec.Raw])


class JsonArray:
    """One file; its offsets are items."""

    ignored: Sequence[str] = ()

    def __init__(self, file: BinaryIO) -> None:
        """Raises SourceError."""
        body = whole_document(file)
        try:
            if body.lstrip()[:1] == b"[":
                self._items = _items.decode(body)
            else:
                self._items = [msgspec.json.decode(body, type=msgspec.Raw)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            hint = "; if it has an object in each line, add --format ndjson" * (b"}\n{" in body)
            raise SourceError(f"this is not a JSON array of readings: {error}{hint}") from None
        self.size = len(self._items)
        keys = _keys(self._items[0]) if self._items else []
        if keys and _FIELDS.isdisjoint(keys):
            raise SourceError(
                f"it has no readings, but {found_and_missing(keys)}",
            )

    def blocks(self, begin: Position) -> Iterator[Block]:
        """Yield all items from an offset on."""
        for first in range(begin.offset, self.size, _BLOCK):
            yield self._block(first, min(first + _BLOCK, self.size))

    def _block(self, first: int, end: int) -> Block:
        raw = self._items[first:end]
        found: list[Telemetry | Invalid] = []
        for each in raw:
            try:
                found.append(decode_one(each, _reading.decode))
            except Invalid as invalid:
                found.append(invalid)
        numbers = range(first + 1, end + 1)
        return Block(found, numbers, lambda index: shown(bytes(raw[index])), Position(end, end))


_FIELDS = {field.encode_name for field in msgspec.structs.fields(Telemetry)}


def _keys(item: msgspec.Raw) -> list[str]:
    """Return the keys of an object."""
    try:
        return list(msgspec.json.decode(item, type=dict[str, msgspec.Raw]))
    except msgspec.DecodeError:
        return []
