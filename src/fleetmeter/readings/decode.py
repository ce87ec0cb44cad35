"""Decodes the bytes of a request into its items.

Items are decoded many at a time; only when one of them cannot be is the body split and each item
decoded on its own, so that one bad reading never costs another.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from fleetmeter.errors import BatchTooLargeError, MalformedBodyError
from fleetmeter.readings.telemetry import TIMES, Telemetry
from fleetmeter.readings.validate import Invalid

BodyFormat = Literal["json", "ndjson", "msgpack"]
Body = bytes | bytearray
Item = Telemetry | bytes | bytearray | msgspec.Raw
"""A reading, or one that still has to be decoded, by itself."""

_MAX_FIELDS = 16
"""Fields of a reading, on average over the largest batch: bounds the memory of decoding."""

_json = msgspec.json.Decoder(Telemetry)
_json_array = msgspec.json.Decoder(list[Telemetry])
_msgpack = msgspec.msgpack.Decoder(Telemetry)
_msgpack_array = msgspec.msgpack.Decoder(list[Telemetry])
_msgpack_split = msgspec.msgpack.Decoder(list[msgspec.Raw])

_MOST_SENT = 16_384
"""Bytes kept of an item that cannot be decoded, to identify its device."""

_NOT_DECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class BatchDecoder:
    """Takes a body piece by piece; ends with its readings, and what is wrong with others."""

    def __init__(self, format_: BodyFormat, max_batch: int) -> None:
        self._format = format_
        self._max_batch = max_batch
        self._undecoded = bytearray()
        self._items: list[Telemetry | Invalid] = []

    def feed(self, piece: bytes) -> None:
        """Take more of the body. Raises BatchTooLargeError."""
        self._undecoded += piece
        if self._format == "ndjson" and (ended := piece.rfind(b"\n") + 1):
            end = len(self._undecoded) - len(piece) + ended
            lines = bytes(memoryview(self._undecoded)[:end])
            del self._undecoded[:end]
            self._collect(_json_lines(lines, self._max_batch), _json.decode)

    def finish(self) -> list[Telemetry | Invalid]:
        """Finish the body. Raises MalformedBodyError and BatchTooLargeError."""
        body = self._undecoded
        if self._format == "ndjson":
            self._collect(_json_lines(body, self._max_batch), _json.decode)
        elif self._format == "msgpack":
            self._collect(_msgpack_items(body, self._max_batch), _msgpack.decode)
        else:
            self._collect(_json_items(body, self._max_batch), _json.decode)
        return self._items

    def _collect(self, items: Sequence[Item], decode: Callable[[bytes], Telemetry]) -> None:
        if len(self._items) + len(items) > self._max_batch:
            raise _too_many(self._max_batch)
        self._items += (
            item if isinstance(item, Telemetry) else _decoded(item, decode) for item in items
        )


def _decoded(item: Body | msgspec.Raw, decode: Callable[[bytes], Telemetry]) -> Telemetry | Invalid:
    try:
        return decode_one(item, decode)
    except Invalid as invalid:
        invalid.sent = bytes(memoryview(item)[:_MOST_SENT])
        return invalid


def _json_items(body: Body, most: int) -> Sequence[Item]:
    """Decodes one object or an array."""
    if body.count(b",") > _MAX_FIELDS * most:
        raise _too_many(most)
    if not body.strip():
        raise MalformedBodyError("the body is empty")
    try:
        if body.lstrip()[:1] != b"[":
            return _one(body, _json.decode, msgspec.json.decode)
        return _json_array.decode(body)
    except msgspec.ValidationError:
        return _split_array(body)
    except _NOT_DECODED as error:
        # perhaps only what is inside one of the items
        try:
            return _split_array(body)
        except MalformedBodyError:
            raise MalformedBodyError(f"the body is not valid JSON: {_said(error)}") from None


# possessive: a string is as long as it is, and the way there is not remembered
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},"]', re.DOTALL)
_MAX_TOKENS = 2_000_000
_MAX_DEPTH = 10_000
"""With `_MAX_TOKENS`, the limits of examining a body that cannot be decoded."""


def _split_array(body: Body) -> list[Body]:
    """Split a JSON array into items by its brackets alone, whatever is between them.

    Raises MalformedBodyError when they do not make an array.
    """
    if body.lstrip()[:1] != b"[":
        raise MalformedBodyError("the body is not an array")
    items: list[Body] = []
    depth = start = end = 0
    for count, token in enumerate(_TOKEN.finditer(body)):
        if end:
            break
        if count > _MAX_TOKENS or depth > _MAX_DEPTH:
            raise MalformedBodyError("the body is not an array of readings")
        match token[0]:
            case b"[" | b"{":
                depth += 1
                if depth == 1:
                    start = token.end()
            case b"]" | b"}":
                depth -= 1
                if depth == 0:
                    items.append(body[start : token.start()])
                    end = token.end()
            case b"," if depth == 1:
                items.append(body[start : token.start()])
                start = token.end()
            case b'"':  # a string that never ends
                break
    if not end or body[end - 1 : end] != b"]" or body[end:].strip():
        raise MalformedBodyError("the body is not an array")
    if len(items) == 1 and not items[0].strip():
        return []
    if any(not item.strip() for item in items):
        raise MalformedBodyError("the body has an empty item")
    return items


def _json_lines(lines: Body, most: int) -> Sequence[Item]:
    """Decodes one object a line; empty lines do not count."""
    if lines.count(b"\n") > _MAX_FIELDS * most or lines.count(b",") > _MAX_FIELDS * most:
        raise _too_many(most)
    try:
        return _json.decode_lines(lines)
    except _NOT_DECODED:
        return [line for line in lines.split(b"\n") if line.strip()]


def _msgpack_items(body: Body, most: int) -> Sequence[Item]:
    """Decodes one map or an array."""
    if not body:
        raise MalformedBodyError("the body is empty")
    length = _msgpack_array_length(body)
    if length is not None and length > most:
        raise _too_many(most)
    try:
        if length is None:
            return _one(body, _msgpack.decode, msgspec.msgpack.decode)
        try:
            return _msgpack_array.decode(body)
        except _NOT_DECODED:  # perhaps only what is inside one of the items
            return _msgpack_split.decode(body)
    except _NOT_DECODED as error:
        raise MalformedBodyError(f"the body is not valid MessagePack: {_said(error)}") from None


def _msgpack_array_length(body: Body) -> int | None:
    """Return what an array's header says; None for anything else."""
    if 0x90 <= body[0] <= 0x9F:
        return body[0] & 0x0F
    if body[0] == 0xDC:
        return int.from_bytes(body[1:3])
    if body[0] == 0xDD:
        return int.from_bytes(body[1:5])
    return None


def _one(body: Body, decode: Callable[[Body], Telemetry], parse: Any) -> Sequence[Item]:
    """Decode a body that is one item, which must be something even if it is not a reading."""
    try:
        return [decode(body)]
    except _NOT_DECODED:
        parse(body, type=msgspec.Raw)
        return [body]


def decode_one(
    item: Body | msgspec.Raw, decode: Callable[[bytes], Telemetry] = _json.decode
) -> Telemetry:
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


def _said(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _too_many(most: int) -> BatchTooLargeError:
    return BatchTooLargeError(f"more than {most} readings; send them in smaller batches")
