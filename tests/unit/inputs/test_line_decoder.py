"""A body becomes the same readings however its lines are read, and each item knows its line."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.errors import BatchTooLargeError
from fleetmeter.inputs.known_lines import KnownHeads
from fleetmeter.inputs.line_decoder import LineDecoder
from fleetmeter.inputs.line_protocol import BadLine, head_of, next_line
from fleetmeter.inputs.line_shapes import Shape
from fleetmeter.inputs.mapping.load import parse
from fleetmeter.inputs.mapping.rules import Mapping, Untaken
from fleetmeter.intake.batch_columns import columns_of
from fleetmeter.intake.reading_groups import GroupedPart, GroupedReadings
from fleetmeter.readings.decode import Item
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Bounds, Invalid
from fleetmeter.slices import at_once

RULES = """
[[rules]]
measurement = "m"
where = { t = "*" }
meterId = "{t}"
[rules.fields]
kwhConsumedAcTotal = { field = "e", unit = "Wh" }
powerKw = "p"
[[rules]]
measurement = "m"
where = { v = "*" }
vehicleId = "{v}"
meterId = "{t}"
[rules.fields]
batteryTemp = { field = "c", unit = "°F" }
"""
MAPPING = Mapping(parse(RULES, "rules"))

HEADS = st.sampled_from(
    [
        *("m,t=a", "m,t=b", "m,t=a,v=w", r"m,t=a\ b", r"m,t=a\,b,v=w\\", 'm,t="', "n,t=a", "m"),
        *("m,t", "#", "", " m,t=a"),
    ]
)
NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.integers(-(10**6), 10**6).map("{}i".format),
    st.integers(-(2**64), 2**64).map("{}i".format),
    st.floats(-1e6, 1e6).map(repr),
    st.sampled_from(["true", "F", "1e3", "+1", ".5", "1.5i", "", "x", "-", "1.", "7u", "0" * 30]),
    st.sampled_from(['"x"', '"a b, c=d"', '"two\nlines"', r'"\""', '"', '"never ends', '"\n']),
)
FIELDS = st.lists(
    st.tuples(st.sampled_from(["e", "p", "c", "x", r"e\ e", ""]), NUMBERS), min_size=1, max_size=4
).map(lambda pairs: ",".join(f"{name}={number}" for name, number in pairs))
TIMES = st.sampled_from(
    ["", " 1700000000", " 1700000060", "  5", " -1", " x", " 9223372036", " 9223372037", " ", ' 1"']
)
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\n\n# x\n"])
BODIES = st.lists(st.tuples(HEADS, FIELDS).map(" ".join), min_size=1, max_size=4).flatmap(
    lambda points: st.lists(
        st.tuples(st.sampled_from(points), TIMES, ENDS).map("".join), max_size=12
    ).map("".join)
)
"""Points come again with other times, as those of known lines do."""


def decoded(body: str, known: KnownHeads) -> tuple[list[Item], list[int], Counter[Untaken]]:
    return decoded_bytes(body.encode(), known)


def decoded_bytes(body: bytes, known: KnownHeads) -> tuple[list[Item], list[int], Counter[Untaken]]:
    decoder = LineDecoder(MAPPING, known, 1_000_000_000, 1000)
    at_once(decoder.feed(body))
    return list(at_once(decoder.finish())), decoder.line_numbers, decoder.untaken


def comparable(items: list[Item]) -> list[Any]:
    """Items without their time of arrival."""
    shown: list[Any] = []
    for item in items:
        if isinstance(item, Invalid):
            shown.append((item.code, item.detail))
        else:
            assert item.timestamp is not None
            recent = abs((datetime.now(UTC) - item.timestamp).total_seconds()) < 60
            values = [getattr(item, name) for name in item.__struct_fields__[:-1]]
            shown.append((*values, "now" if recent else item.timestamp))
    return shown


def parsed(body: str) -> tuple[list[Item], list[int], Counter[Untaken]]:
    """What a body has, line by line, without anything that is known."""
    items: list[Item] = []
    numbers: list[int] = []
    untaken: list[Untaken] = []
    lines, at = body.split("\n"), 0
    while at < len(lines):
        line, at = next_line(lines, at, 1_000_000_000)
        if line is None:
            continue
        found: list[Item] = []
        try:
            if isinstance(line, BadLine):
                at = line.number  # no others are lost with it
                raise ValueError(line.why)
            series = MAPPING.series(*head_of(line.head))
            found += series.readings(line.fields, line.time or datetime.now(UTC), untaken)
        except ValueError as error:
            found.append(Invalid("malformed", str(error)))
        items += found
        numbers += [line.number] * len(found)
    return items, numbers, Counter(untaken)


@given(body=BODIES, longest=st.sampled_from([200, 2**16]))
def test_a_body_is_the_same_when_its_lines_are_known(body: str, longest: int) -> None:
    known = KnownHeads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fleetmeter.inputs.line_decoder._PIECE", longest)
        patch.setattr("fleetmeter.inputs.line_decoder._GROUPED", 1)
        patch.setattr("fleetmeter.inputs.line_protocol.MAX_LINE", longest)
        items, numbers, untaken = parsed(body)
        for _ in range(3):
            found = decoded(body, known)
            assert comparable(found[0]) == comparable(items)
            assert found[1:] == (numbers, untaken)
            assert all(found[2].values())


def test_known_lines_that_are_within_a_text_leave_nothing() -> None:
    known = KnownHeads()
    many = [f"m,t=a e={number} {1_700_000_000 + number}" for number in range(300)]
    within = "m,t=b p=1,x=2 1700000000"
    decoded("\n".join([*many[:9], *[within] * 9]), known)
    decoder = LineDecoder(MAPPING, known, 1_000_000_000, 1000)
    at_once(decoder.feed("\n".join([*many, 'y z="', within, '"']).encode()))
    readings = at_once(decoder.finish())
    bounds = Bounds(datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
    assert isinstance(readings, GroupedReadings)
    for part in readings.parts:
        assert isinstance(part, GroupedPart)
        assert not columns_of(part, bounds).wrong.any()
    assert dict(decoder.untaken) == {Untaken("no_rule", "y"): 1}


@pytest.mark.parametrize(
    ("line", "another"),
    [
        ("m,t=a e=1.5,p=2i 1700000000", "m,t=a e=-7000,p=20000i 1700000060"),
        ("m,t=a e=1.5", "m,t=a e=-7000"),
        (r"m,t=a\ b\,c e=1.5 1", r"m,t=a\ b\,c e=-7000 2"),
        ('m,t=a x="on, off",e=1.5,c=t 1', 'm,t=a x="",e=-7000,c=false 2\r'),
        ("m,t=a x=1u,e=2,y=true", "m,t=a x=2u,e=-7000,y=F"),
    ],
)
def test_lines_that_are_known_are_not_parsed_again(
    line: str, another: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KnownHeads()
    decoded("\n".join([line] * 4), known)

    def parsed_again(*_: object) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("fleetmeter.inputs.line_decoder.next_line", parsed_again)
    items, _, _ = decoded("\n".join([another] * 4), known)
    assert [each.kwh_consumed_ac_total for each in items if isinstance(each, Telemetry)] == [-7] * 4


@pytest.mark.parametrize("between", ["", "# comment", "n x=1"])
def test_many_known_lines_are_handed_on_by_columns(between: str) -> None:
    known = KnownHeads()
    lines = [f"m,t=a e={n} {n}" for n in range(500)]
    decoded("\n".join(lines), known)
    decoder = LineDecoder(MAPPING, known, 1_000_000_000, 1000)
    at_once(decoder.feed("\n".join([*lines[:100], between, *lines[100:], ""]).encode()))
    items = at_once(decoder.finish())
    assert isinstance(items, GroupedReadings)
    assert [each.kwh_consumed_ac_total for each in items] == [n / 1000 for n in range(500)]
    assert decoder.line_numbers == [*range(1, 101), *range(102, 502)]


def test_senders_of_ever_new_fields_have_few_shapes_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(Shape):
        def __init__(self, *of: Any) -> None:
            super().__init__(*of)
            made.append(of)

    monkeypatch.setattr("fleetmeter.inputs.known_lines.Shape", Counted)
    decoded("\n".join(f"m,t=a e=1,x{n}=1" for n in range(500)), KnownHeads())
    assert len(made) == 20


def test_many_heads_are_remembered_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetmeter.inputs.known_lines._MOST_HEADS", 100)
    known = KnownHeads()
    heads = [f"m,t=d{n}" for n in range(1000)]
    items, _, _ = decoded("\n".join(f"{head} e=1" for head in heads), known)
    assert len(items) == 1000
    assert 50 <= sum(known.get(head) is not None for head in heads) <= 100


def test_what_is_not_taken_is_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetmeter.inputs.line_decoder._MOST_UNTAKEN", 10)
    _, _, untaken = decoded("\n".join(f"n{n % 50} e=1" for n in range(500)), KnownHeads())
    assert untaken[Untaken("no_rule", "(others)")] == 400
    assert untaken.total() == 500


@pytest.mark.parametrize("line", ["", "#", "m,t=a e=1", "n x=1"])
def test_a_body_has_no_more_lines_than_a_batch_has_readings(line: str) -> None:
    decoded(1000 * f"{line}\n", KnownHeads())
    with pytest.raises(BatchTooLargeError):
        decoded(1001 * f"{line}\n", KnownHeads())


@pytest.mark.parametrize("turns", [1, 3])
def test_a_line_that_is_not_utf8_costs_no_other(turns: int) -> None:
    lines = [b"m,t=a e=1000 1", b"m,t=\xe4 e=1000 1", b'm,t=b e=1000,x="\xb0C" 1', b"# \xb0"]
    known = KnownHeads()
    for _ in range(turns):
        items, numbers, _ = decoded_bytes(
            b"\n".join([*lines, b'm,t=c x="on', b'\xb0",e=1 1']), known
        )
        assert [getattr(item, "meter_id", None) for item in items] == ["a", None, None, None, None]
        assert numbers == [1, 2, 3, 5, 6]
        refused = [item for item in items if isinstance(item, Invalid)]
        assert "not UTF-8" in refused[0].detail
        assert refused[0].sent == lines[1]


def test_a_body_may_begin_with_a_byte_order_mark() -> None:
    items, _, _ = decoded("\ufeffm,t=a e=1 1", KnownHeads())
    assert [getattr(item, "meter_id", None) for item in items] == ["a"]


def test_a_text_without_end_takes_no_other_line_with_it() -> None:
    body = 'm,t=a e=1,x="5" tube" 1\nm,t=b e=2 1\nm,t=c e=3 1'
    items, numbers, _ = decoded(body, KnownHeads())
    assert [getattr(item, "meter_id", None) for item in items] == [None, "b", "c"]
    assert numbers == [1, 2, 3]


def test_many_texts_without_end_are_read_again_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fleetmeter.inputs.line_decoder._MOST_AGAIN", 100)
    items, numbers, _ = decoded('m" e="\n' * 900 + "m,t=a e=1", KnownHeads())
    refused = [item.detail for item in items if isinstance(item, Invalid)]
    assert len(refused) == len(numbers) <= 3
    assert refused[-1].endswith("lines after it are lost with it, send these again")


def test_long_lines_are_decoded_a_few_at_a_time() -> None:
    decoder = LineDecoder(MAPPING, KnownHeads(), 1, 1000)
    line = "m,t=a " + ",".join(f"{at}=1" for at in range(8000))
    at_once(decoder.feed(b"\n".join(20 * [line.encode()])))
    assert sum(1 for _ in decoder.finish()) >= 10
