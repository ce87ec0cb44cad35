"""Readings that come one after another at a moment are one."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.inputs.mapping.topics import Arriving
from fleetmeter.inputs.mqtt.stamps import Gathering, Stamps, rounded_down
from fleetmeter.readings.telemetry import Telemetry

AT = datetime(2026, 3, 2, 10, 0, 0, 250_000, tzinfo=UTC)
WHOLE = AT.replace(microsecond=0)


def arriving(device: str = "A", **values: float) -> Arriving:
    return Arriving(Telemetry(meter_id=device, **values), 1)


def after(ms: int) -> datetime:
    return AT + timedelta(milliseconds=ms)


def test_values_of_one_second_have_one_time() -> None:
    stamps, gathering = Stamps(), Gathering()
    for ms, each in ((0, arriving(power_kw=7)), (30, arriving(voltage=230))):
        gathering.add(stamps.stamp(each, after(ms)))
    assert gathering.readings == [Telemetry(meter_id="A", power_kw=7, voltage=230, timestamp=WHOLE)]


def test_a_second_value_within_the_second_is_a_reading_of_its_own() -> None:
    stamps = Stamps()
    first = stamps.stamp(arriving(power_kw=7), AT)
    same = stamps.stamp(arriving(power_kw=7), after(100))
    other = stamps.stamp(arriving(power_kw=8), after(200))
    next_ = stamps.stamp(arriving(power_kw=9), after(900))
    times = [each.timestamp for each in (first, same, other, next_)]
    assert times == [WHOLE, WHOLE, after(200), WHOLE + timedelta(seconds=1)]


def test_an_earlier_message_that_comes_again_has_its_time_and_changes_nothing() -> None:
    stamps = Stamps()
    stamps.stamp(arriving(power_kw=7), after(2000))
    assert stamps.stamp(arriving(power_kw=6), AT).timestamp == WHOLE
    assert stamps.stamp(arriving(power_kw=8), after(2100)).timestamp == after(2100)


def test_ids_that_are_too_long_are_not_remembered() -> None:
    stamps = Stamps()
    for power in (7, 8):
        assert stamps.stamp(arriving("A" * 101, power_kw=power), AT).timestamp == WHOLE
    assert stamps.stamp(arriving("A" * 64, power_kw=7), AT).timestamp == WHOLE
    assert stamps.stamp(arriving("A" * 64, power_kw=8), AT).timestamp == AT


def test_readings_that_contradict_each_other_stay_apart() -> None:
    gathering = Gathering()
    for power in (7, 8):
        gathering.add(Telemetry(meter_id="A", power_kw=power, timestamp=WHOLE))
    gathering.add(Telemetry(meter_id="A", session_id="S", voltage=230, timestamp=WHOLE))
    assert len(gathering.readings) == 3


@pytest.mark.parametrize(
    "refused",
    [
        {"kwh_consumed_ac_total": -5.0},
        {"kwh_consumed_ac_total": 1e10},
        {"kwh_exported_ac": float("inf")},
    ],
)
def test_an_energy_that_will_be_refused_costs_no_other_value(refused: dict[str, float]) -> None:
    for order in (1, -1):
        gathering = Gathering()
        readings = [
            Telemetry(meter_id="A", timestamp=WHOLE, **values)
            for values in (refused, {"power_kw": 7})[::order]
        ]
        for each in readings:
            gathering.add(each)
        assert gathering.readings == readings


def test_interval_energy_and_a_register_of_one_moment_stay_apart() -> None:
    gathering = Gathering()
    gathering.add(Telemetry(meter_id="A", kwh_consumed_ac=0.5, timestamp=WHOLE))
    gathering.add(Telemetry(meter_id="A", kwh_consumed_ac_total=7, timestamp=WHOLE))
    gathering.add(Telemetry(meter_id="A", voltage=230, timestamp=WHOLE))
    assert len(gathering.readings) == 2


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from([0.001, 0.5, 1, 7, 60, 3600]))
def test_times_are_rounded_down(time: datetime, resolution_s: float) -> None:
    rounded = rounded_down(time, resolution_s)
    assert timedelta(0) <= time - rounded < timedelta(seconds=resolution_s)
    assert rounded_down(rounded, resolution_s) == rounded


def test_ids_that_cannot_be_are_not_remembered() -> None:
    stamps = Stamps()
    for number in range(10):
        arriving = Arriving(Telemetry(meter_id=f"{number}" * 60_000, power_kw=1.0), 1.0)
        stamps.stamp(arriving, datetime(2026, 1, 1, tzinfo=UTC))
    assert not stamps._latest
