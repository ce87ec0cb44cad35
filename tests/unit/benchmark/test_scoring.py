"""Scoring: what of the truth was found, and what was found that is not so. Worked by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetmeter.anomalies.model import Subject
from fleetmeter_benchmark.scoring import OpenedAnomaly, Scored, evident_at, score, together
from fleetmeter_simulator.faults.kinds import Acceptable, Charged, Fault

BEGIN = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
EV = Subject("vehicle", "EV-1")


def fault(kind: Any = "efficiency_low", hours: float = 48, **fields: Any) -> Fault:
    return Fault(
        **{
            "kind": kind,
            "variant": None,
            "cause": None,
            "subject": EV,
            "site": "SITE-1",
            "meter_id": "MTR-1",
            "vehicle_ids": ["EV-1"],
            "bystanders": [],
            "start": BEGIN,
            "end": BEGIN + hours * HOUR,
            "numbers": {},
        }
        | fields
    )


def found(kind: Any = "efficiency_low", at: float = 10, **fields: Any) -> OpenedAnomaly:
    return OpenedAnomaly(
        **{
            "kind": kind,
            "device_kind": EV.device_kind,
            "device_id": EV.device_id,
            "cause": None,
            "started_at": BEGIN + at * HOUR,
            "detected_at": BEGIN + (at + 2) * HOUR,
            "ended_at": BEGIN + (at + 20) * HOUR,
        }
        | fields
    )


def charged(begin: float, end: float, dc_kwh: float, soc_gain: float = 10) -> Charged:
    return Charged("EV-1", BEGIN + begin * HOUR, BEGIN + end * HOUR, dc_kwh, soc_gain)


def line(
    kind: str,
    faults: Sequence[Fault],
    acceptable: Sequence[Acceptable],
    told: Sequence[OpenedAnomaly],
) -> Scored:
    return next(each for each in score(faults, acceptable, told, {}) if each.kind == kind)


def test_a_fault_that_was_found_counts_for_recall_and_precision() -> None:
    scored = line("efficiency_low", [fault(charged=[charged(6, 9, 8)])], [], [found()])
    assert (scored.recall, scored.precision) == (1, 1)
    assert scored.delays_h == [3.0]  # known at 9 h, told at 12 h
    assert scored.in_time == 0


def test_what_nobody_put_in_is_wrong_and_what_nobody_found_is_missed() -> None:
    of_another = found(device_id="EV-2")
    scored = line("efficiency_low", [fault()], [], [of_another])
    assert (scored.recall, scored.precision) == (0, 0)
    assert len(scored.missed) == len(scored.wrong) == 1


@pytest.mark.parametrize(("at", "right"), [(48, 1), (49, 1), (49.5, 0), (-21, 1), (-21.5, 0)])
def test_an_anomaly_explains_a_fault_when_they_overlap_within_an_hour(
    at: float, right: int
) -> None:
    assert line("efficiency_low", [fault()], [], [found(at=at)]).right == right


def test_what_is_acceptable_is_neither_right_nor_wrong() -> None:
    acceptable = Acceptable("efficiency_low", EV, BEGIN, BEGIN + 48 * HOUR, "")
    scored = line("efficiency_low", [], [acceptable], [found()])
    assert (scored.anomalies, scored.right, scored.wrong) == (0, 0, [])


def test_a_consequence_of_another_fault_is_neither_right_nor_wrong() -> None:
    scored = line("efficiency_drop", [fault()], [], [found("efficiency_drop")])
    assert (scored.anomalies, scored.faults) == (0, 0)
    scored = line("battery_hot", [fault()], [], [found("battery_hot")])
    assert scored.wrong


def test_causes_count_where_the_rule_names_them() -> None:
    faults = [fault("dc_exceeds_ac", cause="wrong_meter")]
    right = line("dc_exceeds_ac", faults, [], [found("dc_exceeds_ac", cause="wrong_meter")])
    wrong = line("dc_exceeds_ac", faults, [], [found("dc_exceeds_ac", cause="unknown")])
    assert (right.causes, right.causes_right) == (1, 1)
    assert (wrong.causes, wrong.causes_right) == (1, 0)
    assert line("efficiency_low", [fault()], [], [found()]).causes is None


@pytest.mark.parametrize(
    ("kind", "sessions", "hours"),
    [
        ("efficiency_low", [charged(1, 3, 9), charged(3, 5, 4.9), charged(5, 8, 5)], 8),
        ("dc_exceeds_ac", [charged(1, 2, 4.9), charged(5, 8, 5)], 8),
        ("soc_mismatch", [charged(1, 2, 9, 19), charged(5, 8, 9, 20)], 8),
        ("battery_cold_charging", [charged(1, 1.2, 9), charged(5, 8, 9)], 8),
        ("efficiency_low", [charged(-1, 2, 9), charged(5, 8, 9)], 8),  # the first is not all of it
        ("battery_hot", [], 1 / 6),
        ("meter_silent", [], 0.5),
        ("standby_loss", [], 7),  # the first hour is not whole
        ("standby_loss", [charged(2.5, 3.5, 9)], 9),
    ],
)
def test_evidence_is_complete_when_enough_was_seen(
    kind: str, sessions: list[Charged], hours: float
) -> None:
    assert evident_at(fault(kind, charged=sessions), 60) == BEGIN + hours * HOUR


def test_several_fleets_add_up() -> None:
    hit = score([fault(charged=[charged(6, 9, 8)])], [], [found()], {})
    miss = score([fault()], [], [], {})
    both = next(each for each in together([hit, miss]) if each.kind == "efficiency_low")
    assert (both.faults, both.recalled, both.recall, both.delay_h) == (2, 1, 0.5, 3.0)
