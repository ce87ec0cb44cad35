"""Explains why more DC was delivered at a meter than it metered AC, from the curves of all
concerned.

In the order of how much a find proves: another meter's curve fits one vehicle, while the others at
its own meter fit without it; its own meter's curve fits when shifted, a little (_shifted) or by
hours (clock_offsets.py); or the meter is at fault, which concerns all vehicles there: its register
was reset, readings are missing, or it shows its energy late and in lumps.
"""

from collections.abc import Sequence
from typing import NamedTuple

from fleetmeter.anomalies.rules.dc_exceeds_ac.case import (
    OTHERS_EFFICIENCY,
    Case,
    Curves,
    Finding,
    tolerance_mwh,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.clock_offsets import clock_offset, find_far_offsets
from fleetmeter.anomalies.rules.dc_exceeds_ac.curves import (
    Fit,
    bounds,
    fit,
    unexplained,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.meter_side import (
    at_fault,
    for_all,
    resets,
    took_part_of,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.thresholds import DcExceedsAc

_GOOD = 0.07
_GOOD_SHARED = 0.15
"""Misfit of curves that belong together; where others were subtracted, more."""

_UNEXPLAINED = 0.15
"""Part of the meter's whole curve that may stay unexplained, with one vehicle shifted."""

_STRANGE = 0.3
"""Misfit of curves that do not belong together at all: lost readings alone give less."""

_BETTER = 0.4
"""The part of the misfit with the vehicle as it is that may be left when it is shifted."""

_NEAR_MIN = 90
"""Up to such an offset, what is not known yet of a session may be left out."""

_SAME_TIME_MIN = 3
"""Clocks of devices that are right differ by less."""


class Explanation(NamedTuple):
    """The explanation that the curves give."""

    found: list[Finding]
    is_sure: bool
    """False if later hours may show more."""


def explain(case: Case, thresholds: DcExceedsAc, suspects: Sequence[str]) -> Explanation:
    """Return which of the vehicles that charged at a meter do not fit, and why; none: all fit."""
    curves = Curves(case)
    there = [id_ for id_ in case.begins if bounds(curves.whole[id_])]
    wrong = _elsewhere(case, curves, thresholds, [id_ for id_ in suspects if id_ in there])
    rest = [id_ for id_ in there if id_ not in {each.vehicle_id for each in wrong}]
    left = [id_ for id_ in rest if id_ in suspects]
    if not left or (wrong and _fit_together(curves, rest, thresholds)):
        return Explanation(wrong, True)
    number = resets(case.meter_points, curves.sum_of(rest), case.start)
    if number:
        took_part = took_part_of(curves, rest, left)
        return Explanation(
            [*wrong, *for_all(took_part, "register_reset", {"resets": number})], True
        )
    shifted, fitting = _shifted(case, curves, thresholds, rest, left)
    if shifted:
        return Explanation([*wrong, shifted], True)
    if fitting and len(fitting) == len(left):
        return Explanation(wrong, True)
    by_hours = find_far_offsets(
        case, curves, thresholds, rest, [id_ for id_ in left if id_ not in fitting]
    )
    if by_hours:
        return Explanation([*wrong, *by_hours], True)
    if not case.is_covered:
        return Explanation(wrong, bool(wrong))
    of_meter, is_sure = at_fault(case, curves, thresholds, rest, left)
    return Explanation([*wrong, *of_meter], is_sure)


def _good(found: Fit | None, is_shared: bool) -> bool:
    return (
        found is not None
        and found.is_plausible
        and found.misfit <= (_GOOD_SHARED if is_shared else _GOOD)
    )


def _own(
    curves: Curves, id_: str, there: Sequence[str], most_offset_min: float
) -> tuple[Fit | None, bool]:
    """Return how the vehicle's own meter explains it; and whether others were there."""
    others = [other for other in there if other != id_]
    ac = curves.left(curves.ac.mwh, others) if others else curves.ac.mwh
    return fit(curves.dc[id_], ac, round(most_offset_min)), bool(others)


def _is_at_the_same_time(
    case: Case,
    curves: Curves,
    id_: str,
    there: Sequence[str],
    thresholds: DcExceedsAc,
    own: Fit,
) -> bool:
    """Return whether no offset fits best, or about as well as the best."""
    limit_s = _limit_s(case, id_, thresholds)
    if abs(own.offset_s) < limit_s:
        return True
    near, _ = _own(curves, id_, there, limit_s / 60)
    return near is not None and near.is_plausible and near.misfit < 2 * own.misfit


def _limit_s(case: Case, id_: str, thresholds: DcExceedsAc) -> float:
    """Return the smallest offset that counts: clocks differ a little, and intervals have edges."""
    longest = max(case.meter_interval_s, case.vehicle_interval_s[id_])
    return max(thresholds.smallest_offset_s, 1.5 * longest)


def _elsewhere(
    case: Case, curves: Curves, thresholds: DcExceedsAc, suspects: Sequence[str]
) -> list[Finding]:
    """Find vehicles that another meter's curve fits, and their own does not."""
    found: list[Finding] = []
    taken: set[str] = set()
    for id_ in sorted(suspects, key=lambda each: -sum(curves.dc[each])):
        there = [each for each in case.begins if each not in {f.vehicle_id for f in found}]
        own, _ = _own(curves, id_, there, _SAME_TIME_MIN)
        alone = fit(curves.dc[id_], curves.ac.mwh, _SAME_TIME_MIN)
        if _good(alone, False) or (own is not None and own.misfit < _STRANGE):
            continue
        own, is_shared = _own(curves, id_, there, min(_NEAR_MIN, thresholds.largest_offset_min))
        best: tuple[float, str, Fit] | None = None
        for other in curves.others:
            if other in taken:
                continue
            match = _match(case, curves, id_, other)
            if match and (not best or match.misfit < best[0]):
                best = match.misfit, other, match
        if best is None or (_good(own, is_shared) and own and own.misfit < best[0] / 2):
            continue
        misfit, other, match = best
        taken.add(other)
        found.append(
            Finding(
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


def _match(case: Case, curves: Curves, id_: str, other: str) -> Fit | None:
    """Return how another meter explains a vehicle, beside or in place of those that charge there.

    It takes their place if they do not fit that meter themselves.
    """
    dc, ac = curves.dc[id_], curves.others[other].mwh
    takers = [each for each in case.taken_there.get(other, ()) if each != id_]
    if not takers:
        match = fit(dc, ac, _SAME_TIME_MIN)
        return match if _good(match, False) else None
    match = fit(dc, curves.left(ac, takers), _SAME_TIME_MIN)
    if _good(match, True):
        return match
    if any(_good(fit(curves.dc[each], ac, _SAME_TIME_MIN), False) for each in takers):
        return None
    match = fit(dc, ac, _SAME_TIME_MIN)
    return match if _good(match, False) else None


def _fit_together(curves: Curves, rest: Sequence[str], thresholds: DcExceedsAc) -> bool:
    """Return whether the remaining vehicles took no more than the meter metered."""
    delivered = sum(sum(curves.dc[id_]) for id_ in rest)
    return delivered - sum(curves.ac.mwh[curves.near :]) <= tolerance_mwh(thresholds, delivered)


def _shifted(
    case: Case,
    curves: Curves,
    thresholds: DcExceedsAc,
    there: Sequence[str],
    suspects: Sequence[str],
) -> tuple[Finding | None, list[str]]:
    """Return the vehicle whose curve its meter's explains best when shifted; those that fit as they
    are."""
    best: tuple[float, str, Fit] | None = None
    fitting: list[str] = []
    for id_ in suspects:
        own, is_shared = _own(curves, id_, there, min(_NEAR_MIN, thresholds.largest_offset_min))
        if own is None or not _good(own, is_shared):
            continue
        if _is_at_the_same_time(case, curves, id_, there, thresholds, own):
            fitting.append(id_)
            continue
        if curves.silences:  # which may have cut off where charging began
            continue
        others = curves.sum_of([other for other in there if other != id_])
        taken = [energy / OTHERS_EFFICIENCY for energy in others]
        dc = curves.dc[id_]
        misfit = unexplained(curves.ac.mwh, taken, dc, own)
        as_it_is = own._replace(offset_s=0.0, efficiency=OTHERS_EFFICIENCY)
        at_most = min(_UNEXPLAINED, _BETTER * unexplained(curves.ac.mwh, taken, dc, as_it_is))
        if misfit <= at_most and (best is None or misfit < best[0]):
            best = misfit, id_, own
    if best is None:
        return None, fitting
    misfit, id_, own = best
    return clock_offset(case, id_, own._replace(misfit=misfit)), fitting
