"""Why more DC was delivered at a meter than it metered AC: from the curves of all that may have to
do with it.

In the order of how much a find proves: another meter's curve fits one vehicle, while the others at
its own meter fit without it; its own meter's curve fits when shifted; or the meter is at fault,
which concerns all vehicles there: its register was reset, readings are missing, or it shows its
energy late and in lumps.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from fleetmeter.anomalies.curves import (
    LEAST_EFFICIENCY,
    MOST_EFFICIENCY,
    Curve,
    Fit,
    bounds,
    curve,
    fit,
    is_lumpy,
    less,
    resets,
    unexplained,
)
from fleetmeter.anomalies.model import Cause, MeterPoint, VehiclePoint
from fleetmeter.anomalies.parameters import DcExceedsAc

_GOOD = 0.07
_GOOD_SHARED = 0.15
"""Misfit of curves that belong together; where others were subtracted, more."""

_UNEXPLAINED = 0.15
"""Of the meter's whole curve, with the one vehicle shifted and the others as they are."""

_STRANGE = 0.3
"""Misfit of curves that do not belong together at all: lost readings alone give less."""

_SAME_TIME_MIN = 3
"""Clocks of devices that are right differ by less."""

_OTHERS_EFFICIENCY = 0.9
"""Assumed of the other vehicles at a meter, to see what is left for one."""

_TOOK_PART = 0.2
"""Of the DC at a meter: who took less is not told about when the meter is at fault."""

_COVERED = 0.95
"""Of the time of charging: a meter that covers less has readings missing."""


_LACKING_MIN = 3
"""Minutes of charging that an hour lacks: one such hour is an interruption, two are a fault."""


class Evidence(NamedTuple):
    """Readings of a meter, of the vehicles there, and of other meters, over the same time."""

    start: datetime
    """A whole hour."""

    minutes: int
    meter_points: Sequence[MeterPoint]
    meter_interval_s: int
    vehicle_points: Mapping[str, Sequence[VehiclePoint]]
    vehicle_interval_s: Mapping[str, int]
    there: Sequence[str]
    """Vehicles (of `vehicle_points`) that charged at the meter."""

    other_points: Mapping[str, Sequence[MeterPoint]]
    other_interval_s: Mapping[str, int]
    taken_there: Mapping[str, Sequence[str]]
    """By other meter: vehicles (of `vehicle_points`) that charged there by their own account."""


class Found(NamedTuple):
    """Which vehicle does not fit, and why."""

    vehicle_id: str
    cause: Cause
    evidence: dict[str, Any]


class Explanation(NamedTuple):
    """What the curves say."""

    found: list[Found]
    is_sure: bool
    """False: more hours may say more."""


class _Curves:
    """All of them, by the minute."""

    def __init__(self, given: Evidence) -> None:
        self.ac = curve(given.meter_points, given.start, given.minutes, given.meter_interval_s)
        self.dc: dict[str, Curve] = {
            id_: curve(points, given.start, given.minutes, given.vehicle_interval_s[id_])
            for id_, points in given.vehicle_points.items()
        }
        self.others: dict[str, Curve] = {
            id_: curve(points, given.start, given.minutes, given.other_interval_s[id_])
            for id_, points in given.other_points.items()
        }

    def sum_of(self, ids: Sequence[str]) -> list[float]:
        """DC of several vehicles together."""
        if not ids:
            return [0.0] * len(self.ac.mwh)
        return [sum(values) for values in zip(*(self.dc[id_].mwh for id_ in ids), strict=True)]

    def left(self, meter: Sequence[float], others: Sequence[str]) -> list[float]:
        """What a meter's curve leaves when these vehicles took theirs from it."""
        return less(meter, [self.dc[id_].mwh for id_ in others], _OTHERS_EFFICIENCY)


