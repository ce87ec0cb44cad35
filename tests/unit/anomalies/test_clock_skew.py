"""clock_skew: timestamps against arrival."""

from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest

from fleetmeter.anomalies.evaluation.decide import evaluate_clocks
from fleetmeter.anomalies.model import (
    Change,
    ClockSample,
    Device,
    Subject,
)
from fleetmeter.anomalies.rules.clock_skew import ClockState
from fleetmeter.anomalies.rules.shared.state import DeviceState
from fleetmeter.anomalies.thresholds.rulebook import Override, Rulebook
from tests.unit.anomalies.fleet import START, meter

DEVICE = Device(meter("M"), "S", 60)


def looked_at(
    skew_s: Callable[[int], float],
    minutes: Iterable[int],
    states: dict[Subject, DeviceState] | None = None,
    rulebook: Rulebook | None = None,
) -> list[Change]:
    """Changes; by the minute in which the newest reading came, how much older it was."""
    states = {} if states is None else states
    changes: list[Change] = []
    for minute in minutes:
        seen = START + timedelta(minutes=minute)
        sample = ClockSample(DEVICE, seen - timedelta(seconds=skew_s(minute)), seen)
        outcome = evaluate_clocks([sample], seen, states, rulebook or Rulebook())
        changes += outcome.changes
    return changes


@pytest.mark.parametrize(
    ("skew_s", "opens"), [(299, False), (301, True), (-59, False), (-61, True), (0, False)]
)
def test_five_minutes_behind_or_one_ahead(skew_s: float, opens: bool) -> None:
    changes = looked_at(lambda minute: skew_s, range(60))
    assert bool(changes) == opens
    if opens:
        (change,) = changes
        assert (change.kind, change.site) == ("clock_skew", "S")
        assert (change.started_at, change.at) == (START, START + timedelta(minutes=30))
        assert change.evidence["skewS"] == skew_s


def test_half_an_hour_and_three_readings_are_needed() -> None:
    assert looked_at(lambda minute: 900, range(30)) == []
    assert looked_at(lambda minute: 900, (0, 40)) == []
    assert len(looked_at(lambda minute: 900, (0, 20, 40))) == 1


def test_a_backlog_is_no_clock() -> None:
    # a day of it, which is sent within two hours
    assert looked_at(lambda minute: 86_400 - 720 * minute, range(110)) == []


def test_a_device_that_sends_nothing_shows_nothing_new() -> None:
    states: dict[Subject, DeviceState] = {}
    sample = ClockSample(DEVICE, START - timedelta(hours=1), START)
    for minute in range(90):
        at = START + timedelta(minutes=minute)
        assert evaluate_clocks([sample], at, states, Rulebook()).changes == []


def test_it_is_over_after_half_an_hour_within_the_limits() -> None:
    states: dict[Subject, DeviceState] = {}
    changes = looked_at(lambda minute: 900 if minute < 60 else 5, range(120), states)
    assert [change.ended_at for change in changes] == [None, START + timedelta(minutes=60)]
    assert changes[1].at == START + timedelta(minutes=90)
    assert states[DEVICE.subject].get(ClockState) is None


def test_a_right_reading_now_and_then_does_not_end_it() -> None:
    skew = lambda minute: 5 if minute > 40 and minute % 10 == 0 else 900  # noqa: E731
    assert [change.ended_at for change in looked_at(skew, range(200))] == [None]


def test_a_healthy_clock_is_not_remembered() -> None:
    states: dict[Subject, DeviceState] = {}
    assert looked_at(lambda minute: 400 if minute == 3 else 2, range(10), states) == []
    assert states == {}


def test_a_rule_that_is_switched_off_is_over() -> None:
    states: dict[Subject, DeviceState] = {}
    looked_at(lambda minute: 900, range(40), states)
    off = Rulebook([Override("clock_skew", "fleet", "", {"enabled": False})])
    changes = looked_at(lambda minute: 900, range(40, 45), states, off)
    assert [change.ended_at is None for change in changes] == [False]
