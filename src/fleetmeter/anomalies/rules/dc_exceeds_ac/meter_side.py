"""Finds faults of a meter at which more DC was delivered than it metered AC.

These concern all vehicles there: readings are missing, or the meter shows its energy late and in
lumps, or no fault is found.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from fleetmeter.anomalies.model import Cause
from fleetmeter.anomalies.rules.dc_exceeds_ac.case import (
    Case,
    Curves,
    Finding,
    tolerance_mwh,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.curves import (
    LEAST_EFFICIENCY,
    MOST_EFFICIENCY,
    Interval,
    bounds,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.thresholds import DcExceedsAc

_TOOK_PART = 0.2
"""Minimum share of a meter's DC; vehicles below it are left out when the meter is at fault."""

_COVERED = 0.95
"""Part of the time of charging; a meter that covers less has readings missing."""

_LACKING_MIN = 3
"""Missing minutes of charging in an hour: one such hour is an interruption, two are a fault."""

_BEFORE_MIN = 60
"""Minutes before a vehicle charged; what a meter showed in them may belong to the charge."""


def at_fault(
    case: Case,
    curves: Curves,
    thresholds: DcExceedsAc,
    there: Sequence[str],
    suspects: Sequence[str],
) -> tuple[list[Finding], bool]:
    """Return the meter's fault for each vehicle with a good part, and whether it is certain."""
    dc = curves.sum_of(there)
    took_part = took_part_of(curves, there, suspects)
    charged = bounds(dc)
    if charged is None:
        return [], True
    minutes = [minute for minute in range(charged[0], charged[1] + 1) if dc[minute] > 0]
    covered_s = curves.ac.covered_s
    coverage = sum(covered_s[minute] for minute in minutes) / (60 * len(minutes))
    evidence: dict[str, Any] = {"coverageAc": round(coverage, 3)}
    if coverage < _COVERED:
        shown = sum(curves.ac.mwh[minute] for minute in minutes)
        metered = sum(dc[minute] * covered_s[minute] / 60 for minute in minutes)
        ratio = metered / shown if shown > 0 else 0.0
        if LEAST_EFFICIENCY <= ratio <= MOST_EFFICIENCY + 0.05:
            lacking: Counter[int] = Counter()
            for minute in minutes:
                lacking[minute // 60] += round(60 - covered_s[minute])
            least_s = max(60 * _LACKING_MIN, 2 * case.meter_interval_s)
            hours = sum(seconds >= least_s for seconds in lacking.values())
            return for_all(took_part, "missing_ac_readings", evidence), hours >= 2
    if _is_lumpy(case.meter_points, dc, case.start, case.meter_interval_s):
        return for_all(took_part, "reporting_lag", evidence), True
    if sum(dc) - sum(curves.ac.mwh[charged[0] :]) <= tolerance_mwh(thresholds, sum(dc)):
        return [], False  # what an hour lacked came in the next one
    return for_all(took_part[:1], "unknown", evidence), False


def took_part_of(curves: Curves, there: Sequence[str], suspects: Sequence[str]) -> list[str]:
    """Find vehicles that took a good part of the DC at a meter, the largest part first."""
    taken = {id_: sum(curves.dc[id_]) for id_ in there}
    least = _TOOK_PART * sum(taken.values())
    by_dc = sorted(suspects, key=lambda id_: (-taken[id_], id_))
    return [id_ for id_ in by_dc if taken[id_] >= least]


def for_all(vehicle_ids: Sequence[str], cause: Cause, evidence: dict[str, Any]) -> list[Finding]:
    """Return the same finding for each vehicle."""
    return [Finding(id_, cause, dict(evidence)) for id_ in vehicle_ids]


def _is_lumpy(
    points: Sequence[Interval], dc: Sequence[float], start: datetime, interval_s: int
) -> bool:
    """Return whether a meter showed nothing for long during DC, and then all of it at once.

    A meter that has shown nothing yet may show it later, or never.
    """
    charged = bounds(dc)
    if charged is None:
        return False
    mean = sum(dc) / (charged[1] - charged[0] + 1) * interval_s / 60
    during = [
        point
        for point in points
        if 60 * charged[0] < (point.time - start).total_seconds() <= 60 * (charged[1] + 2)
    ]
    empty = sum(point.energy_mwh < 0.05 * mean for point in during)
    if len(during) < 5 or empty < 0.6 * len(during):
        return False
    lumps = [point for point in during if point.energy_mwh > 4 * mean]
    if not lumps:
        return False
    until = (lumps[-1].time - start).total_seconds() / 60
    delivered = sum(dc[: round(until)])
    since = start + timedelta(minutes=max(0, charged[0] - _BEFORE_MIN))
    shown = sum(point.energy_mwh for point in points if since < point.time <= lumps[-1].time)
    return LEAST_EFFICIENCY <= delivered / shown <= 1.15


def resets(points: Sequence[Interval], dc: Sequence[float], start: datetime) -> int:
    """Return how often a register restarted while DC was delivered."""
    charged = bounds(dc)
    if charged is None:
        return 0
    return sum(
        point.reset
        for point in points
        if charged[0] <= (point.time - start).total_seconds() / 60 <= charged[1] + 5
    )
