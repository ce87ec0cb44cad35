"""An open anomaly is revised when later readings show another cause."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.incidents.lifecycle import Terms, over, resolved, steps_of
from fleetmeter.anomalies.incidents.reconcile import reconciled, stretches_of
from fleetmeter.anomalies.model import Change, Subject

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = T0 + 48 * HOUR
TERMS = Terms("warning", 24 * HOUR)

OPENED = Change(
    "dc_exceeds_ac",
    Subject("vehicle", "V"),
    None,
    T0 + 2 * HOUR,
    T0,
    None,
    "nothing explains it",
    {"dcKwh": 11.4},
    "unknown",
)
REVISED = msgspec.structs.replace(
    OPENED,
    at=T0 + 6 * HOUR,
    summary="5 hours too early",
    evidence={"offsetS": -18000},
    cause="clock_offset",
    revises=True,
)
CLOSED = msgspec.structs.replace(OPENED, at=T0 + 30 * HOUR, ended_at=T0 + 28 * HOUR)


def opened() -> Anomaly:
    (step,) = steps_of([OPENED], [], lambda change: TERMS, NOW)
    return msgspec.structs.replace(step.anomaly, id=7)


def revise(stored: list[Anomaly]) -> list[tuple[str, str | None]]:
    steps = steps_of([REVISED], stored, lambda change: TERMS, NOW)
    return [(step.event, step.anomaly.cause) for step in steps]


def test_an_open_anomaly_gets_the_cause_and_keeps_its_times() -> None:
    before = opened()
    (step,) = steps_of([REVISED], [before], lambda change: TERMS, NOW)
    assert step.event == "updated"
    assert step.anomaly == msgspec.structs.replace(
        before,
        cause="clock_offset",
        summary="5 hours too early",
        evidence={"offsetS": -18000},
    )


def test_what_is_not_known_or_is_over_is_not_revised() -> None:
    assert revise([]) == []
    assert revise([over(opened(), T0 + 3 * HOUR, NOW, None).anomaly]) == []


def test_what_a_person_has_settled_stays_so_and_gets_the_cause() -> None:
    settled = resolved(opened(), "anna", None, NOW)
    assert settled is not None
    (step,) = steps_of([REVISED], [settled.anomaly], lambda change: TERMS, NOW)
    assert (step.anomaly.status, step.anomaly.cause) == ("resolved", "clock_offset")


def test_opened_and_revised_at_once_are_two_events() -> None:
    steps = steps_of([OPENED, REVISED, CLOSED], [], lambda change: TERMS, NOW)
    assert [step.event for step in steps] == ["opened", "updated", "resolved"]
    assert steps[-1].anomaly.cause == "clock_offset"


def test_a_stretch_has_what_was_said_last() -> None:
    (stretch,) = stretches_of([OPENED, REVISED, CLOSED])[("dc_exceeds_ac", OPENED.subject)]  # type: ignore[index]
    assert (stretch.opening.cause, stretch.opening.at) == ("clock_offset", OPENED.at)
    assert (stretch.said_at, stretch.ended_at) == (REVISED.at, CLOSED.ended_at)


@pytest.mark.parametrize(
    ("since_h", "events"),
    [(0, ["updated"]), (4, ["updated"]), (8, [])],
)
def test_hours_that_are_evaluated_again_show_the_cause(since_h: int, events: list[str]) -> None:
    steps = reconciled(
        [opened()],
        [OPENED, REVISED],
        T0 + since_h * HOUR,
        lambda key: True,
        lambda change: TERMS,
        NOW,
    )
    assert [step.event for step in steps] == events
    assert {step.anomaly.cause for step in steps} <= {"clock_offset"}
