"""What a request body becomes: readings in stored units, and an outcome for each item."""

import contextlib
import json
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.errors import BatchTooLargeError, MalformedBodyError
from fleetmeter.readings.decode import BatchDecoder
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.model import microseconds, time_of
from fleetmeter.slices import at_once
from tests.support.readings import AT, METER, VEHICLE, decoded, judged, rejection

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def test_a_vehicle_reading_is_stored_as_whole_numbers() -> None:
    (reading,) = decoded(VEHICLE).readings
    assert (reading.kind.name, reading.id) == ("vehicle", "EV-1")
    assert (reading.time, reading.energy_mwh) == (microseconds(AT), 1_200_000)
    assert reading.values == (7200, 3600, *[None] * (len(reading.values) - 2))
    assert reading[4:7] == (None, None, None)


def test_a_meter_reading_is_stored_as_whole_numbers() -> None:
    (reading,) = decoded(METER).readings
    assert (reading.kind.name, reading.id) == ("meter", "MTR-1")
    assert (reading.time, reading.energy_mwh) == (microseconds(AT), 1_500_000)
    assert reading.values == (230_000, *[None] * (len(reading.values) - 1))
    assert reading[4:7] == (None, None, None)


def test_values_are_rounded_to_the_nearest_unit() -> None:
    (reading,) = decoded(
        VEHICLE | {"kwhDeliveredDc": 0.0000016, "soc": 33.336, "batteryTemp": -12.345678}
    ).readings
    assert (reading.energy_mwh, *reading.values[:2]) == (2, 3334, -1235)


def test_a_batch_mixes_both_kinds_and_ignores_unknown_fields() -> None:
    batch = decoded([METER | {"firmware": {"version": [1, 2]}}, VEHICLE | {"mood": 5}])
    assert len(batch.of("vehicle")) == len(batch.of("meter")) == 1
    assert not batch.rejected


def test_a_vehicle_reading_can_name_its_meter() -> None:
    assert decoded(VEHICLE | {"meterId": "MTR-9"}).readings[0].meter_id == "MTR-9"


@pytest.mark.parametrize("reading", [VEHICLE, METER])
@pytest.mark.parametrize(
    ("start", "before"),
    [
        ("2026-02-09T11:00:00+02:00", timedelta(hours=1)),
        ("2026-02-09T09:59:59.999999Z", timedelta(microseconds=1)),
        ("2025-01-05T10:00:00Z", timedelta(days=400)),
        (None, None),
    ],
)
def test_a_reading_can_say_when_its_interval_began(
    reading: dict[str, Any], start: str | None, before: timedelta | None
) -> None:
    (found,) = decoded([reading | {"intervalStart": start}]).readings
    if before is None:
        assert found.interval_start is None
    else:
        assert found.interval_start == microseconds(AT - before)


def test_null_is_the_same_as_absent() -> None:
    assert decoded(VEHICLE | {"meterId": None}).readings[0].meter_id is None
    assert decoded(METER | {"vehicleId": None, "soc": None}).of("meter")


def test_times_are_kept_in_utc() -> None:
    (reading,) = decoded(METER | {"timestamp": "2026-02-09T15:30:00.25+05:30"}).readings
    assert time_of(reading.time) == AT + timedelta(milliseconds=250)
    assert time_of(reading.time).tzinfo is UTC


@given(
    st.lists(
        st.datetimes(
            min_value=datetime(2025, 1, 8), max_value=datetime(2026, 2, 8), timezones=OFFSETS
        ),
        min_size=1,
    )
)
def test_columns_of_times_are_exact_to_the_microsecond(times: list[datetime]) -> None:
    body = msgspec.json.encode([METER | {"timestamp": time} for time in times])
    assert [time_of(reading.time) for reading in decoded(body, 1000).readings] == times


