"""Properties of any fleet: a healthy one has no anomalies; openings and ends alternate."""

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetmeter.anomalies.evaluation.decide import evaluate, needs
from fleetmeter.anomalies.model import (
    AnomalyKind,
    Change,
    Hour,
    MeterHour,
    Subject,
    VehicleHour,
)
from fleetmeter.anomalies.rules.catalogue import CODEC
from fleetmeter.anomalies.rules.shared.needs import Answers
from fleetmeter.anomalies.rules.shared.state import STATE_DAYS, DeviceState
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from tests.conftest import EXAMPLES
from tests.unit.anomalies.fleet import HOUR, Fleet, at

DAYS = 4
TEMPERATURE = "battery_temp_cdeg_"
MEASURED = ("soc_bp_", TEMPERATURE, "voltage_mv_")

T = TypeVar("T", VehicleHour, MeterHour)
Session = tuple[float, float]
Curve = Callable[[float], float]


def efficiency(kw: float, temp_c: float) -> float:
    """Return a healthy charger's efficiency: it loses half a kilowatt, and more in the cold."""
    return max(0.62, min(0.95, 0.988 - 0.52 / kw)) - 0.003 * max(0.0, min(15.0, 12.0 - temp_c))


def healthy(rng: Random) -> Fleet:
    """Vehicles that charge every other day or so, some at a shared meter; any power and season."""
    fleet = Fleet()
    outside_c = rng.uniform(1, 30)
    for bay in range(rng.randint(1, 3)):
        site = f"S{bay % 2}"
        fleet.add_meter(f"M{bay}", site, rng.choice([60, 60, 300]))
        curves = []
        for number in range(rng.choice([1, 1, 2])):
            id_ = f"V{bay}-{number}"
            fleet.add_vehicle(id_, site, 60, 60_000)
            rated_kw = rng.choice([2.3, 3.7, 7.4, 11.0, 22.0])
            sessions = []
            for day in range(DAYS):
                if rng.random() < 0.8:
                    begin = 24 * day + rng.uniform(12, 18)
                    sessions.append((begin, begin + rng.uniform(0.3, 7)))
            spread = rng.uniform(-0.015, 0.015)
            curve = _kw(sessions, rated_kw)
            curves.append(curve)
            dc_kw = _delivered(curve, spread, outside_c)
            fleet.drives(
                id_,
                (0, 24 * DAYS),
                dc_kw,
                f"M{bay}",
                soc=_soc(sessions, dc_kw),
                temp_c=outside_c,
                late_s=rng.uniform(0, 50),
                keeps=_but(rng, 0.01),
            )
        standby = rng.uniform(0.003, 0.03)
        fleet.meters_(
            f"M{bay}",
            (0, 24 * DAYS),
            _drawn(curves, standby),
            volts=lambda t: 230 + 6 * rng.gauss(0, 1),
            late_s=rng.uniform(0, 50),
            keeps=_but(rng, 0.01),
        )
    return fleet


def _kw(sessions: Sequence[Session], rated_kw: float) -> Curve:
    """Constant current, then less and less for the last half hour."""

    def kw(time: float) -> float:
        for begin, end in sessions:
            if begin <= time < end:
                return rated_kw * max(0.15, min(1.0, (end - time) / 0.5))
        return 0.0

    return kw


def _delivered(curve: Curve, spread: float, outside_c: float) -> Curve:
    """Return the DC that a charger of some efficiency delivers for a curve of AC."""

    def kw(time: float) -> float:
        ac_kw = curve(time)
        return ac_kw * (efficiency(ac_kw, outside_c) + spread) if ac_kw else 0.0

    return kw


def _drawn(curves: Sequence[Curve], standby_kw: float) -> Curve:
    """Return the energy that a meter measures for all its vehicles."""
    return lambda time: sum(curve(time) for curve in curves) + standby_kw


def _soc(sessions: Sequence[Session], dc_kw: Curve) -> Curve:
    """From 20 % by what came since its session began."""
    known: dict[tuple[float, int], float] = {}

    def soc(time: float) -> float:
        for begin, end in sessions:
            if begin <= time < end:
                minutes = int((time - begin) * 60)
                if (begin, minutes) not in known:
                    before = known.get((begin, minutes - 1), 20.0)
                    known[begin, minutes] = before + dc_kw(time) / 60 / 60 * 100
                return known[begin, minutes]
        return 20.0

    return soc


def _but(rng: Random, share: float) -> Callable[[int], bool]:
    return lambda n: rng.random() >= share


@pytest.mark.parametrize("seed", range(3 * EXAMPLES))
def test_a_healthy_fleet_raises_nothing(seed: int) -> None:
    fleet = healthy(Random(seed))  # noqa: S311
    changes = fleet.fold(0, 24 * DAYS - 1)
    assert [(c.kind, c.subject.device_id, c.summary) for c in changes] == []


VEHICLES, METERS, SITES = ("V0", "V1", "V2"), ("M0", "M1"), ("S", None)


