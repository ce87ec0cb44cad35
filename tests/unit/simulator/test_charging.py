"""Charging batteries, with worked numbers."""

import pytest

from fleetmeter_simulator.devices.charging import ac_kw, efficiency, heating_k


@pytest.mark.parametrize(
    ("kw", "arrives"),
    [
        (2.3, 0.760),  # 1 - 0.0124 - 0.5234 / 2.3
        (3.7, 0.846),
        (7.4, 0.917),
        (11.0, 0.940),
        (22.0, 0.950),
        (1.0, 0.620),  # a trickle: not 0.464
    ],
)
def test_more_arrives_of_more_power(kw: float, arrives: float) -> None:
    assert efficiency(kw, 20) == pytest.approx(arrives, abs=0.0005)


def test_a_cold_battery_costs_two_points_for_ten_kelvin_and_three_at_most() -> None:
    warm = efficiency(11, 10)
    assert warm - efficiency(11, 0) == pytest.approx(0.02)
    assert warm - efficiency(11, -10) == pytest.approx(0.03)


def test_current_is_constant_until_the_knee_and_power_falls_off_behind_it() -> None:
    assert ac_kw(11, 0) == pytest.approx(10.56)
    assert ac_kw(11, 0.4) == pytest.approx(10.78)
    assert ac_kw(11, 0.8) == pytest.approx(11)
    assert ac_kw(11, 0.9) == pytest.approx(4.047, abs=0.001)  # 11 / e
    assert ac_kw(11, 1.0) == pytest.approx(1.489, abs=0.001)  # 11 / e²
    assert ac_kw(2.3, 0.89) == pytest.approx(2.299, abs=0.001)  # a socket never reaches it


def test_preheating_warms_a_battery_of_60_kwh_by_a_third_of_a_kelvin_a_minute() -> None:
    assert heating_k(2 / 60, 60) == pytest.approx(0.309, abs=0.001)
