"""register_unstable."""

import pytest

from fleetmeter.anomalies.model import Change, Falls, Subject
from fleetmeter.anomalies.rules.register_unstable import RegisterState
from fleetmeter.anomalies.rules.shared.state import DeviceState
from tests.unit.anomalies.fleet import Fleet, at, meter, of


def read(
    falls: dict[int, Falls],
    last: int = 48,
    states: dict[Subject, DeviceState] | None = None,
    until: float | None = None,
) -> list[Change]:
    """`falls`: by the hour."""
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.meters_("M", (0, until or last))
    fleet.falls = {(meter("M"), at(hour)): each for hour, each in falls.items()}
    return of("register_unstable", fleet.fold(0, last, states))


@pytest.mark.parametrize(("hours", "opens"), [((4, 9, 14), False), ((4, 9, 14, 19), True)])
@pytest.mark.parametrize("kind", ["dips", "flutters", "resets"])
def test_four_falls_within_a_day(hours: tuple[int, ...], opens: bool, kind: str) -> None:
    changes = read({hour: Falls()._replace(**{kind: 1}) for hour in hours}, last=24)
    assert bool(changes) == opens
    if opens:
        (change,) = changes
        assert (change.subject, change.at, change.started_at) == (meter("M"), at(20), at(4))
        assert (change.evidence["falls"], change.evidence[kind]) == (4, 4)
        assert f"({kind} 4)" in change.summary


def test_the_evidence_says_how_many_of_each() -> None:
    falls = {3: Falls(2, 0, 1), 5: Falls(1, 1, 0)}
    (change,) = read(falls, last=24)
    assert [change.evidence[each] for each in ("falls", "dips", "flutters", "resets")] == [
        *(5, 3, 1, 1)
    ]
    assert "5 times since 2026-03-02 03:00 UTC (dips 3, flutters 1, resets 1)" in change.summary


def test_one_fall_a_day_is_a_restart() -> None:
    assert read({24 * day + 11: Falls(resets=1) for day in range(10)}, last=10 * 24) == []


def test_it_is_over_after_a_day_without() -> None:
    states: dict[Subject, DeviceState] = {}
    opened, cleared = read({0: Falls(dips=3), 1: Falls(resets=2)}, states=states)
    assert (opened.at, cleared.at, cleared.ended_at) == (at(2), at(26), at(2))
    assert states[meter("M")].get(RegisterState) is None


def test_while_it_is_silent_it_is_not_over() -> None:
    assert len(read({0: Falls(dips=3), 1: Falls(resets=2)}, until=3)) == 1
