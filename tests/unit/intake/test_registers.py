"""Readings of registers: what is taken, what is not, and the energy that follows from them."""

from collections.abc import Collection
from datetime import timedelta
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.intake.registers import advance, derive, gaps, unusual
from fleetmeter.intake.rows import DEVICE, ENERGY, NULL, REGISTER, ROWS, TIME, Matrix
from fleetmeter.intake.writer_cache import INTERVAL, NOTHING, WriterCache
from fleetmeter.intake.writer_cache import REGISTER as REGISTER_KIND
from fleetmeter.readings.model import EPOCH
from tests.support import register_model as model
from tests.support.readings import METER, VEHICLE, decoded, rejection

MILLISECOND = timedelta(milliseconds=1)

VEHICLE_REGISTER = {k: v for k, v in VEHICLE.items() if k != "kwhDeliveredDc"} | {
    "kwhDeliveredDcTotal": 15_000.5
}
METER_REGISTER = {k: v for k, v in METER.items() if k != "kwhConsumedAc"} | {
    "kwhConsumedAcTotal": 1_000_000_000
}


def test_a_reading_of_a_register_has_no_interval_energy() -> None:
    batch = decoded([VEHICLE_REGISTER, METER, METER_REGISTER, VEHICLE])
    assert [(reading.energy_mwh, reading.register_mwh) for reading in batch.readings] == [
        (None, 15_000_500_000),
        (1_500_000, None),
        (None, 10**15),
        (1_200_000, None),
    ]


@pytest.mark.parametrize(
    ("reading", "fields", "code", "path"),
    [
        (VEHICLE_REGISTER, {"kwhDeliveredDc": 1}, "mixed_energy", "$.kwhDeliveredDcTotal"),
        (METER_REGISTER, {"kwhConsumedAc": 0}, "mixed_energy", "$.kwhConsumedAcTotal"),
        (VEHICLE_REGISTER, {"kwhDeliveredDcTotal": -0.1}, "out_of_range", "$.kwhDeliveredDcTotal"),
        (METER_REGISTER, {"kwhConsumedAcTotal": 1e9 + 1}, "out_of_range", "$.kwhConsumedAcTotal"),
        (METER_REGISTER, {"kwhConsumedAcTotal": "12"}, "invalid_type", "$.kwhConsumedAcTotal"),
        (VEHICLE, {"kwhConsumedAcTotal": 1}, "contradictory", ""),
        (METER, {"kwhDeliveredDcTotal": 1}, "contradictory", ""),
        (METER_REGISTER, {"kwhConsumedAcTotal": None, "voltage": None}, "missing_field", ""),
    ],
)
def test_a_register_that_cannot_be_is_rejected(
    reading: dict[str, Any], fields: dict[str, Any], code: str, path: str
) -> None:
    assert rejection(reading | fields) == (code, path)


REGISTERS = st.sampled_from([0, 0, 1, 45, 50, 95, 99, 100, 101, 900, 1200]) | st.integers(0, 3000)
SERIES = st.lists(st.tuples(st.sampled_from([1, 60, 86_400]), REGISTERS), min_size=1, max_size=6)
KWH = 1_000_000


def batch_of(devices: list[list[tuple[int, int]]]) -> Matrix:
    """Readings of registers, by seconds since the one before and kWh; devices count from 1."""
    rows = [
        (number, time * 1_000_000, kwh * KWH)
        for number, series in enumerate(devices, 1)
        for time, kwh in zip(
            accumulate(step for step, _ in series), (v for _, v in series), strict=True
        )
    ]
    batch = np.full((ROWS, len(rows)), NULL, np.int64)
    for row, column in zip((DEVICE, TIME, REGISTER), zip(*rows, strict=True), strict=True):
        batch[row] = column
    return batch


def cache_of(count: int, session: Collection[int] = ()) -> WriterCache:
    """Return the cache of devices that have sent nothing."""
    cache = WriterCache()
    cache.make_room(count)
    cache.energy[:] = NOTHING
    cache.interval_ms[:] = 60_000
    cache.is_session[list(session)] = True
    return cache


@given(st.lists(SERIES, min_size=1, max_size=4), st.sets(st.integers(1, 4)))
def test_what_is_not_unusual_comes_to_the_same_a_column_at_a_time_as_one_by_one(
    devices: list[list[tuple[int, int]]], sessions: set[int]
) -> None:
    rows, cache = batch_of(devices), cache_of(4, sessions)
    plain = ~unusual(rows, cache)
    gap_ms = gaps(rows[DEVICE], rows[TIME], cache.energy_time)
    columns = derive(rows[DEVICE], rows[REGISTER], gap_ms, cache)
    for number in set(rows[DEVICE, plain].tolist()):
        mine = rows[DEVICE] == number
        assert plain[mine].all(), "all of a device or nothing"
        times = [EPOCH + timedelta(microseconds=time) for time in rows[TIME, mine].tolist()]
        values = rows[REGISTER, mine].tolist()
        found = model.derive(list(zip(times, values, strict=True)), model.Rule(number in sessions))
        assert [
            (energy, None if span == NULL else span)
            for energy, span in zip(
                columns["energy_mwh"][mine].tolist(), columns["span_ms"][mine].tolist(), strict=True
            )
        ] == [
            (each.energy, None if each.starts is None else (at - each.starts) // MILLISECOND)
            for at, each in zip(times, found, strict=True)
            if each is not None
        ]
        assert not any(each and each.touched for each in found)
        advance(rows[:, mine], cache)
        highest = values[-1] if number in sessions else max(values)
        assert cache.highest_mwh[number] == highest


@given(st.lists(st.integers(0, 16), min_size=1, max_size=20), st.integers(1, 10**6))
def test_a_register_that_rises_or_flutters_is_not_unusual(rises: list[int], first: int) -> None:
    values = [first + total for total in accumulate(rises)]
    values[-1] -= values[-1] // 11
    rows = batch_of([[(60, value) for value in values]])
    assert not unusual(rows, cache_of(1)).any()


@pytest.mark.parametrize(
    ("values", "is_unusual"),
    [
        ([(60, 100), (60, 90)], False),
        ([(60, 100), (60, 89)], True),
        ([(60, 0), (60, 0)], False),
        ([(60, 0), (60, 1)], True),
        ([(60, 1), (60, 1001), (60, 2001)], False),
        ([(60, 1), (60, 1200)], True),
    ],
)
def test_what_may_be_a_fall_a_placeholder_or_a_jump_is_unusual(
    values: list[tuple[int, int]], is_unusual: bool
) -> None:
    rows = batch_of([values, [(60, 5), (60, 6)]])
    found = unusual(rows, cache_of(2))
    assert found.tolist() == [is_unusual] * len(values) + [False] * 2


def test_a_value_at_the_limit_is_unusual() -> None:
    cache = cache_of(1)
    cache.limit_mwh = np.array([NULL, 7 * KWH])
    assert not unusual(batch_of([[(60, 6)]]), cache).any()
    assert unusual(batch_of([[(60, 7)]]), cache).all()


def test_another_kind_of_energy_is_unusual() -> None:
    cache = cache_of(2)
    cache.energy[1:3] = [REGISTER_KIND, INTERVAL]
    rows = batch_of([[(60, 6), (60, 7)], [(60, 6)]])
    assert unusual(rows, cache).tolist() == [False, False, True]
    rows[ENERGY, 1], rows[REGISTER, 1] = 1, NULL
    assert unusual(rows, cache).tolist() == [True, True, True]
