"""battery_cold_charging: charging below freezing."""

from collections.abc import Callable

import pytest

from fleetmeter.anomalies.model import Change
from tests.unit.anomalies.fleet import Fleet, at, between, of

MINUTE = 1 / 60


def cold(
    temp_c: Callable[[float], float] | float, dc_kw: Callable[[float], float], last: int = 24
) -> list[Change]:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, last), dc_kw, temp_c=temp_c)
    return of("battery_cold_charging", fleet.fold(0, last))


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
