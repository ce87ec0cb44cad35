"""battery_hot, battery_cold_charging and soc_mismatch."""

from collections.abc import Callable

import pytest

from fleetmeter.anomalies.model import Change
from tests.unit.anomalies.fleet import Fleet, at, between, of, vehicle

MINUTE = 1 / 60


def warm(temp_c: Callable[[float], float], last: int = 24) -> list[Change]:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, last), temp_c=temp_c)
    return fleet.fold(0, last)


def cold(
    temp_c: Callable[[float], float] | float, dc_kw: Callable[[float], float], last: int = 24
) -> list[Change]:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, last), dc_kw, temp_c=temp_c)
    return of("battery_cold_charging", fleet.fold(0, last))


@pytest.mark.parametrize(("minutes", "opens"), [(10, False), (11, True)])
def test_ten_minutes_from_the_first_hot_reading_to_the_last_are_hot(
    minutes: int, opens: bool
) -> None:
    changes = warm(between(10.2, 10.2 + minutes * MINUTE, 45.0, 30.0))
    opened = [c for c in changes if c.ended_at is None]
    assert bool(opened) == opens
    if opens:
        assert (opened[0].kind, opened[0].subject) == ("battery_hot", vehicle("V"))
        assert opened[0].started_at == at(10.2 + MINUTE)


def test_just_below_45_is_not_hot() -> None:
    assert warm(between(10, 12, 44.99, 30.0)) == []


def test_a_reading_on_the_hour_belongs_to_the_hour_before() -> None:
    # stamped 10:50 to 11:00
    changes = warm(between(10 + 49 * MINUTE, 11, 46.0, 30.0))
    assert [(c.at, c.started_at) for c in changes if c.ended_at is None] == [
        (at(11), at(10 + 50 * MINUTE))
    ]


def test_heat_across_the_hour_counts_as_one() -> None:
    # six minutes on each side
    opened = warm(between(10.9, 11.1, 46.0, 30.0))
    assert [(c.at, c.ended_at is None) for c in opened] == [(at(12), True), (at(12), False)]


def test_a_dip_in_between_begins_anew() -> None:
    def temp_c(time: float) -> float:
        minute = round((time - 10) * 60 - 0.5)
        return 46.0 if 0 <= minute < 18 and minute != 9 else 30.0

    assert warm(temp_c) == []


def test_heat_is_over_ten_minutes_below_42() -> None:
    def temp_c(time: float) -> float:
        return 46.0 if 10 <= time < 11 else 43.0 if 11 <= time < 13.5 else 41.9

    changes = warm(temp_c)
    # before ten o'clock, too, it was below 42
    assert [(c.started_at, c.ended_at) for c in changes] == [
        (at(10 + MINUTE), None),
        (at(10 + MINUTE), at(13.5 + MINUTE)),
    ]


@pytest.mark.parametrize(("minutes", "opens"), [(15, False), (16, True)])
def test_charging_below_freezing_for_a_quarter_of_an_hour(minutes: int, opens: bool) -> None:
    changes = cold(-0.01, between(10.1, 10.1 + minutes * MINUTE, 7.0))
    assert bool(changes) == opens


def test_a_cold_battery_that_does_not_charge_or_is_heated_first_is_healthy() -> None:
    assert cold(-10, lambda t: 0.0) == []
    assert cold(between(10.5, 24, 1.0, -10.0), between(10.4, 14, 7.0)) == []
    assert cold(0.0, between(10, 14, 7.0)) == []


def test_it_is_over_when_it_charges_at_two_degrees() -> None:
    changes = cold(lambda t: -5.0 if t < 10.5 else 1.0 if t < 11.5 else 2.0, between(10, 14, 7.0))
    assert [c.ended_at for c in changes] == [None, at(11.5 + MINUTE)]


def test_it_is_over_a_day_after_the_last_charging() -> None:
    changes = cold(-5.0, between(10, 12, 7.0), last=48)
    assert [(c.at, c.ended_at) for c in changes] == [(at(11), None), (at(36), at(12))]


def session(
    dc_kw: float,
    soc: Callable[[float], float],
    capacity_wh: int | None = 60_000,
    last: int = 24,
    charging: Callable[[float], float] | None = None,
    keeps: Callable[[int], bool] = lambda n: True,
) -> list[Change]:
    fleet = Fleet()
    fleet.add_vehicle("V", capacity_wh=capacity_wh)
    charging = charging or between(10.5, 13.5, dc_kw)
    fleet.drives("V", (0, last), charging, soc=soc, keeps=keeps)
    return of("soc_mismatch", fleet.fold(0, last))


def gains(points: float) -> Callable[[float], float]:
    """From 30 % by so many points from 10:30 to 13:30."""
    return lambda t: 30 + points * min(max((t - 10.5) / 3, 0), 1)


@pytest.mark.parametrize(
    ("points", "ratio"),
    # 10 kW for 3 hours are 30 kWh; 60 kWh × 0.5 are 30
    [(50, None), (42.5, None), (41, 1.22), (62, None), (64, 0.78)],
)
def test_energy_against_the_gain_of_a_session(points: float, ratio: float | None) -> None:
    changes = session(10, gains(points))
    assert bool(changes) == (ratio is not None)
    if ratio is not None:
        (change,) = changes
        assert change.evidence["ratio"] == pytest.approx(ratio, abs=0.02)
        assert (change.at, change.started_at) == (at(15), at(10))


def test_without_a_capacity_or_with_a_small_gain_nothing_is_said() -> None:
    assert session(10, gains(20), capacity_wh=None) == []
    assert session(10, gains(14.5)) == []
    assert len(session(10, gains(16))) == 1


def test_driving_before_and_after_in_the_same_hours_does_not_matter() -> None:
    def soc(time: float) -> float:
        if time < 10.5:
            return 30 + (10.5 - time) * 40  # it arrives
        return gains(50)(time) if time < 13.6 else 80 - (time - 13.6) * 40

    assert session(10, soc, last=15) == []


def test_driving_in_between_is_seen_in_the_readings() -> None:
    # 10:00 to 11:10 and 11:50 to 13:00, and 20 % driven in between
    charging = lambda t: 20.0 if 10 <= t < 11 + 1 / 6 or 11 + 5 / 6 <= t < 13 else 0.0  # noqa: E731

    def soc(time: float) -> float:
        first = min(max(time - 10, 0), 7 / 6) * 20 / 0.6
        second = min(max(time - 11 - 5 / 6, 0), 7 / 6) * 20 / 0.6
        return 20 + first + second - min(max(time - 11 - 1 / 6, 0), 2 / 3) * 30

    assert session(20, soc, charging=charging) == []


def test_readings_that_are_missing_do_not_make_a_mismatch() -> None:
    assert session(10, gains(50), keeps=lambda n: not 600 < n < 800 or n % 3 > 0) == []


def test_it_is_over_with_a_session_that_agrees() -> None:
    def soc(time: float) -> float:
        return gains(38 if time < 24 else 44 if time < 48 else 48)(time % 24)

    changes = session(10, soc, last=72, charging=lambda t: between(10.5, 13.5, 10.0)(t % 24))
    assert [c.ended_at for c in changes] == [None, at(58)]
