"""Teaches Schemathesis to write MessagePack and NDJSON.

With MEDIA_TYPE it sends bodies of that type alone.
"""

import os
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
    """Return a body as MessagePack."""
    return _serialized(msgspec.msgpack.encode, value)


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx: Any, value: Any) -> bytes:
    """Return a body as one line."""
    return _serialized(msgspec.json.encode, value)


@schemathesis.hook
def before_init_operation(context: Any, operation: Any) -> None:
    """Leave out bodies of other types."""
    if wanted := os.environ.get("MEDIA_TYPE"):
        operation.body.items = [b for b in operation.body.items if b.media_type == wanted]
