"""soc_mismatch: energy against the gain in state of charge."""

from collections.abc import Callable

import pytest

from fleetmeter.anomalies.model import Change
from tests.unit.anomalies.fleet import Fleet, at, between, of

MINUTE = 1 / 60


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
