"""What a request body becomes: rows in stored units, and an outcome for each item."""

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
from fleetmeter.readings.decode import BatchDecoder, Format
from fleetmeter.readings.model import Batch, microseconds, time_of
from fleetmeter.readings.validate import Bounds

NOW = datetime(2026, 2, 9, 10, 0, 30, tzinfo=UTC)
AT = datetime(2026, 2, 9, 10, 0, tzinfo=UTC)
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
BOUNDS = Bounds(NOW - timedelta(days=400), NOW - timedelta(days=400), NOW + timedelta(minutes=5))
VEHICLE = {
    "vehicleId": "EV-1",
    "soc": 72,
    "kwhDeliveredDc": 1.2,
    "batteryTemp": 36,
    "timestamp": "2026-02-09T10:00:00Z",
}
METER = {
    "meterId": "MTR-1",
    "kwhConsumedAc": 1.5,
    "voltage": 230,
    "timestamp": "2026-02-09T10:00:00Z",
}


def decoded(body: Any, max_batch: int = 100, format_: Format = "json") -> Batch:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode(raw, format_, BOUNDS, max_batch)


def decode(body: bytes, format_: Format, bounds: Bounds, max_batch: int) -> Batch:
    decoder = BatchDecoder(format_, bounds, max_batch)
    decoder.feed(body)
    return decoder.finish()


def rejection(body: Any) -> tuple[str, str]:
    batch = decoded(body)
    assert not batch.vehicles
    assert not batch.meters
    assert len(batch.rejected) == 1
    return batch.rejected[0].code, batch.rejected[0].path


def test_a_vehicle_reading_is_stored_as_whole_numbers() -> None:
    assert decoded(VEHICLE).vehicles == [
        ("EV-1", microseconds(AT), 1_200_000, 7200, 3600, None, False)
    ]


def test_a_meter_reading_is_stored_as_whole_numbers() -> None:
    assert decoded(METER).meters == [("MTR-1", microseconds(AT), 1_500_000, 230_000)]


def test_values_are_rounded_to_the_nearest_unit() -> None:
    ((_, _, energy_mwh, soc_bp, battery_temp_cdeg, _, _),) = decoded(
        VEHICLE | {"kwhDeliveredDc": 0.0000016, "soc": 33.336, "batteryTemp": -12.345678}
    ).vehicles
    assert (energy_mwh, soc_bp, battery_temp_cdeg) == (2, 3334, -1235)


def test_a_batch_mixes_both_kinds_and_ignores_unknown_fields() -> None:
    batch = decoded([METER | {"firmware": {"version": [1, 2]}}, VEHICLE | {"odometerKm": 5}])
    assert len(batch.vehicles) == len(batch.meters) == 1
    assert not batch.rejected


def test_a_vehicle_reading_can_name_its_meter() -> None:
    assert decoded(VEHICLE | {"meterId": "MTR-9"}).vehicles[0][5:] == ("MTR-9", True)


def test_null_is_the_same_as_absent() -> None:
    assert decoded(VEHICLE | {"meterId": None}).vehicles[0][5:] == (None, False)
    assert decoded(METER | {"vehicleId": None, "soc": None}).meters


def test_times_are_kept_in_utc() -> None:
    ((_, time, _, _),) = decoded(METER | {"timestamp": "2026-02-09T15:30:00.25+05:30"}).meters
    assert time_of(time) == AT + timedelta(milliseconds=250)
    assert time_of(time).tzinfo is UTC


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
        ({"soc": None}, "missing_field", "$.soc"),
        ({"timestamp": None}, "missing_field", "$.timestamp"),
        ({"kwhDeliveredDc": None}, "missing_field", "$.kwhDeliveredDc"),
        ({"batteryTemp": None}, "missing_field", "$.batteryTemp"),
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
        ({"soc": -0.01}, "out_of_range", "$.soc"),
        ({"soc": 100.01}, "out_of_range", "$.soc"),
        ({"kwhDeliveredDc": -0.001}, "out_of_range", "$.kwhDeliveredDc"),
        ({"kwhDeliveredDc": 1000.001}, "out_of_range", "$.kwhDeliveredDc"),
        ({"batteryTemp": -60.1}, "out_of_range", "$.batteryTemp"),
        ({"batteryTemp": 150.1}, "out_of_range", "$.batteryTemp"),
        ({"timestamp": "2026-02-09T10:00:00"}, "invalid_timestamp", "$.timestamp"),
        ({"timestamp": "yesterday"}, "invalid_timestamp", "$.timestamp"),
        ({"timestamp": 1770631200}, "invalid_timestamp", "$.timestamp"),
        ({"timestamp": "2026-02-09T10:05:31Z"}, "in_future", "$.timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-23:59"}, "in_future", "$.timestamp"),
        ({"timestamp": "2025-01-05T10:00:29Z"}, "too_old", "$.timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+23:59"}, "too_old", "$.timestamp"),
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
        ({"kwhConsumedAc": None}, "missing_field", "$.kwhConsumedAc"),
        ({"voltage": None}, "missing_field", "$.voltage"),
        ({"voltage": 1000.1}, "out_of_range", "$.voltage"),
        ({"voltage": -1}, "out_of_range", "$.voltage"),
        ({"kwhConsumedAc": 1001}, "out_of_range", "$.kwhConsumedAc"),
        ({"meterId": " "}, "invalid_id", "$.meterId"),
    ],
)
def test_what_cannot_be_true_of_a_meter_is_rejected(
    fields: dict[str, Any], code: str, path: str
) -> None:
    assert rejection(METER | fields) == (code, path)