def explain(given: Evidence, parameters: DcExceedsAc, suspects: Sequence[str]) -> Explanation:
    """Which of the vehicles that charged at a meter do not fit, and why; none: all fit."""
    curves = _Curves(given)
    there = [id_ for id_ in given.there if bounds(curves.dc[id_].mwh)]
    wrong = _elsewhere(given, curves, parameters, [id_ for id_ in suspects if id_ in there])
    rest = [id_ for id_ in there if id_ not in {each.vehicle_id for each in wrong}]
    left = [id_ for id_ in rest if id_ in suspects]
    if not left or (wrong and _fit_together(curves, rest, parameters)):
        return Explanation(wrong, True)
    number = resets(given.meter_points, curves.sum_of(rest), given.start)
    if number:
        took_part = _took_part(curves, rest, left)
        return Explanation(
            [*wrong, *_for_all(took_part, "register_reset", {"resets": number})], True
        )
    shifted, fitting = _shifted(given, curves, parameters, rest, left)
    if shifted:
        return Explanation([*wrong, shifted], True)
    if len(fitting) == len(left):
        return Explanation(wrong, True)
    of_meter, is_sure = _at_fault(given, curves, parameters, rest, left)
    return Explanation([*wrong, *of_meter], is_sure)


def tolerance_mwh(parameters: DcExceedsAc, dc_mwh: float) -> float:
    """By how much DC may exceed AC."""
    return max(parameters.excess_kwh * 1e6, parameters.excess_share * dc_mwh)


def _good(found: Fit | None, is_shared: bool) -> bool:
    return (
        found is not None
        and found.is_plausible
        and found.misfit <= (_GOOD_SHARED if is_shared else _GOOD)
    )


def _own(
    curves: _Curves, id_: str, there: Sequence[str], most_offset_min: float
) -> tuple[Fit | None, bool]:
    """How the vehicle's own meter explains it; and whether others were there."""
    others = [other for other in there if other != id_]
    ac = curves.left(curves.ac.mwh, others) if others else curves.ac.mwh
    return fit(curves.dc[id_].mwh, ac, round(most_offset_min)), bool(others)


def _is_at_the_same_time(
    given: Evidence,
    curves: _Curves,
    id_: str,
    there: Sequence[str],
    parameters: DcExceedsAc,
    own: Fit,
) -> bool:
    """Whether the offset that fits best is none, or is not much better than none."""
    limit_s = _limit_s(given, id_, parameters)
    if abs(own.offset_s) < limit_s:
        return True
    near, _ = _own(curves, id_, there, limit_s / 60)
    return near is not None and near.is_plausible and near.misfit < 2 * own.misfit


def _limit_s(given: Evidence, id_: str, parameters: DcExceedsAc) -> float:
    """Offsets below it are none: clocks differ a little, and intervals have edges."""
    longest = max(given.meter_interval_s, given.vehicle_interval_s[id_])
    return max(parameters.smallest_offset_s, 1.5 * longest)


def _elsewhere(
    given: Evidence, curves: _Curves, parameters: DcExceedsAc, suspects: Sequence[str]
) -> list[Found]:
    """Vehicles that another meter's curve fits, and their own does not."""
    found: list[Found] = []
    taken: set[str] = set()
    for id_ in sorted(suspects, key=lambda each: -sum(curves.dc[each].mwh)):
        there = [each for each in given.there if each not in {f.vehicle_id for f in found}]
        own, _ = _own(curves, id_, there, _SAME_TIME_MIN)
        alone = fit(curves.dc[id_].mwh, curves.ac.mwh, _SAME_TIME_MIN)
        if _good(alone, False) or (own is not None and own.misfit < _STRANGE):
            continue
        own, is_shared = _own(curves, id_, there, parameters.largest_offset_min)
        best: tuple[float, str, Fit] | None = None
        for other in curves.others:
            if other in taken:
                continue
            match = _match(given, curves, id_, other)
            if match and (not best or match.misfit < best[0]):
                best = match.misfit, other, match
        if best is None or (_good(own, is_shared) and own and own.misfit < best[0] / 2):
            continue
        misfit, other, match = best
        taken.add(other)
        found.append(
            Found(
                id_,
                "wrong_meter",
                {
                    "otherMeterId": other,
                    "efficiency": round(match.efficiency, 3),
                    "misfit": round(misfit, 3),
                },
            )
        )
    return found