@given(
    time=st.datetimes(
        min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=OFFSETS
    )
)
def test_a_time_survives_being_counted_in_microseconds(time: datetime) -> None:
    assert time_of(microseconds(time)) == time


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"vehicleId": None}, "unknown_kind", ""),
        ({"voltage": 230}, "contradictory", ""),
        ({"kwhConsumedAc": 1}, "contradictory", ""),
        ({"vehicleId": None, "meterId": "MTR-1"}, "contradictory", ""),
        ({"timestamp": None}, "missing_field", "$.timestamp"),
        ({"vehicleId": ""}, "invalid_id", "$.vehicleId"),
        ({"vehicleId": "a" * 65}, "invalid_id", "$.vehicleId"),
        ({"vehicleId": "EV-1 "}, "invalid_id", "$.vehicleId"),
        ({"vehicleId": "EV-1\n"}, "invalid_id", "$.vehicleId"),
        ({"vehicleId": "Ä"}, "invalid_id", "$.vehicleId"),
        ({"vehicleId": ".."}, "invalid_id", "$.vehicleId"),
        ({"meterId": "M\t1"}, "invalid_id", "$.meterId"),
        ({"vehicleId": 7}, "invalid_type", "$.vehicleId"),
        ({"soc": "72"}, "invalid_type", "$.soc"),
        ({"soc": True}, "invalid_type", "$.soc"),
        ({"kwhDeliveredDc": -0.001}, "out_of_range", "$.kwhDeliveredDc"),
        ({"kwhDeliveredDc": 240_000.001}, "out_of_range", "$.kwhDeliveredDc"),
        ({"kwhReturnedDc": -0.001}, "out_of_range", "$.kwhReturnedDc"),
        ({"kwhDeliveredDcTotal": 5}, "mixed_energy", "$.kwhDeliveredDcTotal"),
        ({"kwhReturnedDc": 1, "kwhReturnedDcTotal": 5}, "mixed_energy", "$.kwhReturnedDcTotal"),
        ({"soc": None, "kwhDeliveredDc": None, "batteryTemp": None}, "missing_field", ""),
        ({"soc": 101, "kwhDeliveredDc": None, "batteryTemp": None}, "out_of_range", "$.soc"),
        ({"timestamp": "2026-02-09T10:00:00"}, "invalid_timestamp", "$.timestamp"),
        ({"timestamp": "yesterday"}, "invalid_timestamp", "$.timestamp"),
        ({"timestamp": 1770631200}, "invalid_timestamp", "$.timestamp"),
        ({"timestamp": "2026-02-09T10:05:31Z"}, "in_future", "$.timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-23:59"}, "in_future", "$.timestamp"),
        ({"timestamp": "2025-01-05T10:00:29Z"}, "too_old", "$.timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+23:59"}, "too_old", "$.timestamp"),
        ({"intervalStart": "2026-02-09T09:00:00"}, "invalid_timestamp", "$.intervalStart"),
        ({"intervalStart": "at nine"}, "invalid_timestamp", "$.intervalStart"),
        ({"intervalStart": 1770627600}, "invalid_timestamp", "$.intervalStart"),
        ({"intervalStart": "2026-02-09T10:00:00Z"}, "out_of_range", "$.intervalStart"),
        ({"intervalStart": "2026-02-09T10:00:01Z"}, "out_of_range", "$.intervalStart"),
        ({"intervalStart": "2025-01-05T09:59:59Z"}, "out_of_range", "$.intervalStart"),
        ({"intervalStart": "0001-01-01T00:00:00+23:59"}, "out_of_range", "$.intervalStart"),
    ],
)
def test_what_cannot_be_true_of_a_vehicle_is_rejected(
    fields: dict[str, Any], code: str, path: str
) -> None:
    assert rejection(VEHICLE | fields) == (code, path)


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"soc": 72}, "contradictory", ""),
        ({"batteryTemp": 20}, "contradictory", ""),
        ({"kwhDeliveredDc": 1}, "contradictory", ""),
        ({"kwhConsumedAc": None, "voltage": None}, "missing_field", ""),
        ({"kwhConsumedAc": 240_001}, "out_of_range", "$.kwhConsumedAc"),
        ({"meterId": " "}, "invalid_id", "$.meterId"),
    ],
)
def test_what_cannot_be_true_of_a_meter_is_rejected(
    fields: dict[str, Any], code: str, path: str
) -> None:
    assert rejection(METER | fields) == (code, path)