@st.composite
def hours(draw: st.DrawFn, number: int) -> Hour:
    """Any rows, whether or not they go together."""
    fleet = Fleet()
    for id_ in VEHICLES:
        fleet.add_vehicle(id_, "S", 60, 50_000)
    for id_ in METERS:
        fleet.add_meter(id_, "S")
    hour = Hour(at(number), at(number + 1), [], [], fleet.devices)
    energy = st.sampled_from([0, 0, 60_000, 5_000_000, 11_000_000])
    has = st.integers(0, 4)
    for id_ in VEHICLES:
        if draw(st.integers(0, 5)):
            low, high = sorted((draw(st.integers(0, 100)), draw(st.integers(0, 100))))
            cold, warm = sorted((draw(st.integers(-20, 60)), draw(st.integers(-20, 60))))
            readings = draw(st.integers(0, 60))
            has_soc = bool(readings and draw(has))
            has_temp = bool(readings and draw(has))
            hour.vehicles.append(
                VehicleHour(
                    hour=hour.starts,
                    vehicle_id=id_,
                    meter_id=draw(st.sampled_from([*METERS, None])),
                    dc_mwh=draw(energy),
                    ac_mwh=draw(energy),
                    comparable=draw(st.booleans()),
                    covered_dc_s=3600,
                    covered_ac_s=3600,
                    readings=readings,
                    resets=0,
                    soc_bp_min=low * 100 if has_soc else None,
                    soc_bp_max=high * 100 if has_soc else None,
                    battery_temp_cdeg_count=60 if has_temp else draw(st.sampled_from([0, None])),
                    battery_temp_cdeg_sum=0 if has_temp else draw(st.sampled_from([0, None])),
                    battery_temp_cdeg_min=cold * 100 if has_temp else None,
                    battery_temp_cdeg_max=warm * 100 if has_temp else None,
                )
            )
    for id_ in METERS:
        if draw(st.integers(0, 5)):
            low, high = sorted((draw(st.integers(200, 260)), draw(st.integers(200, 260))))
            has_voltage = bool(draw(has))
            hour.meters.append(
                MeterHour(
                    hour=hour.starts,
                    meter_id=id_,
                    unattributed_mwh=draw(st.sampled_from([0, 20_000, 300_000, 5_000_000])),
                    covered_dc_s=3600,
                    covered_ac_s=3600,
                    readings=60 if has_voltage else draw(st.sampled_from([0, 60])),
                    resets=0,
                    voltage_mv_count=60 if has_voltage else draw(st.sampled_from([0, None])),
                    voltage_mv_sum=60 * low * 1000 if has_voltage else None,
                    voltage_mv_min=low * 1000 if has_voltage else None,
                    voltage_mv_max=high * 1000 if has_voltage else None,
                )
            )
    return hour


@st.composite
def runs_of_hours(draw: st.DrawFn) -> list[Hour]:
    return [draw(hours(number)) for number in range(draw(st.integers(1, 60)))]


def known(hour: Hour, states: dict[Subject, DeviceState]) -> Answers:
    """No readings; last ones of an hour before."""
    wanted = needs(hour, states, Rulebook())
    return Answers(last_times=dict.fromkeys(wanted.last_times, hour.starts - HOUR))


def fold(given_hours: list[Hour], states: dict[Subject, DeviceState]) -> list[Change]:
    changes: list[Change] = []
    for hour in given_hours:
        outcome = evaluate(hour, known(hour, states), states, Rulebook())
        changes += outcome.changes
    return changes


def stored(states: dict[Subject, DeviceState]) -> dict[Subject, DeviceState]:
    """As it comes back from the database."""
    return {subject: CODEC.decode(CODEC.encode(state)) for subject, state in states.items()}


@settings(max_examples=5 * EXAMPLES)
@given(runs_of_hours(), st.integers(0, 60))
def test_hours_that_are_evaluated_in_two_goes_give_the_same(
    given_hours: list[Hour], split: int
) -> None:
    at_once: dict[Subject, DeviceState] = {}
    changes = fold(given_hours, at_once)
    first: dict[Subject, DeviceState] = {}
    in_two = fold(given_hours[:split], first)
    second = stored(first)
    in_two += fold(given_hours[split:], second)
    assert in_two == changes
    assert second == at_once


@settings(max_examples=5 * EXAMPLES)
@given(runs_of_hours())
def test_what_begins_ends_before_it_begins_again(given_hours: list[Hour]) -> None:
    states: dict[Subject, DeviceState] = {}
    opened: dict[tuple[AnomalyKind, Subject], Change] = {}
    for change in fold(given_hours, states):
        key = change.kind, change.subject
        if change.ended_at is None:
            assert key not in opened
            opened[key] = change
        else:
            began = opened.pop(key)
            assert change.started_at == began.started_at
            assert change.started_at <= change.ended_at <= change.at
    still = {
        (kind, subject)
        for subject, state in states.items()
        for kind, condition in state.conditions.items()
        if condition.open
    }
    assert still == opened.keys()
    assert not any(state == DeviceState() for state in states.values())


