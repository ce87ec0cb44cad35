"""register_unstable."""

from collections.abc import Callable

import pytest

from fleetmeter.anomalies.evaluate import Memory
from fleetmeter.anomalies.model import Change, Subject
from tests.unit.anomalies.fleet import Fleet, at, meter, of


def read(
    falls: Callable[[int], bool],
    last: int = 48,
    memories: dict[Subject, Memory] | None = None,
    until: float | None = None,
) -> list[Change]:
    """`falls`: in which minutes the register does."""
    fleet = Fleet()
    fleet.add_meter("M")
    fleet.meters_("M", (0, until or last), resets=falls)
    return of("register_unstable", fleet.fold(0, last, memories))


@pytest.mark.parametrize(("falls", "opens"), [(3, False), (4, True)])
def test_four_falls_within_a_day(falls: int, opens: bool) -> None:
    changes = read(lambda n: n % 300 == 299 and n < falls * 300, last=24)
    assert bool(changes) == opens
    if opens:
        (change,) = changes
        assert (change.subject, change.at, change.started_at) == (meter("M"), at(20), at(4))
        assert change.evidence["falls"] == 4


def test_one_fall_a_day_is_an_exchange_or_a_restart() -> None:
    assert read(lambda n: n % 1440 == 700, last=10 * 24) == []


def test_it_is_over_after_a_day_without() -> None:
    memories: dict[Subject, Memory] = {}
    opened, cleared = read(lambda n: n < 100 and n % 20 == 19, memories=memories)
    assert (opened.at, cleared.at, cleared.ended_at) == (at(2), at(26), at(2))
    assert memories[meter("M")].falls == []


def test_while_it_is_silent_it_is_not_over() -> None:
    assert len(read(lambda n: n < 100 and n % 20 == 19, until=3)) == 1