@pytest.mark.parametrize(
    ("reading", "fields"),
    [
        (VEHICLE, {"soc": -0.01}),
        (VEHICLE, {"soc": 100.01}),
        (VEHICLE, {"soc": 5838}),
        (VEHICLE, {"batteryTemp": -60.1}),
        (VEHICLE, {"batteryTemp": 215}),
        (VEHICLE, {"soc": 101, "batteryTemp": 151, "powerKw": 1e9}),
        (METER, {"voltage": -1}),
        (METER, {"voltage": 6553.5}),
        (METER, {"voltageL2": 65535}),
    ],
)
def test_what_cannot_be_is_left_out_of_a_reading_that_is_taken(
    reading: dict[str, Any], fields: dict[str, Any]
) -> None:
    (found,) = decoded(reading | fields).readings
    assert [dropped.path for dropped in found.dropped] == [f"$.{field}" for field in fields]
    (without,) = decoded(reading | dict.fromkeys(fields)).readings
    assert found.values == without.values


@pytest.mark.parametrize(
    ("reading", "field"),
    [
        *((VEHICLE, field) for field in VEHICLE if field not in ("vehicleId", "timestamp")),
        *((METER, field) for field in METER if field not in ("meterId", "timestamp")),
    ],
)
@pytest.mark.parametrize("absent", [None, ...])
def test_a_reading_has_what_was_measured(reading: dict[str, Any], field: str, absent: Any) -> None:
    fields = {name: value for name, value in reading.items() if name != field}
    (found,) = decoded(fields | ({field: None} if absent is None else {})).readings
    assert not found.dropped


def test_one_measurement_is_a_reading() -> None:
    for kind in KINDS:
        for each in kind.measurements:
            fields = {kind.id_field: "D-1", "timestamp": "2026-02-09T10:00:00Z"}
            (reading,) = decoded(fields | {each.field: each.example}).readings
            assert reading.energy_mwh is None
            assert not isinstance(each.example, str)
            assert [value for value in reading.values if value is not None] == [
                round(each.example * each.scale)
            ]


@pytest.mark.parametrize(
    "fields",
    [
        {"soc": 0, "kwhDeliveredDc": 0, "batteryTemp": -60},
        {"soc": 100, "kwhDeliveredDc": 240_000, "batteryTemp": 150},
        {"timestamp": "2026-02-09T10:05:30Z"},
        {"timestamp": "2025-01-05T10:00:30Z"},
        {"intervalStart": "2025-01-05T10:00:00Z"},
        {"vehicleId": "a" * 64},
        {"vehicleId": "Az09._:-"},
    ],
)
def test_the_bounds_themselves_are_taken(fields: dict[str, Any]) -> None:
    assert not decoded(VEHICLE | fields).rejected


def test_one_bad_item_never_blocks_another() -> None:
    items: list[Any] = [VEHICLE | {"vehicleId": f"EV-{n}"} for n in range(5)]
    items[1] = items[1] | {"soc": "full"}
    items[3] = 42
    batch = decoded(items)
    assert [reading.id for reading in batch.readings] == ["EV-0", "EV-2", "EV-4"]
    assert [(r.index, r.code) for r in batch.rejected] == [
        (1, "invalid_type"),
        (3, "not_an_object"),
    ]


@pytest.mark.parametrize("item", [42, "x", None, True, [[]]])
def test_an_item_that_is_no_object_is_rejected(item: Any) -> None:
    assert rejection([item])[0] == "not_an_object"


