"""Decodes the bytes of a request into its items.

Items are decoded many at a time; only when one of them cannot be is the rest of the body split and
each item decoded on its own, so that one bad reading never costs another. A long body is decoded in
slices: every step is a generator that yields where other work may come in between.
"""

from collections.abc import Callable, Generator, Iterable
from typing import Any, Literal

import msgspec

from fleetmeter.errors import MalformedBodyError
from fleetmeter.readings.item_boundaries import (
    MAX_ITEM_BYTES,
    MSGPACK_HEADER,
    SLICE_BYTES,
    SLICE_ITEMS,
    Body,
    json_items,
    json_slice,
    line_slices,
    msgpack_length,
    msgpack_slice,
    too_many,
)
from fleetmeter.readings.telemetry import TIMES, Telemetry
from fleetmeter.readings.validate import Invalid

BodyFormat = Literal["json", "ndjson", "msgpack"]
Item = Telemetry | Invalid
Sent = Body | msgspec.Raw

_json = msgspec.json.Decoder(Telemetry)
_json_array = msgspec.json.Decoder(list[Telemetry])
_msgpack = msgspec.msgpack.Decoder(Telemetry)
_msgpack_array = msgspec.msgpack.Decoder(list[Telemetry])
_msgpack_split = msgspec.msgpack.Decoder(list[msgspec.Raw])

_MOST_SENT = 16_384
"""Bytes kept of an item that cannot be decoded, to identify its device."""

_ALONE = 500
"""Items that are decoded by themselves in a slice."""

_SHORT = 64
"""Bytes of an undecodable item that is remembered, because it may come again and again."""

_MAX_BLANK_LINES = 16
"""Most empty lines for each reading that is allowed."""

