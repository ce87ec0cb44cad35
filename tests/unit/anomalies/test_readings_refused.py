"""readings_refused: when it opens, when it is over, and how many there are at most."""

from datetime import UTC, datetime, timedelta

import pytest

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.readings_refused import Lasting, Refused, judge
from fleetmeter.anomalies.thresholds.rulebook import Override, Rulebook

AT = datetime(2026, 11, 29, 11, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES = Rulebook()


def refused(minutes: float, id_: str = "M", accepted_at: datetime | None = None) -> Refused:
    since = AT - MINUTE * minutes
    return Refused("meter", id_, "S", since, AT, 61, "in_future", "timestamp is ahead", accepted_at)


def lasting(
    is_over: bool | None, last_at: datetime | None = None, accepted_at: datetime | None = None
) -> Lasting:
    return Lasting("meter", "M", "S", AT - 60 * MINUTE, last_at, accepted_at, is_over)


@pytest.mark.parametrize(("minutes", "opens"), [(59.9, False), (60, True), (5000, True)])
def test_an_hour_of_refusals_opens(minutes: float, opens: bool) -> None:
    changes = judge([refused(minutes)], [], AT, RULES)
    assert len(changes) == opens
    for change in changes:
        assert (change.kind, change.subject) == ("readings_refused", Subject("meter", "M"))
        assert (change.site, change.ended_at) == ("S", None)
        assert change.started_at == AT - MINUTE * minutes
        assert "61 readings of M were refused" in change.summary
        assert "none accepted: timestamp is ahead" in change.summary
        assert (change.evidence["code"], change.evidence["refused"]) == ("in_future", 61)


def test_a_device_of_which_others_are_accepted_is_told_as_well() -> None:
    (change,) = judge([refused(61, accepted_at=AT)], [], AT, RULES)
    assert "none accepted" not in change.summary


def test_what_is_told_is_not_told_again() -> None:
    assert judge([refused(90)], [lasting(False, AT)], AT, RULES) == []


def test_it_is_over_at_the_last_refusal_when_readings_are_accepted() -> None:
    last_at = AT - 16 * MINUTE
    (change,) = judge([], [lasting(True, last_at, AT)], AT, RULES)
    assert (change.ended_at, change.summary) == (last_at, "its readings are accepted again")


@pytest.mark.parametrize("last_at", [AT - timedelta(hours=26), None])
def test_it_is_over_when_nothing_is_refused_any_more(last_at: datetime | None) -> None:
    """None: what was counted has been dropped."""
    (change,) = judge([], [lasting(None if last_at is None else True, last_at)], AT, RULES)
    assert change.summary == "nothing was refused for 25 hours"
    assert change.ended_at is not None
    assert change.ended_at >= change.started_at


def test_thresholds_are_those_of_the_device() -> None:
    of_site = Rulebook([Override("readings_refused", "site", "S", {"minutes": 10})])
    assert len(judge([refused(11)], [], AT, of_site)) == 1
    off = Rulebook([Override("readings_refused", "meter", "M", {"enabled": False})])
    assert judge([refused(90)], [], AT, off) == []
    (change,) = judge([refused(90)], [lasting(False, AT)], AT, off)
    assert change.summary == "the rule was switched off"


def test_made_up_ids_do_not_flood() -> None:
    many = [refused(90, f"made-up-{n}") for n in range(1000)]
    assert len(judge(many, [lasting(False, AT)], AT, RULES)) == 199
