"""Rejected readings are counted in bounded memory, whatever was sent."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example as example_of
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.errors import DatabaseUnavailableError
from fleetmeter.intake import rejection_counter
from fleetmeter.intake.arrivals import arrival_times
from fleetmeter.intake.rejection_counter import (
    MOST_EXAMPLE,
    MOST_ID,
    Key,
    RejectionCounter,
    device_of,
    example,
)
from fleetmeter.readings.decode import BatchDecoder
from fleetmeter.readings.model import Rejection
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Invalid
from fleetmeter.slices import at_once

NOW = datetime(2026, 11, 29, 14, 30, tzinfo=UTC)


class Stored(RejectionCounter):
    """A counter that stores into a list, unless the database is away."""

    def __init__(self) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.rows: list[dict[Key, Any]] = []
        self.is_away = False

    async def _store(self, counts: dict[Key, Any]) -> None:
        if self.is_away:
            raise DatabaseUnavailableError("away")
        self.rows.append(counts)


def meter(id_: str) -> Telemetry:
    return Telemetry(meter_id=id_, kwh_consumed_ac=-1.0, timestamp=NOW)


def rejected(count: int, code: str = "out_of_range") -> list[Rejection]:
    return [Rejection(index, code, "it cannot be") for index in range(count)]


def flushed(counter: Stored) -> dict[Key, int]:
    asyncio.run(counter.flush())
    return {key: each.count for key, each in counter.rows.pop().items()}


def test_refusals_are_counted_by_device_and_code() -> None:
    counter = Stored()
    for _ in range(3):
        counter.note([meter("A"), meter("B")], rejected(2))
    counter.note([meter("A")], rejected(1, "in_future"))
    assert flushed(counter) == {
        Key("meter", "A", "out_of_range"): 3,
        Key("meter", "B", "out_of_range"): 3,
        Key("meter", "A", "in_future"): 1,
    }
    asyncio.run(counter.flush())
    assert counter.rows == [], "nothing new is not stored"


def test_what_cannot_be_stored_is_kept_and_added() -> None:
    counter = Stored()
    counter.is_away = True
    for _ in range(2):
        counter.note([meter("A")], rejected(1))
        with pytest.raises(DatabaseUnavailableError):
            asyncio.run(counter.flush())
    counter.is_away = False
    counter.note([meter("A")], rejected(1))
    assert flushed(counter) == {Key("meter", "A", "out_of_range"): 3}


def test_made_up_ids_take_no_more_than_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection_counter, "MOST_KEYS", 10)
    counter = Stored()
    counter.note([meter(f"made-up-{n}") for n in range(100)], rejected(100))
    counts = flushed(counter)
    assert len(counts) == 11
    assert counts[Key("", "", "out_of_range")] == 90


def test_the_log_gets_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(rejection_counter._log, "warning", lambda _, **what: said.append(what))
    clock = [1000.0]
    monkeypatch.setattr(rejection_counter, "monotonic", lambda: clock[0])
    counter = Stored()
    for seconds in (0, 2, 30, 59, 61, 62):
        clock[0] = 1000.0 + seconds
        counter.note([meter("A"), meter("B\n")], rejected(2))
        asyncio.run(counter.flush())
    assert [(each["readings"], each["devices"]) for each in said] == [(2, 2), (8, 2)]
    assert said[1]["most"][0] == "meter A: 4 out_of_range"
    assert "\n" not in str(said)


@pytest.mark.parametrize(
    ("body", "device"),
    [
        (b'[{"meterId":"M-1","kwhConsumedAc":NaN}]', ("meter", "M-1")),
        (b'[{"meterId":"M-1","kwhConsumedAc":"4"}]', ("meter", "M-1")),
        (b'[{"vehicleId" : "E 1","meterId":"M","soc":"4"}]', ("vehicle", "E 1")),
        (b'[{"meterId":7,"kwhConsumedAc":"4"}]', ("", "")),
        (b"[7]", ("", "")),
        (b'["meterId"]', ("", "")),
        (b'[{"soc":"4"}]', ("", "")),
    ],
)
def test_the_device_of_an_item_that_cannot_be_decoded(body: bytes, device: tuple[str, str]) -> None:
    decoder = BatchDecoder("json", 10)
    at_once(decoder.feed(body))
    (item,) = at_once(decoder.finish())
    assert isinstance(item, Invalid)
    assert device_of(item) == device


@pytest.mark.parametrize("sent", ["5", "true", "x", "[1]"])
def test_the_example_of_what_is_not_an_object_is_as_it_was_sent(sent: str) -> None:
    item = Invalid("not_an_object", "")
    item.sent = sent.encode()
    assert example(item) == sent


def test_the_device_of_an_item_of_messagepack() -> None:
    decoder = BatchDecoder("msgpack", 10)
    at_once(decoder.feed(msgspec.msgpack.encode([{"meterId": "M-1", "kwhConsumedAc": "4"}])))
    (item,) = at_once(decoder.finish())
    assert device_of(item) == ("meter", "M-1")
    assert example(item) == '{"meterId":"M-1","kwhConsumedAc":"4"}'


def test_an_example_is_what_was_sent() -> None:
    assert example(meter("A")) == (
        '{"meterId":"A","kwhConsumedAc":-1.0,"timestamp":"2026-11-29T14:30:00Z"}'
    )


@given(st.text(), st.binary())
@example_of("", b"\xd4\x00\x00")  # an extension of MessagePack
@example_of("", b"\x81\xc4\x01a\x01")  # a key of bytes
@example_of("", b"\x81\x90\x01")  # and one that is a list
def test_whatever_was_sent_is_short_and_can_be_stored_and_shown(text: str, sent: bytes) -> None:
    invalid = Invalid("malformed", "it cannot be")
    invalid.sent = sent
    texts = [(device_of(meter(text))[1], MOST_ID), (device_of(invalid)[1], MOST_ID)]
    texts += [(example(invalid), MOST_EXAMPLE)]
    for shown, most in texts:
        assert len(shown) <= most
        assert shown.isascii()
        assert shown.isprintable()


times = st.lists(
    st.integers(0, 50).map(lambda minutes: NOW + timedelta(days=365, minutes=minutes)),
    min_size=1,
    max_size=20,
)


@given(times)
def test_readings_that_arrive_together_keep_what_lies_between_them(sent: list[datetime]) -> None:
    found = arrival_times(sent, NOW)
    assert max(found) == NOW
    assert len(set(found)) == len(found), "each has a time of its own"
    offset = max(sent) - NOW
    for clock, time in zip(sent, found, strict=True):
        assert timedelta() <= clock - offset - time < timedelta(seconds=1)
    order = sorted(range(len(sent)), key=lambda place: (sent[place], place))
    assert [found[place] for place in order] == sorted(found), "in the order of the clock"


def test_of_a_long_item_only_the_beginning_is_looked_at() -> None:
    decoder = BatchDecoder("json", 10)
    long = b'{"meterId":"M-1","soc":"' + b"x" * 1_000_000 + b'"}'
    at_once(decoder.feed(b"[" + long + b',{"meterId":"M-2","soc":"4"}]'))
    first, second = at_once(decoder.finish())
    assert isinstance(first, Invalid)
    assert len(first.sent) < 20_000
    assert (device_of(first), device_of(second)) == (("meter", "M-1"), ("meter", "M-2"))
    assert len(example(first)) <= MOST_EXAMPLE
