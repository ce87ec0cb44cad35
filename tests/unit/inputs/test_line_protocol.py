"""Line protocol is read as InfluxDB reads it."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.inputs.line_protocol import (
    MAX_LINE,
    PRECISIONS,
    BadLine,
    Line,
    head_of,
    next_line,
)

EXPONENTS = {"v": 1e3, "w": -0.015, "x": 0.5, "y": 1.0, "z": 2.0}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(text: str, unit_ns: int = 1) -> list[Line | BadLine]:
    lines, at, found = text.split("\n"), 0, []
    while at < len(lines):
        line, at = next_line(lines, at, unit_ns)
        found += [line] if line is not None else []
    return found


def one(text: str) -> Line:
    (line,) = read(text)
    assert isinstance(line, Line), line
    return line


@pytest.mark.parametrize(
    ("line", "name", "tags", "fields"),
    [
        ("m v=1", "m", {}, {"v": 1.0}),
        ("m,a=b,c=d v=1,w=2", "m", {"a": "b", "c": "d"}, {"v": 1.0, "w": 2.0}),
        (r"my\ m\,x,a\ b=c\=d\,e v=1", "my m,x", {"a b": "c=d,e"}, {"v": 1.0}),
        (r"m=x,a=b v=1", "m=x", {"a": "b"}, {"v": 1.0}),
        (r"m,path=C:\new\dir v=1", "m", {"path": r"C:\new\dir"}, {"v": 1.0}),
        (r"m,a=b\\ c v=1", "m", {"a": "b\\ c"}, {"v": 1.0}),
        ('m,a="b" v="c d, e=f"', "m", {"a": '"b"'}, {"v": "c d, e=f"}),
        (r'm v="say \"hi\" \\ there \n"', "m", {}, {"v": r'say "hi" \ there \n'}),
        ('m v="one\ntwo",w=1', "m", {}, {"v": "one\ntwo", "w": 1.0}),
        ("m v=12i,w=-3i,x=7u", "m", {}, {"v": 12.0, "w": -3.0, "x": 7.0}),
        ("m v=1e3,w=-1.5E-2,x=.5,y=1.,z=+2", "m", {}, EXPONENTS),
        ("m a=t,b=TRUE,c=false,d=F", "m", {}, {"a": True, "b": True, "c": False, "d": False}),
        (r"m a\ b=1,c\,d=2", "m", {}, {"a b": 1.0, "c,d": 2.0}),
        ("wärme,ort=Köln grad=21", "wärme", {"ort": "Köln"}, {"grad": 21.0}),
        ("m  v=1  5", "m", {}, {"v": 1.0}),
    ],
)
def test_a_line_is_understood(
    line: str, name: str, tags: dict[str, str], fields: dict[str, object]
) -> None:
    found = one(line)
    assert head_of(found.head) == (name, tags)
    assert dict(found.fields) == fields


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("m", "no fields"),
        ("m,a=b", "no fields"),
        ("m v", "not name=value"),
        ("m v=", "neither a number"),
        ("m =1", "not name=value"),
        ("m v=1,", "not name=value"),
        ("m v=abc", "neither a number"),
        ("m v=1_000", "neither a number"),
        ("m v=nan", "neither a number"),
        ("m v=inf", "neither a number"),
        ("m v=1e999", "too large"),
        ("m v=0x10", "neither a number"),
        ("m v=1.5i", "neither a number"),
        ("m v=-1u", "neither a number"),
        ("m v=9223372036854775808i", "64 bits"),
        ("m v=18446744073709551616u", "64 bits"),
        ('m v="abc', "not name=value"),
        ('m v="a"b', "not name=value"),
        ("m v=1 abc", "not an integer"),
        ("m v=1 1.5", "not an integer"),
        ("m v=1 1 2", "not an integer"),
        ("m v=1 99999999999999999999", "out of range"),
        (f"m v=1 {'9' * 5000}", "out of range"),
        (f"m v={'9' * 5000}i", "64 bits"),
        ("m v=1 1_000", "not an integer"),
        ("m v=\u0661", "neither a number"),
    ],
)
def test_what_is_no_line_is_told(line: str, why: str) -> None:
    (bad,) = read(line)
    assert isinstance(bad, BadLine)
    assert why in bad.why
    assert bad.number == 1


@pytest.mark.parametrize(
    "head", [",a=b", "m,", "m,a", "m,a=", "m,=b", "m,a=b=c", "m,a=b,a=c", r"m\,,"]
)
def test_what_is_no_head_is_told(head: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        head_of(head)


def test_comments_blank_lines_and_windows_line_ends_are_passed_over() -> None:
    lines = read("# hello\r\n\r\n  \r\nm v=1 1\r\n   # not a tag\n m v=2 \n")
    assert [(line.number, line.fields) for line in lines if isinstance(line, Line)] == [
        (4, [("v", 1.0)]),
        (6, [("v", 2.0)]),
    ]
    assert len(lines) == 2


def test_lines_after_a_text_of_several_keep_their_numbers() -> None:
    first, bad, last = read('m v="a\n\nb" 1\nbad\nm v=2')
    assert (first.number, bad.number, last.number) == (1, 4, 5)
    assert isinstance(bad, BadLine)


@pytest.mark.parametrize(
    "lines",
    [
        ["m a=" + "1" * MAX_LINE],
        ["m " + "\\" * MAX_LINE],
        ['m a="' + "x" * MAX_LINE + '"'],
        ['m a="' + "x" * 999, *["y" * 999] * 999],
    ],
    ids=["number", "escapes", "text", "text of many lines"],
)
def test_a_line_that_is_too_long_is_refused_by_itself(lines: list[str]) -> None:
    line, at = next_line([*lines, "m a=1"], 0, 1)
    assert isinstance(line, BadLine)
    assert "65,536 characters" in line.why
    while at < len(lines):
        _, at = next_line([*lines, "m a=1"], at, 1)
    assert next_line([*lines, "m a=1"], at, 1)[0] == Line(len(lines) + 1, "m", [("a", 1.0)], None)


def test_a_text_without_end_takes_no_more_than_a_thousand_lines() -> None:
    lines = ['m a="', *[""] * 5000]
    line, at = next_line(lines, 0, 1)
    assert isinstance(line, BadLine)
    assert at == 1001


@pytest.mark.parametrize(("precision", "unit_ns"), PRECISIONS.items())
def test_times_count_the_units_of_the_precision(precision: str, unit_ns: int) -> None:
    count = 1_700_000_000_000_000_000 // unit_ns
    (line,) = read(f"m v=1 {count}", unit_ns)
    assert isinstance(line, Line)
    assert line.time == EPOCH + timedelta(microseconds=count * unit_ns // 1000)


def test_times_before_1970_and_without_a_time() -> None:
    assert one("m v=1 -1500000").time == EPOCH - timedelta(microseconds=1500)
    assert one("m v=1").time is None


NAMES = st.text(st.characters(exclude_characters='\n\r"\\#', exclude_categories=["C"]), min_size=1)
TEXTS = st.text(st.characters(exclude_categories=["C"]) | st.just("\n"))
VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    TEXTS,
    st.integers(-(2**63), 2**63 - 1),
)


def escaped(text: str, characters: str) -> str:
    return "".join(f"\\{c}" if c in characters else c for c in text)


def written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    return '"' + escaped(str(value), '"\\') + '"'


@given(
    points=st.lists(
        st.tuples(
            NAMES,
            st.dictionaries(NAMES, NAMES, max_size=3),
            st.dictionaries(NAMES, VALUES, min_size=1, max_size=4),
            st.none() | st.integers(-(10**9), 4 * 10**9),
        ),
        max_size=5,
    )
)
def test_whatever_is_written_is_read_back(
    points: list[tuple[str, dict[str, str], dict[str, object], int | None]],
) -> None:
    lines = []
    for name, tags, fields, time in points:
        head = ",".join(
            [
                escaped(name, ", "),
                *(f"{escaped(t, ',= ')}={escaped(v, ',= ')}" for t, v in tags.items()),
            ]
        )
        values = ",".join(f"{escaped(n, ',= ')}={written(v)}" for n, v in fields.items())
        lines.append(f"{head} {values}" + ("" if time is None else f" {time}"))
    found = read("\n".join(lines), 1_000_000_000)
    assert len(found) == len(points)
    for line, (name, tags, fields, time) in zip(found, points, strict=True):
        assert isinstance(line, Line), line
        assert head_of(line.head) == (name, tags)
        assert dict(line.fields) == {
            n: float(v) if type(v) is int else v for n, v in fields.items()
        }
        assert line.time == (None if time is None else EPOCH + timedelta(seconds=time))


@given(st.text(st.sampled_from('m,= "\\\n1tia#') | st.characters(), max_size=60))
def test_no_text_raises_anything(text: str) -> None:
    for line in read(text):
        if isinstance(line, Line):
            with suppress(ValueError):
                head_of(line.head)