@pytest.mark.parametrize(
    "fields",
    [
        {"soc": 0, "kwhDeliveredDc": 0, "batteryTemp": -60},
        {"soc": 100, "kwhDeliveredDc": 1000, "batteryTemp": 150},
        {"timestamp": "2026-02-09T10:05:30Z"},
        {"timestamp": "2025-01-05T10:00:30Z"},
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
    assert [row[0] for row in batch.vehicles] == ["EV-0", "EV-2", "EV-4"]
    assert [(r.index, r.code) for r in batch.rejected] == [
        (1, "invalid_type"),
        (3, "not_an_object"),
    ]


@pytest.mark.parametrize("item", [42, "x", None, True, [[]]])
def test_an_item_that_is_no_object_is_rejected(item: Any) -> None:
    assert rejection([item])[0] == "not_an_object"


def test_an_empty_array_is_an_empty_batch() -> None:
    assert decoded([]) == Batch([], [], [])


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
    assert not batch.vehicles


def test_a_batch_has_a_limit() -> None:
    assert len(decoded([METER] * 100).meters) == 100
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
    assert len(batch.vehicles) == len(batch.meters) == 1
    assert [(r.index, r.code) for r in batch.rejected] == [(1, "malformed")]


def test_ndjson_is_a_reading_a_line_whatever_the_pieces() -> None:
    lines = [json.dumps(VEHICLE), "", json.dumps(METER), "garbage", json.dumps({"soc": "x"}), ""]
    body = "\r\n".join(lines).encode()
    expected = [(2, "malformed"), (3, "invalid_type")]
    for size in (1, 7, 50, 10_000):
        decoder = BatchDecoder("ndjson", BOUNDS, 100)
        for start in range(0, len(body), size):
            decoder.feed(body[start : start + size])
        batch = decoder.finish()
        assert len(batch.vehicles) == len(batch.meters) == 1
        assert [(r.index, r.code) for r in batch.rejected] == expected


def test_ndjson_has_the_same_limit() -> None:
    body = b"1\n" * 101
    with pytest.raises(BatchTooLargeError):
        decoded(body, format_="ndjson")


def test_msgpack_has_the_same_outcomes() -> None:
    good = [VEHICLE, METER]
    assert decoded(msgspec.msgpack.encode(VEHICLE), format_="msgpack").vehicles
    assert decoded(msgspec.msgpack.encode(METER | {"timestamp": AT}), format_="msgpack").meters
    batch = decoded(msgspec.msgpack.encode([*good, 42, {"soc": "x"}]), format_="msgpack")
    assert len(batch.vehicles) == len(batch.meters) == 1
    assert [(r.index, r.code) for r in batch.rejected] == [
        (2, "not_an_object"),
        (3, "invalid_type"),
    ]
    nan = msgspec.msgpack.encode(VEHICLE | {"soc": float("nan")})
    assert decoded(nan, format_="msgpack").rejected[0].code == "out_of_range"


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
    assert len(batch.meters) == 1
    assert [r.index for r in batch.rejected] == [1]


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b"a" * (1 << 22) + b'", tru]',
        b'["' + b"\\\\" * (1 << 21) + b'", tru]',
        b'["' + b"a" * (1 << 22),
        b"[" * (1 << 22),
        b"[" + b"{}" * (1 << 21),
    ],
)
def test_a_body_that_cannot_be_decoded_takes_no_more_memory_than_it_has(body: bytes) -> None:
    tracemalloc.start()
    with contextlib.suppress(MalformedBodyError):
        decoded(body, max_batch=100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * len(body)


def test_each_kind_has_its_own_oldest_time() -> None:
    bounds = Bounds(NOW, NOW - timedelta(days=1), NOW)
    body = json.dumps([VEHICLE, METER]).encode()
    batch = decode(body, "json", bounds, 10)
    assert len(batch.meters) == 1
    assert [r.code for r in batch.rejected] == ["too_old"]
