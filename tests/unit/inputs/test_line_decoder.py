"""A body becomes the same readings however its lines are read, and each item knows its line."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.errors import BatchTooLargeError
from fleetmeter.inputs.line_decoder import LineDecoder
from fleetmeter.inputs.line_shapes import KnownHeads
from fleetmeter.inputs.mapping.load import parse
from fleetmeter.inputs.mapping.rules import Mapping, Untaken
from fleetmeter.readings.decode import Item
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid
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

HEADS = st.sampled_from(["m,t=a", "m,t=b", "m,t=a,v=w", r"m,t=a\ b", "n,t=a", "m", "m,t"])
NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.integers(-(10**6), 10**6).map("{}i".format),
    st.floats(-1e6, 1e6).map(repr),
    st.sampled_from(["true", '"x"', "1e3", "+1", ".5", "1.5i", "", "x", "-", "1.", "7u"]),
)
FIELDS = st.lists(
    st.tuples(st.sampled_from(["e", "p", "c", "x", r"e\ e", ""]), NUMBERS), min_size=1, max_size=4
).map(lambda pairs: ",".join(f"{name}={number}" for name, number in pairs))
TIMES = st.sampled_from(
    ["", " 1700000000", " 1700000060", "  5", " -1", " x", " 99999999999999", " "]
)
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\n\n# x\n"])
BODIES = st.lists(st.tuples(HEADS, st.just(" "), FIELDS, TIMES, ENDS).map("".join), max_size=8).map(
    "".join
)


def decoded(body: str, known: KnownHeads) -> tuple[list[Item], list[int], list[Untaken]]:
    decoder = LineDecoder(MAPPING, known, 1_000_000_000, 1000)
    at_once(decoder.feed(body.encode()))
    return at_once(decoder.finish()), decoder.line_numbers, decoder.untaken


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


@given(body=BODIES)
def test_a_body_is_the_same_when_its_lines_are_known(body: str) -> None:
    known = KnownHeads()
    first = [decoded(line + "\n", KnownHeads()) for line in body.replace("\r\n", "\n").split("\n")]
    for _ in range(2):
        items, numbers, untaken = decoded(body, known)
        assert comparable(items) == comparable([item for each in first for item in each[0]])
        assert numbers == [at for at, each in enumerate(first, 1) for _ in each[0]]
        assert untaken == [one for each in first for one in each[2]]


def test_lines_that_are_known_are_not_parsed_again(monkeypatch: Any) -> None:
    known = KnownHeads()
    decoded("m,t=a e=1.5,p=2i 1700000000\nm,t=a e=1.5", known)

    def parsed(*_: object) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("fleetmeter.inputs.line_decoder.next_line", parsed)
    items, _, _ = decoded("m,t=a e=-7,p=2i 1700000000\nm,t=a e=3.25", known)
    assert [each.kwh_consumed_ac_total for each in items if isinstance(each, Telemetry)] == [
        -0.007,
        0.00325,
    ]


@pytest.mark.parametrize("line", ["", "#", "m,t=a e=1", "n x=1"])
def test_a_body_has_no_more_lines_than_a_batch_has_readings(line: str) -> None:
    decoded(1000 * f"{line}\n", KnownHeads())
    with pytest.raises(BatchTooLargeError):
        decoded(1001 * f"{line}\n", KnownHeads())


def test_long_lines_are_decoded_a_few_at_a_time() -> None:
    decoder = LineDecoder(MAPPING, KnownHeads(), 1, 1000)
    line = "m,t=a " + ",".join(f"{at}=1" for at in range(8000))
    at_once(decoder.feed(b"\n".join(20 * [line.encode()])))
    assert sum(1 for _ in decoder.finish()) >= 10
