"""Gathers what may explain an excess of DC: the readings of all concerned, and their curves."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from math import gcd
from typing import Any, NamedTuple

from fleetmeter.anomalies.model import Cause, Subject
from fleetmeter.anomalies.rules.dc_exceeds_ac.curves import (
    Curve,
    Interval,
    curve,
    silences,
    subtract,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.thresholds import DcExceedsAc
from fleetmeter.anomalies.rules.shared.needs import MeterPoint, VehiclePoint

_FINE_MWH, _COARSE_MWH = 50_000, 1_000_000
"""Minimum and maximum step of a coarse register."""

OTHERS_EFFICIENCY = 0.9
"""Efficiency assumed for the other vehicles at a meter, to see what is left for one."""


class Case(NamedTuple):
    """The readings around an excess: of its meter, the vehicles there, and other meters."""

    start: datetime
    """A whole hour."""

    minutes: int
    meter_id: str
    meter_points: Sequence[Interval]
    meter_interval_s: int
    vehicle_points: Mapping[str, Sequence[Interval]]
    vehicle_interval_s: Mapping[str, int]
    begins: Mapping[str, datetime]
    """Vehicles (of `vehicle_points`) that charged at the meter, with the start of their session."""

    other_points: Mapping[str, Sequence[Interval]]
    other_interval_s: Mapping[str, int]
    taken_there: Mapping[str, Sequence[str]]
    """Vehicles (of `vehicle_points`) that say that they charged at another meter, by meter."""

    near: datetime
    """The time before which readings count only where a clock may be hours off."""

    neighbours: Sequence[str] = ()
    """Vehicles (of `vehicle_points`) that may have charged at the meter before."""

    behind_s: Mapping[Subject, float] = {}
    """Seconds by which the newest timestamps of the meter and the vehicles are behind their
    arrival, for those that have reported."""

    is_covered: bool = True
    """The meter reported while DC was delivered. False: nothing is said of that time itself."""


def intervals(points: Iterable[VehiclePoint | MeterPoint], start: datetime) -> list[Interval]:
    """Return the readings from a time on that have energy."""
    return [
        Interval(
            point.time,
            point.energy_mwh,
            point.span_ms,
            isinstance(point, MeterPoint) and point.reset,
        )
        for point in points
        if point.time >= start and point.energy_mwh is not None
    ]


class Finding(NamedTuple):
    """Which vehicle does not fit, and why."""

    vehicle_id: str
    cause: Cause
    evidence: dict[str, Any]


class Curves:
    """The curves of a case, by the minute."""

    def __init__(self, case: Case) -> None:
        self.ac = curve(case.meter_points, case.start, case.minutes, case.meter_interval_s)
        self.near = round((case.near - case.start).total_seconds() / 60)
        """The minute before which only far offsets are compared."""

        self.dc: dict[str, list[float]] = {
            id_: curve(points, case.start, case.minutes, case.vehicle_interval_s[id_]).mwh
            for id_, points in case.vehicle_points.items()
        }
        self.claimed = [self.dc[id_] for id_ in case.neighbours]
        """DC that was delivered at the meter beside and before the sessions that are looked at."""

        self.whole: dict[str, list[float]] = {}
        """DC of those sessions, also of when the meter was silent."""

        self.silences = silent = [
            (max(first, self.near), last)
            for first, last in silences(self.ac.covered_s)
            if last > self.near
        ]
        for id_, begins in case.begins.items():
            # the first reading's energy came before it
            since_s = (begins - case.start).total_seconds() - case.vehicle_interval_s[id_]
            before = max(0, round(since_s / 60))
            dc = self.dc[id_]
            self.claimed.append([*dc[:before], *([0.0] * (len(dc) - before))])
            dc[:before] = [0.0] * before
            self.whole[id_] = list(dc)
            for first, last in silent if case.is_covered else ():
                dc[first:last] = [0.0] * (last - first)
        self.others: dict[str, Curve] = {
            id_: curve(points, case.start, case.minutes, case.other_interval_s[id_])
            for id_, points in case.other_points.items()
        }

    def sum_of(self, ids: Sequence[str]) -> list[float]:
        """Add up the DC of several vehicles."""
        if not ids:
            return [0.0] * len(self.ac.mwh)
        return [sum(values) for values in zip(*(self.dc[id_] for id_ in ids), strict=True)]

    def unclaimed(self, others: Sequence[str]) -> list[float]:
        """Return what the meter's curve leaves after the others' and one vehicle's earlier DC."""
        taken = [*self.claimed, *(self.whole[id_] for id_ in others)]
        return subtract(self.ac.mwh, taken, OTHERS_EFFICIENCY)

    def left(self, meter: Sequence[float], others: Sequence[str]) -> list[float]:
        """Return what a meter's curve leaves after the DC of these vehicles."""
        return subtract(meter, [self.dc[id_] for id_ in others], OTHERS_EFFICIENCY)


def step_mwh(points: Iterable[Interval]) -> int:
    """Return the steps of a coarse register: what it counted beyond the last is not shown yet.

    0: it shows less than 50 Wh, or no step of up to 1 kWh fits all that it shows.
    """
    step = gcd(*(point.energy_mwh for point in points))
    return step if _FINE_MWH <= step <= _COARSE_MWH else 0


def tolerance_mwh(thresholds: DcExceedsAc, dc_mwh: float) -> float:
    """Return by how much DC may exceed AC."""
    return max(thresholds.excess_kwh * 1e6, thresholds.excess_share * dc_mwh)
