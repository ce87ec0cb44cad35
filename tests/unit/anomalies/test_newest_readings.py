"""Evaluating hours again queries history for each device that may be silent only once."""

from datetime import timedelta

from fleetmeter.anomalies.evaluation.newest_readings import NewestReadings
from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.shared.needs import Needs
from tests.unit.anomalies.fleet import Fleet, at, meter, vehicle

MONTH = timedelta(days=30)
BOTH = {meter("M"), vehicle("V")}


def reporting(*hours: tuple[int, int]) -> Fleet:
    """A meter that reports in these hours, and a vehicle that does not."""
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.add_vehicle("V")
    for span in hours:
        fleet.meters_("M", span)
    return fleet


def asked(newest: NewestReadings, fleet: Fleet, number: int) -> set[Subject]:
    """Whose newest reading history is asked for in an hour, of both; it answers."""
    hour = fleet.hour(number)
    newest.turn_to(hour)
    left = newest.left(Needs(BOTH, dict.fromkeys(BOTH, hour.ends - timedelta(hours=2))))
    known = fleet.known(left, hour.ends)
    newest.learn(left.last_times, known.last_times)
    truth = fleet.known(Needs(BOTH), hour.ends).last_times
    assert newest.newest(BOTH, hour.ends - MONTH) == truth
    assert {s for s in BOTH if s in left.readings} == left.last_times | {
        subject for subject, time in truth.items() if time >= hour.ends - timedelta(hours=2)
    }
    return left.last_times


def test_who_is_silent_is_asked_about_once_and_again_after_it_has_reported() -> None:
    fleet, newest = reporting((2, 4), (40, 41)), NewestReadings()
    found = [asked(newest, fleet, number) for number in range(46)]
    assert found[0] == BOTH
    assert [number for number in range(1, 46) if found[number]] == [2, 3, 40]
    assert {subject for each in found[1:] for subject in each} == {meter("M")}


def test_what_was_heard_too_long_ago_is_not_known() -> None:
    fleet, newest = reporting((0, 1)), NewestReadings()
    for number in range(31 * 24):
        asked(newest, fleet, number)
    assert newest.newest(BOTH, at(31 * 24) - MONTH) == {}


def test_everybody_is_asked_about_where_hours_are_left_out() -> None:
    fleet, newest = reporting(), NewestReadings()
    assert [asked(newest, fleet, number) for number in (0, 0, 1, 3, 2)] == [
        *(BOTH, set(), set(), BOTH, BOTH)
    ]
