"""Parses InfluxDB's line protocol. Pure.

    measurement[,tag=value…] field=value[,field=value…] [timestamp]

As InfluxDB has it: in names and tags, commas, equals signs and spaces are escaped by a backslash,
which stands for itself before anything else, another backslash too. Texts are in double quotes, in
which a backslash escapes a quote and a backslash, and may go over several lines. A number is a
float, an integer (`i`) or an unsigned integer (`u`). A line that begins with # is a comment.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fleetmeter.inputs.mapping.rules import Value

PRECISIONS = {
    **dict.fromkeys(("", "n", "ns", "nanosecond"), 1),
    **dict.fromkeys(("u", "us", "µ", "µs", "microsecond"), 1_000),
    **dict.fromkeys(("ms", "millisecond"), 1_000_000),
    **dict.fromkeys(("s", "second"), 1_000_000_000),
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
"""Nanoseconds of a unit of timestamps, by its names in versions 1, 2 and 3."""

MAX_LINE = 64 * 1024
"""Characters of a line, with those that a text adds to it."""

_MAX_TEXT_LINES = 1000
"""Lines that a text may go over."""

_PLAIN = re.compile(r"[^\\\" ]+ [^\\\" ]+(?: -?[0-9]+)?")
"""A line without escapes and texts, as nearly all are."""

_NAME_PART = r"(?:[^\\, ]|\\[,= ]|\\(?![,= ]))+"
_KEY = r"(?:[^\\,= ]|\\[,= ]|\\(?![,= ]))+"
_HEAD = re.compile(r"(?:[^\\ ]|\\ ?)+")
_NAME = re.compile(rf"({_NAME_PART})(?:(,)|$)")
_TAG = re.compile(rf"({_KEY})=({_KEY})(?:(,)|$)")
_FIELD = re.compile(rf"({_KEY})=(\"(?:\\.|[^\"\\])*\"|[^\", ]+)(?:(,)|(?= )|$)", re.DOTALL)
_ESCAPED = re.compile(r"\\([,= ])")
_QUOTED = re.compile(r"\\([\"\\])")
_PAIR = re.compile(r"\\.", re.DOTALL)

_INTEGER = re.compile(r"-?[0-9]+i|[0-9]+u")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_TIMESTAMP = re.compile(r"-?[0-9]+")
_NOT_UTF8 = re.compile(r"[\udc80-\udcff]")
"""A byte that is not UTF-8, as `decode(errors="surrogateescape")` has it."""

_SPACES = " \t"
BOOLEANS = dict.fromkeys(("t", "T", "true", "True", "TRUE"), True) | dict.fromkeys(
    ("f", "F", "false", "False", "FALSE"), False
)
_INTEGERS = {"i": range(-(2**63), 2**63), "u": range(2**64)}
_LONGEST_INTEGER = 100
"""Characters, with zeros in front; Python refuses to read thousands."""

NANOSECONDS = range(-(2**63), 2**63)
"""Times that can be, from 1677 to 2262, in nanoseconds since 1970."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Line(NamedTuple):
    """A point: what is before the first space as it was sent, the fields, and the time."""

    number: int
    """From 1 on."""

    head: str
    fields: list[tuple[str, Value]]
    time: datetime | None
    """None: when it arrives."""


class BadLine(NamedTuple):
    """A line that is none."""

    number: int
    why: str
    text: str


def next_line(lines: Sequence[str], at: int, unit_ns: int) -> tuple[Line | BadLine | None, int]:
    """Return the point that begins at a place in a body's lines, and the place of what follows it.

    None: there is only a comment. `unit_ns`: nanoseconds of a unit of timestamps; see PRECISIONS.
    """
    number, line = at + 1, lines[at].removesuffix("\r").strip(_SPACES)
    if not line or line[0] == "#":
        return None, at + 1
    try:
        if len(line) <= MAX_LINE:
            if _PLAIN.fullmatch(line) and line.isascii():
                return _plain(number, line, unit_ns), at + 1
            end = _end_of_texts(line, lines, at)
            if end > at:
                line = "\n".join([line, *lines[at + 1 : end + 1]])
                line = line.removesuffix("\r").rstrip(_SPACES)
                at = end
        if len(line) > MAX_LINE:
            raise ValueError(f"the line has more than {MAX_LINE:,} characters")
        if not line.isascii() and _NOT_UTF8.search(line):
            raise ValueError("the line is not UTF-8 text")
        return _any(number, line, unit_ns), at + 1
    except ValueError as error:
        why = f"a text does not end on this line: {error}" if at + 1 > number else str(error)
        return BadLine(number, why, line[:200]), at + 1


