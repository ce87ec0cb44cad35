"""Registers of a simulated fleet show what real ones do, and count all the same."""

from datetime import timedelta
from itertools import pairwise

from fleetmeter.readings.model import EPOCH
from fleetmeter.simulate.registers import Register
from tests.property.registers import Rule, derive

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
