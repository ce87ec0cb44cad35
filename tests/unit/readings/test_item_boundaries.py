"""A long body is decoded in slices, each of bounded work, as if it were decoded at once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.errors import BatchTooLargeError, MalformedBodyError
from fleetmeter.readings import decode, item_boundaries
from fleetmeter.readings.decode import BatchDecoder, BodyFormat
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid
from fleetmeter.slices import at_once

READING = {"vehicleId": "EV-1", "soc": 72, "timestamp": "2026-02-09T10:00:00Z"}
MOST_AT_A_TIME = 2500


def slices_of(body: bytes, format_: BodyFormat = "json", most: int = 100_000) -> Iterator[int]:
    """Decode a body; how many items each slice added."""
    decoder = BatchDecoder(format_, most)
    items = decoder._items
    before = 0
    for step in (decoder.feed(body), decoder.finish()):
        for _ in step:
            yield len(items) - before
            before = len(items)
    yield len(items) - before


def items_of(body: bytes, format_: BodyFormat = "json") -> list[Any]:
    """Decode a body; readings as they are, and the code of anything else."""
    decoder = BatchDecoder(format_, 100_000)
    at_once(decoder.feed(body))
    items = at_once(decoder.finish())
    return [item.code if isinstance(item, Invalid) else item for item in items]


@contextmanager
def small_slices() -> Iterator[None]:
    """Cut bodies that a test can afford."""
    with (
        patch.object(item_boundaries, "SLICE_BYTES", 40),
        patch.object(item_boundaries, "SLICE_ITEMS", 3),
        patch.object(item_boundaries, "_WINDOW", 16),
        patch.object(decode, "SLICE_BYTES", 40),
        patch.object(decode, "SLICE_ITEMS", 3),
        patch.object(decode, "_ALONE", 2),
    ):
        yield


@pytest.mark.parametrize("format_", ["json", "ndjson", "msgpack"])
@pytest.mark.parametrize("item", [READING, {}, 0, "x", {"soc": "high"}])
def test_a_slice_has_so_many_items_at_most(format_: BodyFormat, item: Any) -> None:
    many = [item] * 20_000
    if format_ == "json":
        body = json.dumps(many, separators=(",", ":")).encode()
    elif format_ == "msgpack":
        body = msgspec.msgpack.encode(many)
    else:
        body = b"\n".join(json.dumps(each).encode() for each in many)
    slices = list(slices_of(body, format_))
    assert sum(slices) == len(many)
    assert max(slices) <= MOST_AT_A_TIME


def test_items_are_counted_before_they_are_worked_on() -> None:
    body = b"[" + b"0," * 1_600_000 + b"0]"
    decoder = BatchDecoder("json", 100_000)
    at_once(decoder.feed(body))
    with pytest.raises(BatchTooLargeError):
        at_once(decoder.finish())
    assert not decoder._items


@pytest.mark.parametrize(
    "body",
    [
        b"[0," + b'"' * (1 << 24),
        b"[0," + b'""' * (1 << 20) + b"]",
        b"[0," + b"[" * (1 << 20),
        b"[0," + b"[]" * (1 << 20) + b"]",
        b'[0,"' + b"\\" * (1 << 20),
        b"[0," + b" " * (1 << 20),
    ],
    ids=["quotes", "strings", "depth", "arrays", "escapes", "spaces"],
)
def test_what_is_no_array_of_readings_is_given_up_soon(body: bytes) -> None:
    steps: list[None] = []
    decoder = BatchDecoder("json", 100_000)
    at_once(decoder.feed(body))
    with pytest.raises(MalformedBodyError):
        steps.extend(decoder.finish())
    assert len(steps) <= len(body) // (16 * 1024) + 1


def test_a_long_item_costs_only_itself() -> None:
    long = b'{"note":"' + b"x" * (2 << 20) + b'"}'
    escaped = b'{"note":"' + b'\\"' * (1 << 20) + b'"}'
    reading = json.dumps(READING).encode()
    body = b"[" + b",".join([reading, long, reading, escaped, b"5", reading]) + b"]"
    items = items_of(body)
    assert [items[place] for place in (1, 3, 4)] == ["malformed", "malformed", "not_an_object"]
    assert all(isinstance(items[place], Telemetry) for place in (0, 2, 5))


@pytest.mark.parametrize("tail", [b",]", b",", b"", b"]]", b"] x", b",,{}]", b"}"])
def test_an_array_that_ends_wrongly_is_malformed_however_long(tail: bytes) -> None:
    reading = json.dumps(READING).encode()
    with pytest.raises(MalformedBodyError), small_slices():
        items_of(b"[" + b",".join([reading] * 10) + tail)


TEXT = st.text(st.sampled_from('a"\\{}[],: \n\u00e9'), max_size=60)
VALUE = st.recursive(
    st.none() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ITEM = st.one_of(
    st.just(READING),
    st.builds(lambda note: READING | {"note": note}, VALUE),
    st.builds(lambda soc: READING | {"soc": soc}, VALUE),
    VALUE,
)


@given(
    st.lists(ITEM, max_size=30), st.sampled_from([None, 1]), st.sampled_from(["json", "msgpack"])
)
def test_slices_change_nothing(items: list[Any], indent: int | None, format_: BodyFormat) -> None:
    if format_ == "json":
        body = json.dumps(items, indent=indent, ensure_ascii=bool(indent)).encode()
    else:
        body = msgspec.msgpack.encode(items)
    whole = items_of(body, format_)
    with small_slices():
        assert items_of(body, format_) == whole
    assert len(whole) == len(items)


@given(st.binary(max_size=200), st.sampled_from(["json", "ndjson", "msgpack"]))
def test_rubbish_is_refused_or_rejected_in_slices_too(rubbish: bytes, format_: BodyFormat) -> None:
    for body in (
        rubbish,
        b"[" + rubbish,
        b'[{},{},{},{},"' + rubbish,
        b"\xdd\x00\x00\x00\x09" + rubbish,
    ):
        with suppress(MalformedBodyError, BatchTooLargeError):
            items_of(body, format_)
        with suppress(MalformedBodyError, BatchTooLargeError), small_slices():
            items_of(body, format_)
