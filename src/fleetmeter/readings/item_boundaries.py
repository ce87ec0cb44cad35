"""Finds where the items of a long array begin and end, a slice of the body at a time.

A slice has so many bytes and items that decoding it takes a few milliseconds.
"""

import re
from collections.abc import Generator, Iterator

import msgspec

from fleetmeter.errors import BatchTooLargeError, MalformedBodyError

Body = bytes | bytearray

SLICE_BYTES = 256 * 1024
SLICE_ITEMS = 2000
"""Most of a body that is decoded at a time; an item or a string may exceed it."""

MAX_ITEM_BYTES = 1024 * 1024
"""Largest item."""

_WINDOW = 32 * 1024
"""Bytes that are examined at a time."""

_SPARE_TOKENS, _ITEM_TOKENS = 10_000, 64
"""Most brackets, commas and strings of a slice that has to be examined: of all, of each item."""

_MAX_DEPTH = 10_000


def json_slice(body: Body, start: int) -> int:
    """Return where a slice of an array that begins an item at `start` probably ends, at a comma.

    It does if it decodes as an array; otherwise, the comma is inside an item. Returns the length
    of the body if the rest is short enough, and -1 if there is an item that is too large.
    """
    size = SLICE_BYTES
    while body.count(b"{", start, start + size) > SLICE_ITEMS:
        size //= 2
    if size == SLICE_BYTES and len(body) - start <= size:
        return len(body)
    found = _END_OF_ITEM.search(body, start + size, start + size + MAX_ITEM_BYTES)
    if found is not None:
        return found.end() - 1
    return len(body) if len(body) - start <= size + MAX_ITEM_BYTES else -1


_END_OF_ITEM = re.compile(rb"\}[ \t\r\n]{0,64}+,")

# possessive: a string is as long as it is, and the way there is not remembered; one that ends in
# another window is a quotation mark alone
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},"]', re.DOTALL)
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


def json_items(
    body: Body, start: int, until: int, most: int
) -> Generator[None, None, tuple[list[Body], int]]:
    """Split an array, from the item at `start`, by its brackets alone, whatever is between them.

    Returns its items up to the first that ends at `until` or later, and where the next begins; that
    is the length of the body at the end of the array. Raises MalformedBodyError when the brackets
    do not make an array, and BatchTooLargeError.
    """
    items: list[Body] = []
    depth, tokens, position = 1, _SPARE_TOKENS, start
    while position < len(body):
        window = min(position + _WINDOW, len(body))
        scanned = window
        for token in _TOKEN.finditer(body, position, window):
            tokens -= 1
            match token[0]:
                case b"[" | b"{":
                    depth += 1
                case b"]" | b"}":
                    depth -= 1
                    if depth == 0:
                        if token[0] != b"]" or body[token.end() :].strip():
                            raise MalformedBodyError("the body is not an array")
                        items.append(body[start : token.start()])
                        return items, len(body)
                case b"," if depth == 1:
                    if len(items) >= most:
                        raise too_many(most)
                    item = body[start : token.start()]
                    if not item.strip():
                        raise MalformedBodyError("the body has an empty item")
                    items.append(item)
                    start = token.end()
                    tokens += _ITEM_TOKENS
                    if start > until and start < len(body):
                        return items, start
                case b'"':
                    scanned = yield from _past_string(body, token.end())
                    break
            if tokens < 0 or depth > _MAX_DEPTH:
                raise MalformedBodyError("the body is not an array of readings")
        position = scanned
        yield
    raise MalformedBodyError("the body is not an array")


def _past_string(body: Body, position: int) -> Generator[None, None, int]:
    """Return where a long string ends."""
    while True:
        window = min(position + _WINDOW, len(body))
        rest = _IN_STRING.match(body, position, window)
        end = position if rest is None else rest.end()
        if body[end : end + 1] == b'"':
            return end + 1
        if end == position:
            raise MalformedBodyError("the body has a string that never ends")
        position = end
        yield


def line_slices(lines: Body) -> Iterator[Body]:
    """Cut lines into slices."""
    if lines.count(b"\n") <= SLICE_ITEMS:
        yield lines
        return
    start = 0
    while start < len(lines):
        size = _WINDOW
        while lines.count(b"\n", start, start + size) > SLICE_ITEMS:
            size //= 2
        end = lines.rfind(b"\n", start, start + size) + 1
        if not end:
            end = lines.find(b"\n", start + size) + 1 or len(lines)
        yield lines[start:end]
        start = end


MSGPACK_HEADER = 5
"""Bytes before the items of an array that `msgpack_slice` returns."""


def msgpack_length(body: Body) -> tuple[int, int] | None:
    """Return how many items an array says that it has, and where they start; None for no array."""
    if 0x90 <= body[0] <= 0x9F:
        return body[0] & 0x0F, 1
    if body[0] == 0xDC:
        return int.from_bytes(body[1:3]), 3
    if body[0] == 0xDD:
        return int.from_bytes(body[1:5]), 5
    return None


def msgpack_slice(body: Body, start: int, length: int) -> tuple[bytes, int]:
    """Return the next of `length` items as an array of their own, and how many they are.

    Raises msgspec.DecodeError and MalformedBodyError.
    """
    count, size = min(length, SLICE_ITEMS), SLICE_BYTES
    while True:
        array = b"\xdd" + count.to_bytes(4) + body[start : start + size]
        try:
            _skip(array)
        except msgspec.DecodeError as error:
            # where what does not belong to so many items begins
            if (trailing := _TRAILING.search(str(error))) is not None:
                return array[: int(trailing[1])], count
            if start + size >= len(body) or "truncated" not in str(error):
                raise
            if count > 1:
                count = max(1, count // 4)
            elif size >= MAX_ITEM_BYTES:
                raise MalformedBodyError("the body has an item that is too large") from None
            else:
                size = MAX_ITEM_BYTES
        else:
            return array, count


_skip = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")


def too_many(most: int) -> BatchTooLargeError:
    """Return the error of a batch with more items, or lines, than that."""
    return BatchTooLargeError(f"more than {most} readings; send them in smaller batches")