def _match(given: Evidence, curves: _Curves, id_: str, other: str) -> Fit | None:
    """How another meter explains a vehicle, beside those who charge there, or in their place when
    they do not fit it themselves."""
    dc, ac = curves.dc[id_].mwh, curves.others[other].mwh
    takers = [each for each in given.taken_there.get(other, ()) if each != id_]
    if not takers:
        match = fit(dc, ac, _SAME_TIME_MIN)
        return match if _good(match, False) else None
    match = fit(dc, curves.left(ac, takers), _SAME_TIME_MIN)
    if _good(match, True):
        return match
    if any(_good(fit(curves.dc[each].mwh, ac, _SAME_TIME_MIN), False) for each in takers):
        return None
    match = fit(dc, ac, _SAME_TIME_MIN)
    return match if _good(match, False) else None


def _fit_together(curves: _Curves, rest: Sequence[str], parameters: DcExceedsAc) -> bool:
    """Whether the vehicles that are left have no more than the meter metered."""
    delivered = sum(sum(curves.dc[id_].mwh) for id_ in rest)
    return delivered - sum(curves.ac.mwh) <= tolerance_mwh(parameters, delivered)


def _shifted(
    given: Evidence,
    curves: _Curves,
    parameters: DcExceedsAc,
    there: Sequence[str],
    suspects: Sequence[str],
) -> tuple[Found | None, list[str]]:
    """The vehicle whose curve its meter's explains best when shifted; those that fit as they
    are."""
    best: tuple[float, str, Fit] | None = None
    fitting: list[str] = []
    for id_ in suspects:
        own, is_shared = _own(curves, id_, there, parameters.largest_offset_min)
        if own is None or not _good(own, is_shared):
            continue
        if _is_at_the_same_time(given, curves, id_, there, parameters, own):
            fitting.append(id_)
            continue
        others = curves.sum_of([other for other in there if other != id_])
        taken = [energy / _OTHERS_EFFICIENCY for energy in others]
        misfit = unexplained(curves.ac.mwh, taken, curves.dc[id_].mwh, own)
        if misfit <= _UNEXPLAINED and (best is None or misfit < best[0]):
            best = misfit, id_, own
    if best is None:
        return None, fitting
    misfit, id_, own = best
    evidence = {
        "offsetS": round(own.offset_s / 10) * 10,
        "efficiency": round(own.efficiency, 3),
        "misfit": round(misfit, 3),
    }
    return Found(id_, "clock_offset", evidence), fitting


def _at_fault(
    given: Evidence,
    curves: _Curves,
    parameters: DcExceedsAc,
    there: Sequence[str],
    suspects: Sequence[str],
) -> tuple[list[Found], bool]:
    """What is wrong with the meter, for all that took a good part; and whether that is sure."""
    dc = curves.sum_of(there)
    took_part = _took_part(curves, there, suspects)
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
            least_s = max(60 * _LACKING_MIN, 2 * given.meter_interval_s)
            hours = sum(seconds >= least_s for seconds in lacking.values())
            return _for_all(took_part, "missing_ac_readings", evidence), hours >= 2
    lumpy = is_lumpy(given.meter_points, dc, given.start, given.meter_interval_s)
    if lumpy is not False:
        return _for_all(took_part, "reporting_lag", evidence), bool(lumpy)
    if sum(dc) - sum(curves.ac.mwh[charged[0] :]) <= tolerance_mwh(parameters, sum(dc)):
        return [], False  # what an hour lacked came in the next one
    return _for_all(took_part[:1], "unknown", evidence), False


def _took_part(curves: _Curves, there: Sequence[str], suspects: Sequence[str]) -> list[str]:
    """Vehicles that took a good part of the DC at a meter, the largest part first."""
    taken = {id_: sum(curves.dc[id_].mwh) for id_ in there}
    least = _TOOK_PART * sum(taken.values())
    by_dc = sorted(suspects, key=lambda id_: (-taken[id_], id_))
    return [id_ for id_ in by_dc if taken[id_] >= least]


def _for_all(vehicle_ids: Sequence[str], cause: Cause, evidence: dict[str, Any]) -> list[Found]:
    return [Found(id_, cause, dict(evidence)) for id_ in vehicle_ids]
