"""What Schemathesis does not know by itself: how to write MessagePack and NDJSON."""

from collections.abc import Callable
from typing import Any

import msgspec
import schemathesis


def _serialized(encode: Callable[[Any], bytes], value: Any) -> bytes:
    try:
        return encode(value)
    except (OverflowError, UnicodeEncodeError):  # a value that the format cannot carry
        return b"\xc1"


@schemathesis.serializer("application/msgpack")
def msgpack(ctx: Any, value: Any) -> bytes:
    """A body as MessagePack."""
    return _serialized(msgspec.msgpack.encode, value)


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx: Any, value: Any) -> bytes:
    """A body as one line."""
    return _serialized(msgspec.json.encode, value)
