"""Finds clocks that are hours off: the meter's curve fits the vehicle's at another time of the day.

A distant fit proves less than a near one, since most charges look alike. So it must explain all of
the delivered energy, by AC that no known vehicle took, at a time that the meter covers.
"""

from collections.abc import Sequence

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.dc_exceeds_ac.case import Case, Curves, Finding
from fleetmeter.anomalies.rules.dc_exceeds_ac.curves import BIN_MIN, Fit, covered, fit
from fleetmeter.anomalies.rules.dc_exceeds_ac.thresholds import DcExceedsAc

_GOOD = 0.07
"""Misfit of curves that belong together."""

_COMPARED = 0.95
"""Part of the DC that must be compared: the rest may be beyond the curves' ends."""

_ABOUT = 0.1
_ABOUT_S = 300
"""Maximum difference between an offset and that of a device's newest timestamp, seconds."""

_COVERED = 0.9
"""Part of the time at which the DC was really delivered that the meter must cover."""


def find_far_offsets(
    case: Case,
    curves: Curves,
    thresholds: DcExceedsAc,
    there: Sequence[str],
    suspects: Sequence[str],
) -> list[Finding]:
    """Find vehicles whose clocks, or whose meter's, are off by up to `largestOffsetMin`."""
    together = _of_meter(case, curves, thresholds, there)
    if together is not None:
        return [clock_offset(case, id_, together, of_meter=True) for id_ in suspects]
    best: tuple[float, str, Fit] | None = None
    for id_ in suspects:
        others = [other for other in there if other != id_]
        if not _fit_as_they_are(curves, others):
            continue
        found = _fit(case, curves, thresholds, curves.whole[id_], curves.unclaimed(others))
        if found is not None and (best is None or found.misfit < best[0]):
            best = found.misfit, id_, found
    return [] if best is None else [clock_offset(case, best[1], best[2])]


def _of_meter(
    case: Case, curves: Curves, thresholds: DcExceedsAc, there: Sequence[str]
) -> Fit | None:
    """Fit all vehicles that charged there by the same offset, which is then the meter's."""
    if len(there) < 2:
        return None
    together = [sum(each) for each in zip(*(curves.whole[id_] for id_ in there), strict=True)]
    return _fit(case, curves, thresholds, together, curves.unclaimed(()))


def _fit_as_they_are(curves: Curves, others: Sequence[str]) -> bool:
    """Return whether the meter's curve fits the others at it without any offset."""
    taken = metered = 0.0
    for *dc, ac in zip(*(curves.whole[id_] for id_ in others), curves.ac.mwh, strict=True):
        if any(dc):
            taken += sum(dc)
            metered += ac
    return metered >= _COMPARED * taken


def _fit(
    case: Case,
    curves: Curves,
    thresholds: DcExceedsAc,
    dc: Sequence[float],
    ac: Sequence[float],
) -> Fit | None:
    found = fit(dc, ac, round(thresholds.largest_offset_min))
    if found is None or not found.is_plausible or found.misfit > _GOOD:
        return None
    longest_s = max(case.meter_interval_s, *case.vehicle_interval_s.values())
    if abs(found.offset_s) < max(thresholds.smallest_offset_s, 1.5 * longest_s):
        return None
    if found.compared_mwh < _COMPARED * sum(dc[:-BIN_MIN]):
        return None
    is_known = covered(curves.ac.covered_s, dc, round(found.offset_s / 60)) >= _COVERED
    return found if is_known else None


def clock_offset(case: Case, vehicle_id: str, found: Fit, *, of_meter: bool = False) -> Finding:
    """Report how late the vehicle's timestamps are against the meter's; and whose clock is wrong,
    where all vehicles at the meter or its own arrival says so."""
    evidence = {
        "offsetS": round(found.offset_s / 10) * 10,
        "efficiency": round(found.efficiency, 3),
        "misfit": round(found.misfit, 3),
    }
    whose = "meter" if of_meter else _whose(case, vehicle_id, found.offset_s)
    return Finding(vehicle_id, "clock_offset", evidence | ({"clockOf": whose} if whose else {}))


def _whose(case: Case, vehicle_id: str, late_s: float) -> str | None:
    """Return the device whose newest timestamp is off its arrival by the offset of the curves."""
    about = max(_ABOUT_S, _ABOUT * abs(late_s))

    def is_off(subject: Subject, by_s: float) -> bool:
        behind_s = case.behind_s.get(subject)
        return behind_s is not None and abs(behind_s - by_s) <= about

    of_vehicle = is_off(Subject("vehicle", vehicle_id), -late_s)
    of_meter = is_off(Subject("meter", case.meter_id), late_s)
    if of_vehicle == of_meter:
        return None
    return "vehicle" if of_vehicle else "meter"
