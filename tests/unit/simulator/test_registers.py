"""Registers of a simulated fleet show what real ones do, and count all the same."""

from datetime import timedelta
from itertools import pairwise

import pytest

from fleetmeter.readings.model import EPOCH, time_of
from fleetmeter_simulator.devices.counting import Counting
from fleetmeter_simulator.devices.register_profiles import RegisterProfile
from fleetmeter_simulator.devices.registers import Register, SessionCounter
from fleetmeter_simulator.fleet import Fleet
from tests.support.fleet_registers import told
from tests.support.register_model import Exchange, Rule, derive
from tests.support.simulated_fleets import START

BEGIN_MWH = 2_000_000_000
NUMBERS = range(20)


def shown_by(number: int, step_mwh: int, readings: int) -> list[int]:
    register = Register(1, "meter", number)
    return [register.shown(BEGIN_MWH + n * step_mwh) for n in range(readings)]


def test_some_registers_flutter_some_drop_out_and_most_do_neither() -> None:
    idle = [shown_by(number, 200, 20_000) for number in NUMBERS]
    dips = [sum(value < BEGIN_MWH * 0.9 for value in shown) for shown in idle]
    falls = [
        sum(0 < before - after < 1_000_000 for before, after in pairwise(shown)) for shown in idle
    ]
    assert 1 <= sum(count > 0 for count in dips) <= 10
    assert all(count < 80 for count in dips)
    assert 2 <= sum(count > 0 for count in falls) <= 14
    assert all(1000 < count < 3000 for count in falls if count)
    assert any(not dip and not fall for dip, fall in zip(dips, falls, strict=True))


def test_what_they_count_follows_from_what_they_show() -> None:
    charging = [shown_by(number, 180_000, 1200) for number in NUMBERS]
    for shown in charging:
        found = derive([(EPOCH + timedelta(minutes=n), v) for n, v in enumerate(shown)], Rule())
        assert not any(each is None or each.reset for each in found[:-4])
        counted = sum(each.energy for each in found if each is not None)
        assert counted == max(shown) - shown[0]


def test_a_register_that_has_just_begun_shows_it_as_it_is() -> None:
    register = Register(1, "meter", 3)
    assert [register.shown(n) for n in range(5000)] == list(range(5000))


def test_a_coarse_register_shows_the_last_whole_step() -> None:
    register = Register(1, "meter", 0, RegisterProfile(step_mwh=500_000))
    shown = [register.shown(BEGIN_MWH + n * 200_000) for n in range(6)]
    assert [value - BEGIN_MWH for value in shown] == [0, 0, 0, 500_000, 500_000, 1_000_000]
    assert register.resolution_mwh == 499_999


def test_a_placeholder_comes_before_what_is_true() -> None:
    register = Register(1, "meter", 0, RegisterProfile(placeholders=2))
    shown = [(register.shown(BEGIN_MWH), register.is_true) for _ in range(3)]
    assert [is_true for _, is_true in shown] == [False, False, True]
    assert [value for value, _ in shown][:2] == [0, 0]


def test_a_counter_of_sessions_begins_at_zero_with_each_charge() -> None:
    counter = SessionCounter("EV-1", 9)
    charged = [0, 3, 4, 0, 0, 5, 1, 0]
    shown = [(counter.shown(energy), counter.session_id) for energy in charged]
    assert shown == [
        (9, None),
        *((0, "EV-1-1"), (7, "EV-1-1"), (7, None), (7, None)),
        *((0, "EV-1-2"), (6, "EV-1-2"), (6, None)),
    ]


@pytest.mark.slow
def test_what_the_registers_of_a_fleet_count_follows_from_what_they_show() -> None:
    """Coarse, of sessions, with placeholders, exchanged: as far as anybody can know."""
    seed, vehicles, days = 238, 14, 8
    fleet = Fleet(seed, vehicles, START, days)
    registers, _ = told(fleet, days * 24)
    settings = {each.meter_id: each for each in fleet.devices.meters}
    of_sessions = {
        *(each.meter_id for each in fleet.devices.meters if each.register == "session"),
        *(each.vehicle_id for each in fleet.devices.vehicles if each.register == "session"),
    }
    assert of_sessions
    assert any(register.exchanges for register in registers.values())
    for device_id, register in registers.items():
        values = [(time_of(at), value) for at, value in sorted(register.shown.items())]
        stated = [
            Exchange(time_of(each.at_us), each.last_mwh, each.first_mwh)
            for each in register.exchanges
            if each.stated_us is not None
        ]
        rated_kw = settings[device_id].rated_power_kw if device_id in settings else None
        rule = Rule(device_id in of_sessions, None if rated_kw is None else round(rated_kw * 1000))
        counted = sum(each.energy for each in derive(values, rule, stated) if each is not None)
        assert abs(counted - register.truth_mwh) <= register.allowed_mwh, device_id
        assert register.truth_mwh > register.allowed_mwh


@pytest.mark.slow
def test_a_register_that_drops_out_twice_within_a_day_may_be_called_unstable() -> None:
    told, fell = [], []
    for number in NUMBERS:
        register = Counting(1, "meter", number, "M", RegisterProfile(), BEGIN_MWH)
        shown = [register.show(n * 60_000_000, register.add(200)) for n in range(20_000)]
        assert len(register.counted) > 19_000
        told.append(register.unstable)
        # not those that go on from the reading before
        dips = [n for n, value in enumerate(shown) if value < BEGIN_MWH * 0.9]
        fell.append([n for n in dips if n - 1 not in dips])
    assert any(told)
    for pairs, dips in zip(told, fell, strict=True):
        near = [(a, b) for a, b in pairwise(dips) if b - a <= 1440]
        assert set(near) <= {(a // 60_000_000, b // 60_000_000) for a, b in pairs}
        assert all(0 < b - a <= 86_400_000_000 for a, b in pairs)
