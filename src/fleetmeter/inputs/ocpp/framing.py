"""The frames of OCPP-J: calls, their results and errors. Pure.

The id of a call is echoed as it was sent, since some chargers send a number where a text belongs.
"""

import json
import re
from typing import Any, Literal, NamedTuple

import msgspec

MAX_ID_BYTES = 500
"""Longest id of a call: the 36 characters of the standard, each escaped as `\\ud83d\\ude00`."""

_CALL, _RESULT, _ERROR = b"2", b"3", b"4"
_UNANSWERED = (b"5", b"6")
"""What 2.1 adds: an error of a result, and what needs no answer."""

_BEGINNING = re.compile(rb'\s*\[\s*2\s*,\s*("[ !#-\[\]-~]{1,198}")\s*,')
"""The beginning of a call, with its id."""

_NOTHING = msgspec.Raw()


class _Frame(msgspec.Struct, array_like=True, gc=False):
    """The parts of a message that are looked at; what follows is skipped."""

    kind: msgspec.Raw = _NOTHING
    id: msgspec.Raw = _NOTHING
    first: msgspec.Raw = _NOTHING
    second: msgspec.Raw = _NOTHING


_frame = msgspec.json.Decoder(_Frame)
_text = msgspec.json.Decoder(str, strict=False)
_encode = msgspec.json.Encoder().encode

Code = Literal[
    "NotImplemented",
    "InternalError",
    "FormationViolation",
    "OccurenceConstraintViolation",
    "PropertyConstraintViolation",
    "SecurityError",
]
"""Codes of errors, as 1.6 has them."""

_IN_VERSION_2: dict[str, str] = {
    "FormationViolation": "FormatViolation",
    "OccurenceConstraintViolation": "OccurrenceConstraintViolation",
}


class Call(NamedTuple):
    """A request of the other side."""

    id: bytes
    """As it was sent, in JSON."""

    action: str
    payload: bytes


class Answer(NamedTuple):
    """What the other side answers to a call of ours."""

    id: str
    payload: bytes
    """The result, in JSON; empty for an error."""

    error: str | None


class CallError(Exception):
    """A call cannot be answered with a result."""

    def __init__(self, code: Code, description: str) -> None:
        super().__init__(description)
        self.code: Code = code


class FrameError(Exception):
    """A message is no frame; `call_id` is that of a call whose rest is wrong."""

    def __init__(self, why: str, call_id: bytes | None = None) -> None:
        super().__init__(why)
        self.call_id = call_id


def parse(message: bytes) -> Call | Answer | None:
    """Return the frame in a message; None for one that needs no answer. Raises FrameError."""
    try:
        frame = _frame.decode(message)
    except (msgspec.DecodeError, RecursionError):
        frame = _mended(message)
    kind, id_ = bytes(frame.kind), bytes(frame.id)
    rest = [part for part in (bytes(frame.first), bytes(frame.second)) if part]
    if not id_:
        raise FrameError("the message has no type and id")
    if kind == _CALL:
        return _call(id_, rest)
    if kind in (_RESULT, _ERROR):
        return _answer(kind, id_, rest)
    if kind in _UNANSWERED:
        return None
    raise FrameError(f"there is no message of type {kind[:20].decode(errors='replace')}")


def _mended(message: bytes) -> _Frame:
    """Return the frame in a message that is JSON but for its numbers. Raises FrameError.

    Some chargers write NaN where they measure nothing: that is a text here.
    """
    try:
        parts = json.loads(message, parse_constant=str)
        if isinstance(parts, list):
            return _Frame(*(msgspec.Raw(_encode(part)) for part in parts[:4]))
    except (ValueError, RecursionError):  # also of texts that are no Unicode
        pass
    found = _BEGINNING.match(message)
    raise FrameError("the message is not a JSON array", found and found[1])


def _call(id_: bytes, rest: list[bytes]) -> Call:
    if len(id_) > MAX_ID_BYTES or id_[:1] in b"[{":
        raise FrameError(f"the id of a call is a text of at most {MAX_ID_BYTES} bytes")
    try:
        action = msgspec.json.decode(rest[0], type=str)
    except IndexError:
        raise FrameError("the call has no action", id_) from None
    except msgspec.DecodeError:
        raise FrameError("the action of the call is not a text", id_) from None
    return Call(id_, action, rest[1] if len(rest) > 1 else b"{}")


def _answer(kind: bytes, id_: bytes, rest: list[bytes]) -> Answer:
    try:
        text = _text.decode(id_)
    except msgspec.DecodeError:
        text = id_[:MAX_ID_BYTES].decode(errors="replace")
    if kind == _RESULT:
        return Answer(text, rest[0] if rest else b"{}", None)
    said = b" ".join(rest[:2])[:200].decode(errors="replace")
    return Answer(text, b"{}", said or "an error")


def call(id_: str, action: str, payload: Any) -> bytes:
    """Return a call of ours."""
    return _encode([2, id_, action, payload])


def result(id_: bytes, payload: bytes) -> bytes:
    """Return the result of a call; its payload is encoded."""
    return b"[3,%b,%b]" % (id_, payload)


def error(id_: bytes, code: Code, description: str, *, is_version_2: bool) -> bytes:
    """Return the error of a call; the description has at most 255 characters."""
    name = _IN_VERSION_2.get(code, code) if is_version_2 else code
    said = _encode([name, description[:255], {}])
    return b"[4,%b,%b" % (id_, said[1:])
