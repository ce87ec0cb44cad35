"""Finds values in messages of JSON by names with dots between them. Pure.

`StatusSNS.ENERGY.Total` goes down objects; a number is a place in an array. A name with dots in it
is found, too.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from re import compile as compiled
from typing import Any

PLAIN = "value"
"""The name of a message that is a number or a text alone."""

_NUMBER = compiled(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
_LONGEST = 400
"""Characters of a text that may be a number."""

_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From which numbers on times since 1970 are in nano-, micro- and milliseconds, not in seconds:
the year 5138 in one is 1973 in the next."""


def value_at(message: Any, path: str) -> Any:
    """Return what is at a path; None for nothing."""
    if isinstance(message, dict):
        if path in message:
            return message[path]
        dot = path.find(".")
        while dot >= 0:
            if (inner := message.get(path[:dot])) is not None:
                found = value_at(inner, path[dot + 1 :])
                if found is not None:
                    return found
            dot = path.find(".", dot + 1)
    elif isinstance(message, list):
        head, _, rest = path.partition(".")
        if head.isdecimal() and head.isascii() and int(head[:9]) < len(message):
            return value_at(message[int(head)], rest) if rest else message[int(head)]
    return None


def items_at(message: Any, path: str) -> Iterator[tuple[dict[str, str], Any]]:
    """Return the items at a path, each with what the names in braces of the path stand for.

    `*` is each element of an array and each value of an object; `{name}` is as well, and has its
    place or name.
    """
    return _items(message, path.split("."), {})


def _items(
    message: Any, names: Sequence[str], found: dict[str, str]
) -> Iterator[tuple[dict[str, str], Any]]:
    if not names:
        yield found, message
        return
    first, rest = names[0], names[1:]
    if first != "*" and first[0] != "{":
        if (inner := value_at(message, first)) is not None:
            yield from _items(inner, rest, found)
        return
    each: Iterable[tuple[Any, Any]] = ()
    if isinstance(message, list):
        each = enumerate(message)
    elif isinstance(message, dict):
        each = message.items()
    for name, inner in each:
        more = found if first == "*" else found | {first.strip("{}"): str(name)}
        yield from _items(inner, rest, more)


def number_of(value: Any) -> float | None:
    """Return a number, also one that is written as a text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str) and len(value) <= _LONGEST and _NUMBER.fullmatch(value):
        return float(value)
    return None


def text_of(value: Any) -> str | None:
    """Return a value as conditions and ids have it; None for nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "{}"
    return str(value)


def moment_of(value: Any) -> datetime:
    """Return the time that a value says: as of RFC 3339, or a number since 1970.

    Raises ValueError, with what would be right.
    """
    number = number_of(value)
    if number is None:
        if not isinstance(value, str):
            raise ValueError("the time is neither a text nor a number")
        try:
            at = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"the time {value[:60]} is not as in RFC 3339") from None
        if at.tzinfo is None:
            raise ValueError(
                f"the time {value[:60]} has no offset from UTC; leave `time` out of the rule, and "
                "messages have the time of their arrival"
            )
        return at
    unit = next((unit for least, unit in _UNITS if abs(number) >= least), 1)
    try:
        return datetime.fromtimestamp(number / unit, UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"the time {str(value)[:60]} is out of range") from None
