"""battery_hot: a battery that is too hot for minutes."""

from collections.abc import Callable

import pytest

from fleetmeter.anomalies.model import Change
from tests.unit.anomalies.fleet import Fleet, at, between, vehicle

MINUTE = 1 / 60


def warm(temp_c: Callable[[float], float], last: int = 24) -> list[Change]:
    fleet = Fleet()
    fleet.add_vehicle("V")
    fleet.drives("V", (0, last), temp_c=temp_c)
    return fleet.fold(0, last)


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