OF_MEASUREMENTS: set[AnomalyKind] = {
    "battery_hot",
    "battery_cold_charging",
    "soc_mismatch",
    "voltage_out_of_range",
}


@settings(max_examples=5 * EXAMPLES)
@given(runs_of_hours())
def test_what_nobody_measured_makes_nothing_wrong(given_hours: list[Hour]) -> None:
    def found(hours: list[Hour]) -> set[tuple[AnomalyKind, Subject]]:
        return {(c.kind, c.subject) for c in fold(hours, {}) if c.ended_at is None}

    bare = [without(hour, *MEASURED) for hour in given_hours]
    kinds = {kind for kind, _ in found(bare)}
    assert not kinds & OF_MEASUREMENTS
    # a temperature says how much the cold may have cost; without one it is the most
    untempered = found([without(hour, TEMPERATURE) for hour in given_hours])
    assert {each for each in untempered if each[0] == "efficiency_low"} <= found(given_hours)


def without(hour: Hour, *measured: str) -> Hour:
    """An hour in which nobody measured what begins so."""

    def stripped(row: T) -> T:
        names = [name for name in row.__struct_fields__ if name.startswith(measured)]
        return msgspec.structs.replace(row, **dict.fromkeys(names))

    return msgspec.structs.replace(
        hour,
        vehicles=[stripped(row) for row in hour.vehicles],
        meters=[stripped(row) for row in hour.meters],
    )


@settings(max_examples=5 * EXAMPLES)
@given(runs_of_hours())
def test_what_is_touched_is_what_changed(given_hours: list[Hour]) -> None:
    states: dict[Subject, DeviceState] = {}
    for hour in given_hours:
        before = stored(states)
        outcome = evaluate(hour, known(hour, states), states, Rulebook())
        changed = {s for s in before.keys() | states.keys() if before.get(s) != states.get(s)}
        assert changed <= outcome.touched


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(EXAMPLES))
def test_a_month_before_is_enough_to_know_what_is_wrong(seed: int) -> None:
    """Folding from STATE_DAYS before gives the same open conditions and changes as folding all."""
    rng = Random(seed)  # noqa: S311
    fleet = Fleet()
    fleet.add_vehicle("V", capacity_wh=60_000)
    fleet.add_meter("M")
    usual = rng.uniform(0.85, 0.93)
    given_hours: list[Hour] = []
    rate = usual
    for number in range(24 * 70):
        if number % 24 == 0:
            rate = usual if rng.random() < 0.8 else usual - rng.uniform(0.03, 0.25)
        charging = 10 <= number % 24 < 15 and (number // 24) % 3 < 2
        dc_mwh = round(11e6 * rate) if charging else 0
        hour = Hour(at(number), at(number + 1), [], [], fleet.devices)
        hour.vehicles.append(
            VehicleHour(
                hour=hour.starts,
                vehicle_id="V",
                meter_id="M",
                dc_mwh=dc_mwh,
                ac_mwh=11_000_000 if charging else 0,
                comparable=True,
                covered_dc_s=3600,
                covered_ac_s=3600,
                readings=60,
                resets=0,
                soc_bp_min=5000,
                soc_bp_max=5000,
                battery_temp_cdeg_count=60,
                battery_temp_cdeg_sum=60 * 2000,
                battery_temp_cdeg_min=2000,
                battery_temp_cdeg_max=2000,
            )
        )
        standby = rng.choice([10_000, 300_000]) if (number // 24) % 9 == 0 else 10_000
        hour.meters.append(
            MeterHour(
                hour=hour.starts,
                meter_id="M",
                unattributed_mwh=0 if charging else standby,
                covered_dc_s=3600,
                covered_ac_s=3600,
                readings=60,
                resets=0,
                voltage_mv_count=60,
                voltage_mv_sum=60 * 230_000,
                voltage_mv_min=230_000,
                voltage_mv_max=230_000,
            )
        )
        given_hours.append(hour)
    for begin in (0, 24 * 7, 24 * 20 + 5):
        all_along: dict[Subject, DeviceState] = {}
        fold(given_hours[: begin + STATE_DAYS * 24], all_along)
        later: dict[Subject, DeviceState] = {}
        fold(given_hours[begin : begin + STATE_DAYS * 24], later)
        rest = given_hours[begin + STATE_DAYS * 24 :]
        assert _states(fold(rest, all_along)) == _states(fold(rest, later))
        assert _open(all_along) == _open(later)


def _states(changes: list[Change]) -> list[tuple[AnomalyKind, Subject, bool]]:
    return [(c.kind, c.subject, c.ended_at is None) for c in changes]


def _open(states: dict[Subject, DeviceState]) -> set[tuple[AnomalyKind, Subject]]:
    return {
        (kind, subject)
        for subject, state in states.items()
        for kind, condition in state.conditions.items()
        if condition.open
    }