_NOT_DECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class BatchDecoder:
    """Takes a body piece by piece; ends with its readings, and what is wrong with others."""

    def __init__(self, format_: BodyFormat, max_batch: int) -> None:
        self._format = format_
        self._max_batch = max_batch
        self._undecoded = bytearray()
        self._items: list[Item] = []
        self._undecodable: dict[bytes, Invalid] = {}
        """Short ones, by what was sent."""

    def feed(self, piece: bytes) -> Generator[None, None, None]:
        """Take more of the body. Raises MalformedBodyError and BatchTooLargeError."""
        self._undecoded += piece
        if self._format != "ndjson":
            return
        if ended := piece.rfind(b"\n") + 1:
            end = len(self._undecoded) - len(piece) + ended
            lines = bytes(memoryview(self._undecoded)[:end])
            del self._undecoded[:end]
            yield from self._decode_lines(lines)
        if len(self._undecoded) > MAX_ITEM_BYTES:
            raise MalformedBodyError("the body has a line that is too long")

    def finish(self) -> Generator[None, None, list[Item]]:
        """Finish the body. Raises MalformedBodyError and BatchTooLargeError."""
        body = self._undecoded
        if self._format == "ndjson":
            yield from self._decode_lines(body)
        elif self._format == "msgpack":
            yield from self._decode_msgpack(body)
        else:
            yield from self._decode_json(body)
        return self._items

    def _add(self, decoded: list[Telemetry]) -> None:
        if len(self._items) + len(decoded) > self._max_batch:
            raise too_many(self._max_batch)
        self._items += decoded

    def _add_each(
        self, items: Iterable[Sent], decode: Callable[[bytes], Telemetry]
    ) -> Generator[None, None, None]:
        """Decode items by themselves."""
        yield
        for item in items:
            if len(self._items) >= self._max_batch:
                raise too_many(self._max_batch)
            self._items.append(self._decoded(bytes(item), decode))
            if len(self._items) % _ALONE == 0:
                yield

    def _decoded(self, item: bytes, decode: Callable[[bytes], Telemetry]) -> Item:
        if (known := self._undecodable.get(item)) is not None:
            return known
        try:
            if len(item) > MAX_ITEM_BYTES:
                raise Invalid("malformed", f"the item has more than {MAX_ITEM_BYTES} bytes")
            return decode_one(item, decode)
        except Invalid as invalid:
            invalid.sent = item[:_MOST_SENT]
            # an error knows the frames that it went through, and the error that caused it
            invalid.__traceback__ = invalid.__context__ = None
            if len(item) <= _SHORT and len(self._undecodable) < _ALONE:
                self._undecodable[item] = invalid
            return invalid

    def _decode_json(self, body: Body) -> Generator[None, None, None]:
        """Decode one object or an array."""
        start = 0 if body[:1] == b"[" else len(body) - len(body.lstrip())
        if start == len(body):
            raise MalformedBodyError("the body is empty")
        if body[start] != ord("["):
            try:
                lone = body.strip() if len(body) > MAX_ITEM_BYTES else body
                self._decode_lone(lone, _json.decode, msgspec.json.decode)
            except _NOT_DECODED as error:
                raise _not_json(error) from None
            return
        start += 1
        while True:
            end = json_slice(body, start)
            array: Body = body
            if end < len(body):
                array = b"[" + body[start:end] + b"]"
            elif self._items:
                array = b"[" + body[start:]
            try:
                if end < 0:
                    raise MalformedBodyError("the body has an item that is too long")
                decoded = _json_array.decode(array)
            except (*_NOT_DECODED, MalformedBodyError) as error:  # perhaps only one of the items
                until = end if end >= 0 else start + SLICE_BYTES
                yield
                start = yield from self._examine_json(body, start, until, error)
                if start == len(body):
                    return
            else:
                if self._items and not decoded:
                    raise MalformedBodyError("the body ends with a comma")
                self._add(decoded)
                if end == len(body):
                    return
                start = end + 1
            yield

    def _examine_json(
        self, body: Body, start: int, until: int, error: Exception
    ) -> Generator[None, None, int]:
        """Decode items of an array by themselves; return where the next begins."""
        try:
            most = self._max_batch - len(self._items)
            items, end = yield from json_items(body, start, until, most)
        except MalformedBodyError as malformed:
            if isinstance(error, (msgspec.ValidationError, MalformedBodyError)):
                raise malformed from None
            raise _not_json(error) from None
        if end == len(body) and not items[-1].strip():
            if self._items or len(items) > 1:
                raise MalformedBodyError("the body ends with a comma")
            return end
        yield from self._add_each(items, _json.decode)
        return end

    def _decode_lines(self, lines: Body) -> Generator[None, None, None]:
        """Decode one object a line; empty lines do not count."""
        if lines.count(b"\n") > _MAX_BLANK_LINES * self._max_batch:
            raise too_many(self._max_batch)
        for number, piece in enumerate(line_slices(lines)):
            if number:
                yield
            yield from self._decode_few_lines(piece)

    def _decode_few_lines(self, lines: Body) -> Generator[None, None, None]:
        try:
            self._add(_json.decode_lines(lines))
        except _NOT_DECODED:
            each = (line for line in lines.split(b"\n") if line.strip())
            yield from self._add_each(each, _json.decode)

    def _decode_msgpack(self, body: Body) -> Generator[None, None, None]:
        """Decode one map or an array."""
        if not body:
            raise MalformedBodyError("the body is empty")
        array = msgpack_length(body)
        try:
            if array is None:
                self._decode_lone(body, _msgpack.decode, msgspec.msgpack.decode)
                return
            length, start = array
            if length > self._max_batch:
                raise too_many(self._max_batch)
            if length <= SLICE_ITEMS and len(body) <= SLICE_BYTES:
                yield from self._decode_msgpack_array(body)
                return
            while length:
                piece, count = msgpack_slice(body, start, length)
                yield from self._decode_msgpack_array(piece)
                start += len(piece) - MSGPACK_HEADER
                length -= count
                yield
        except _NOT_DECODED as error:
            raise MalformedBodyError(f"the body is not valid MessagePack: {_said(error)}") from None
        if start != len(body):
            raise MalformedBodyError("the body goes on after its MessagePack array")

    def _decode_msgpack_array(self, array: Body) -> Generator[None, None, None]:
        try:
            self._add(_msgpack_array.decode(array))
        except _NOT_DECODED:  # perhaps only what is inside one of the items
            yield from self._add_each(_msgpack_split.decode(array), _msgpack.decode)

    def _decode_lone(
        self, body: Body, decode: Callable[[bytes], Telemetry], parse: Callable[..., Any]
    ) -> None:
        """Decode a body that is one item, even if it is not a reading. Raises `_NOT_DECODED`."""
        if len(body) > MAX_ITEM_BYTES:
            raise MalformedBodyError("the body is not a reading: it is too large")
        item = self._decoded(bytes(body), decode)
        if isinstance(item, Invalid):
            parse(body, type=msgspec.Raw)
        self._items.append(item)


def decode_one(item: Sent, decode: Callable[[bytes], Telemetry] = _json.decode) -> Telemetry:
    """Decode one reading. Raises Invalid, which says what is wrong with it."""
    try:
        return decode(bytes(item))
    except msgspec.ValidationError as error:
        reason, _, path = str(error).replace(" | null", "").partition(" - at `")
        if not path:
            raise Invalid("not_an_object", f"a reading is an object: {reason}") from None
        path = path.rstrip("`")
        if (name := path.removeprefix("$.")) in TIMES:
            detail = f"{name} must be an RFC 3339 time such as 2026-02-09T10:00:00Z"
            raise Invalid("invalid_timestamp", detail, path) from None
        raise Invalid("invalid_type", f"{path.removeprefix('$.')}: {reason}", path) from None
    except _NOT_DECODED as error:
        raise Invalid("malformed", f"the item cannot be decoded: {_said(error)}") from None


def _not_json(error: Exception) -> MalformedBodyError:
    return MalformedBodyError(f"the body is not valid JSON: {_said(error)}")


def _said(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