def test_an_empty_array_is_an_empty_batch() -> None:
    assert decoded([]) == ([], [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b'{"soc": NaN}',
        b'{"soc": Infinity}',
        b"[1, 2",
        b'[1, "2]',
        b"[1] 2",
        b"1, 2]",
        b"[1}",
        b"[{},]",
        b"{}{}",
        b"{}\n{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\x1f\x8b\x08",
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        decoded(body)


def test_a_number_too_large_for_a_float_is_not_taken() -> None:
    body = json.dumps(VEHICLE).replace("72", "1e999").encode()
    batch = decoded(body)
    assert batch.rejected
    assert not batch.readings


def test_a_batch_has_a_limit() -> None:
    assert len(decoded([METER] * 100).readings) == 100
    with pytest.raises(BatchTooLargeError, match="more than 100 readings"):
        decoded([METER] * 101)


def test_a_batch_of_many_tiny_items_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(BatchTooLargeError):
        decoded(b"[" + b"1," * 5000 + b"1]")


@pytest.mark.parametrize(
    "poison",
    [
        b'{"vehicleId": "\\ud800"}',
        b'{"x": ' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"vehicleId": "\xff"}',
        b'{"soc": NaN}',
        b'{"soc" 5}',
        b"nonsense",
    ],
)
def test_an_item_that_is_no_json_never_blocks_another(poison: bytes) -> None:
    good = json.dumps(VEHICLE | {"note": 'a ] and a } and a , and a \\" within'}).encode()
    batch = decoded(b"[" + good + b", " + poison + b"," + json.dumps(METER).encode() + b" ] ")
    assert len(batch.of("vehicle")) == len(batch.of("meter")) == 1
    assert [(r.index, r.code) for r in batch.rejected] == [(1, "malformed")]


def test_ndjson_is_a_reading_a_line_whatever_the_pieces() -> None:
    lines = [json.dumps(VEHICLE), "", json.dumps(METER), "garbage", json.dumps({"soc": "x"}), ""]
    body = "\r\n".join(lines).encode()
    expected = [(2, "malformed"), (3, "invalid_type")]
    for size in (1, 7, 50, 10_000):
        decoder = BatchDecoder("ndjson", 100)
        for start in range(0, len(body), size):
            at_once(decoder.feed(body[start : start + size]))
        batch = judged(at_once(decoder.finish()))
        assert len(batch.of("vehicle")) == len(batch.of("meter")) == 1
        assert [(r.index, r.code) for r in batch.rejected] == expected


def test_ndjson_has_the_same_limit() -> None:
    body = b"1\n" * 101
    with pytest.raises(BatchTooLargeError):
        decoded(body, format_="ndjson")


def test_msgpack_has_the_same_outcomes() -> None:
    good = [VEHICLE, METER]
    assert decoded(msgspec.msgpack.encode(VEHICLE), format_="msgpack").readings
    timed = msgspec.msgpack.encode(METER | {"timestamp": AT})
    assert decoded(timed, format_="msgpack").readings
    batch = decoded(msgspec.msgpack.encode([*good, 42, {"soc": "x"}]), format_="msgpack")
    assert len(batch.of("vehicle")) == len(batch.of("meter")) == 1
    assert [(r.index, r.code) for r in batch.rejected] == [
        (2, "not_an_object"),
        (3, "invalid_type"),
    ]
    nan = msgspec.msgpack.encode(VEHICLE | {"soc": float("nan")})
    (reading,) = decoded(nan, format_="msgpack").readings
    assert [dropped.path for dropped in reading.dropped] == ["$.soc"]


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x92\x80", b"\x81\xa1"])
def test_what_is_not_msgpack_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        decoded(body, format_="msgpack")


def test_a_msgpack_array_that_claims_too_much_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(BatchTooLargeError):
        decoded(b"\xdd\xff\xff\xff\xff" + b"\xc0" * 1000, format_="msgpack")


@pytest.mark.parametrize(
    "poison",
    [
        b"\x81\xa7meterId\xa2\xff\xff",  # invalid UTF-8
        b"\x81\xa1x" + b"\x91" * 200 + b"\xc0",
    ],
)
def test_a_msgpack_item_that_cannot_be_decoded_never_blocks_another(poison: bytes) -> None:
    good = msgspec.msgpack.encode(METER)
    batch = decoded(b"\x92" + good + poison, format_="msgpack")
    assert len(batch.of("meter")) == 1
    assert [r.index for r in batch.rejected] == [1]


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b"a" * (1 << 22) + b'", tru]',
        b'["' + b"\\\\" * (1 << 21) + b'", tru]',
        b'["' + b"a" * (1 << 22),
        b"[" * (1 << 22),
        b"[" + b"{}" * (1 << 17),
    ],
)
def test_a_body_that_cannot_be_decoded_takes_no_more_memory_than_it_has(body: bytes) -> None:
    tracemalloc.start()
    with contextlib.suppress(MalformedBodyError):
        decoded(body, max_batch=100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * len(body)