def split_head(line: str) -> tuple[str, str, str]:
    """Split a line at its first space that is not escaped, as `str.partition` does."""
    if (match := _HEAD.match(line)) is None:
        return "", "", line
    return match[0], line[match.end() : match.end() + 1], line[match.end() + 1 :]


def head_of(head: str) -> tuple[str, dict[str, str]]:
    """Return the measurement and the tags of a line's head. Raises ValueError."""
    match = _NAME.match(head)
    if match is None:
        raise ValueError("the measurement is missing")
    name, more = match.groups()
    at = match.end()
    tags: dict[str, str] = {}
    while more:
        found = _TAG.match(head, at)
        if found is None:
            raise ValueError(f"a tag is not name=value: {head[at : at + 60]}")
        tag, value, more = found.groups()
        at = found.end()
        if _unescaped(tag) in tags:
            raise ValueError(f"the tag {tag} is there twice")
        tags[_unescaped(tag)] = _unescaped(value)
    return _unescaped(name), tags


def _plain(number: int, line: str, unit_ns: int) -> Line:
    head, said, *time = line.split(" ")
    fields: list[tuple[str, Value]] = []
    for pair in said.split(","):
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise ValueError(f"a field is not name=value: {pair[:60]}")
        fields.append((name, _value(value)))
    return Line(number, head, fields, time_of(time[0], unit_ns) if time else None)


def _any(number: int, line: str, unit_ns: int) -> Line:
    head, space, rest = split_head(line)
    if not head or not space:
        raise ValueError("the line has no fields")
    rest = rest.lstrip(" ")
    fields: list[tuple[str, Value]] = []
    at = 0
    while found := _FIELD.match(rest, at):
        name, value, more = found.groups()
        fields.append((_unescaped(name), _value(value)))
        at = found.end()
        if not more:
            break
    else:
        raise ValueError(f"a field is not name=value: {rest[at : at + 60]}")
    time = rest[at:].strip(" ")
    return Line(number, head, fields, time_of(time, unit_ns) if time else None)


def _end_of_texts(line: str, lines: Sequence[str], at: int) -> int:
    """Return the place of the line on which the texts end that a line has begun."""
    size = len(line)
    is_open = _quotes(split_head(line)[2]) % 2 == 1
    most = min(len(lines) - 1, at + _MAX_TEXT_LINES)
    while is_open and at < most and size <= MAX_LINE:
        at += 1
        size += 1 + len(lines[at])
        is_open = _quotes(lines[at][:MAX_LINE]) % 2 == 0
    return at


def _quotes(text: str) -> int:
    """Return the number of quotes that no backslash escapes."""
    return _PAIR.sub("", text).count('"')


def _value(text: str) -> Value:
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ValueError(f"the number {text[:60]} is too large")
        return value
    if _INTEGER.fullmatch(text):
        if len(text) > _LONGEST_INTEGER or int(text[:-1]) not in _INTEGERS[text[-1]]:
            raise ValueError(f"the integer {text[:60]} has more than 64 bits")
        return float(text[:-1])
    if text in BOOLEANS:
        return BOOLEANS[text]
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return _QUOTED.sub(r"\1", text[1:-1])
    raise ValueError(f"{text[:60]} is neither a number, a truth value nor a text in quotes")


def time_of(text: str, unit_ns: int) -> datetime:
    """Return the time of a timestamp. Raises ValueError."""
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError(f"the timestamp {text[:60]} is not an integer")
    if len(text) > _LONGEST_INTEGER or (ns := int(text) * unit_ns) not in NANOSECONDS:
        raise ValueError(f"the timestamp {text[:60]} is out of range; is the precision right?")
    return _EPOCH + timedelta(microseconds=ns // 1000)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
