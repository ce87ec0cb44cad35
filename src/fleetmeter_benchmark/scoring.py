"""Scores the rules against a simulated fleet's faults: found, how soon, and false alarms. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median

import msgspec

from fleetmeter.anomalies.model import AnomalyKind, Cause, Subject, SubjectKind
from fleetmeter.anomalies.rules.battery_hot import BatteryHot
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter.anomalies.rules.clock_skew import ClockSkew
from fleetmeter.anomalies.rules.readings_refused import ReadingsRefused
from fleetmeter.anomalies.rules.register_unstable import RegisterUnstable
from fleetmeter.anomalies.rules.silence.thresholds import MeterSilent, Silent, VehicleSilent
from fleetmeter.anomalies.rules.standby_loss import StandbyLoss
from fleetmeter_simulator.faults.kinds import Acceptable, Charged, Fault

HOUR = timedelta(hours=1)
_SLACK = HOUR
"""Tolerance: hours are judged whole, so an anomaly may start or end at the edge of one."""

RECALL = PRECISION = 0.95
CAUSES_RIGHT = 0.9
DELAY = timedelta(hours=2)

CONSEQUENCES: dict[AnomalyKind, set[AnomalyKind]] = {
    # the same loss, measured against what is expected and against itself
    "efficiency_low": {"efficiency_drop"},
    "efficiency_drop": {"efficiency_low"},
    # a counter of the vehicle that is wrong is wrong against the meter as well
    "soc_mismatch": {"efficiency_low", "efficiency_drop", "dc_exceeds_ac"},
}
"""Anomalies that a fault also causes in the same vehicle: neither right nor wrong."""

NAMES_CAUSES: frozenset[AnomalyKind] = frozenset({"dc_exceeds_ac", "power_implausible"})


class OpenedAnomaly(msgspec.Struct, frozen=True, rename="camel"):
    """Holds an anomaly that a rule opened, as the API shows it."""

    kind: AnomalyKind
    device_kind: SubjectKind
    device_id: str
    cause: Cause | None
    started_at: datetime
    detected_at: datetime
    ended_at: datetime | None

    @property
    def subject(self) -> Subject:
        """Return what it is about."""
        return Subject(self.device_kind, self.device_id)


class Scored(msgspec.Struct, kw_only=True):
    """Holds one kind's line of the table."""

    kind: AnomalyKind
    faults: int
    recalled: int
    """Faults for which an anomaly was opened."""

    anomalies: int
    """Anomalies that were opened, without those that are true for another reason."""

    right: int
    """Those of them that a fault explains."""

    causes: int | None = None
    """Found faults whose cause was named; None if the rule names no cause."""

    causes_right: int | None = None
    delays_h: list[float]
    """Hours from complete evidence to the rule's certainty, for each fault that was found."""

    missed: list[str]
    wrong: list[str]

    @property
    def recall(self) -> float:
        """Return the share of faults that were found."""
        return self.recalled / self.faults if self.faults else 1.0

    @property
    def precision(self) -> float:
        """Return the share of anomalies that are right."""
        return self.right / self.anomalies if self.anomalies else 1.0

    @property
    def delay_h(self) -> float:
        """Return the median delay, hours."""
        return median(self.delays_h) if self.delays_h else 0.0

    @property
    def in_time(self) -> float:
        """Return the share of found faults that were found within two hours."""
        hours = DELAY / HOUR
        found = len(self.delays_h)
        return sum(delay <= hours for delay in self.delays_h) / found if found else 1.0


def score(
    faults: Sequence[Fault],
    acceptable: Sequence[Acceptable],
    found: Sequence[OpenedAnomaly],
    intervals: Mapping[str, int],
) -> list[Scored]:
    """Return a line for each kind, in the order of the rules. `intervals`: seconds, by device."""
    return [
        _of_kind(kind, faults, acceptable, [one for one in found if one.kind == kind], intervals)
        for kind in RULES
    ]


def together(rounds: Iterable[Sequence[Scored]]) -> list[Scored]:
    """Add several fleets up."""
    return [_added(same) for same in zip(*rounds, strict=True)]


def evident_at(fault: Fault, interval_s: int) -> datetime | None:
    """Return when the evidence of a fault was complete, or None if it never was.

    It goes by the rules' defaults, and by what the devices really did: a loss shows in what was
    charged.
    """
    evident = EVIDENT.get(fault.kind)
    return None if evident is None else evident(fault, interval_s)


def _first_charged(fault: Fault, enough: Callable[[Charged], bool]) -> datetime | None:
    whole = (s for s in fault.charged if s.begin >= fault.start and s.end <= fault.end)
    return next((session.end for session in whole if enough(session)), None)


def _idle_hours(fault: Fault, needed: int) -> Iterator[datetime]:
    """Return the end of the hour in which so many whole ones have passed without charging."""
    hour = fault.start.replace(minute=0, second=0, microsecond=0) + HOUR
    idle = 0
    while hour + HOUR <= fault.end:
        if not any(s.begin < hour + HOUR and s.end > hour for s in fault.charged):
            idle += 1
        if idle >= needed:
            yield hour + HOUR
        hour += HOUR


def _after(minutes: float) -> Callable[[Fault, int], datetime | None]:
    return lambda fault, interval_s: fault.start + timedelta(minutes=minutes)


def _once_charged(enough: Callable[[Charged], bool]) -> Callable[[Fault, int], datetime | None]:
    return lambda fault, interval_s: _first_charged(fault, enough)


def _once_silent(thresholds: Silent) -> Callable[[Fault, int], datetime | None]:
    return lambda fault, interval_s: (
        fault.start + thresholds.intervals * timedelta(seconds=interval_s)
    )


_once_efficient = _once_charged(lambda s: s.dc_kwh >= 5 and s.end - s.begin >= 2.5 * HOUR)

EVIDENT: dict[AnomalyKind, Callable[[Fault, int], datetime | None]] = {
    "efficiency_low": _once_efficient,
    "efficiency_drop": _once_efficient,
    "dc_exceeds_ac": _once_charged(lambda session: session.dc_kwh >= 5),
    "standby_loss": lambda fault, _: next(_idle_hours(fault, StandbyLoss().hours), None),
    "vehicle_silent": _once_silent(VehicleSilent()),
    "meter_silent": _once_silent(MeterSilent()),
    "site_silent": _after(MeterSilent().intervals),  # its devices report every minute
    "voltage_out_of_range": _after(10),
    "battery_hot": _after(BatteryHot().minutes),
    "battery_cold_charging": _once_charged(lambda session: session.end - session.begin >= HOUR / 4),
    "soc_mismatch": _once_charged(lambda session: session.soc_gain >= 20),
    "clock_skew": _after(ClockSkew().minutes),
    "power_implausible": _once_charged(lambda session: session.dc_kwh >= 5),
    "soc_stuck": _once_charged(lambda s: s.dc_kwh >= 6 and s.soc_gain >= 12),
    "soc_scale": _once_charged(lambda s: s.dc_kwh >= 6 and s.soc_gain >= 12),
    "register_unstable": lambda fault, _: (
        fault.start + RegisterUnstable().times * timedelta(minutes=fault.numbers["everyMin"])
    ),
    "readings_refused": _after(ReadingsRefused().minutes),
}
"""By kind, when somebody can know of a fault that lasts from then on; seconds between readings."""


def _of_kind(
    kind: AnomalyKind,
    faults: Sequence[Fault],
    acceptable: Sequence[Acceptable],
    found: Sequence[OpenedAnomaly],
    intervals: Mapping[str, int],
) -> Scored:
    own = [fault for fault in faults if fault.kind == kind]
    neutral = [
        *(a for a in acceptable if a.kind == kind),
        *(
            Acceptable(kind, fault.subject, fault.start, fault.end, "")
            for fault in faults
            if kind in CONSEQUENCES.get(fault.kind, ())
        ),
    ]
    of_fault = [[one for one in found if _explains(fault, one)] for fault in own]
    right = [one for one in found if any(_explains(fault, one) for fault in own)]
    rest = [one for one in found if one not in right]
    wrong = [one for one in rest if not any(_explains(a, one) for a in neutral)]
    recalled = [(f, its) for f, its in zip(own, of_fault, strict=True) if its]
    causes = [(f.cause, {one.cause for one in its}) for f, its in recalled if f.cause]
    return Scored(
        kind=kind,
        faults=len(own),
        recalled=len(recalled),
        anomalies=len(right) + len(wrong),
        right=len(right),
        causes=len(causes) if kind in NAMES_CAUSES else None,
        causes_right=(
            sum(cause in named for cause, named in causes) if kind in NAMES_CAUSES else None
        ),
        delays_h=[
            (min(one.detected_at for one in its) - at) / HOUR
            for fault, its in recalled
            if (at := evident_at(fault, intervals.get(fault.subject.device_id, 60))) is not None
        ],
        missed=[_described(f) for f, its in zip(own, of_fault, strict=True) if not its],
        wrong=[_described(one) for one in wrong],
    )


def _explains(truth: Fault | Acceptable, one: OpenedAnomaly) -> bool:
    """Return whether an anomaly is about this, at that time."""
    return (
        truth.subject == one.subject
        and one.started_at <= truth.end + _SLACK
        and (one.ended_at is None or one.ended_at >= truth.start - _SLACK)
    )


def _described(what: Fault | OpenedAnomaly) -> str:
    if isinstance(what, OpenedAnomaly):
        ended = f"{what.ended_at:%m-%d %H:%M}" if what.ended_at else "now"
        return f"{what.device_id} {what.started_at:%m-%d %H:%M} to {ended} {what.cause or ''}"
    return (
        f"{what.subject.device_id} {what.start:%m-%d %H:%M} to {what.end:%m-%d %H:%M} "
        f"{what.variant or ''} {what.numbers}"
    )


def _added(same: Sequence[Scored]) -> Scored:
    def known(name: str) -> int | None:
        values = [getattr(line, name) for line in same]
        return None if None in values else sum(values)

    return Scored(
        kind=same[0].kind,
        faults=sum(line.faults for line in same),
        recalled=sum(line.recalled for line in same),
        anomalies=sum(line.anomalies for line in same),
        right=sum(line.right for line in same),
        causes=known("causes"),
        causes_right=known("causes_right"),
        delays_h=[delay for line in same for delay in line.delays_h],
        missed=[each for line in same for each in line.missed],
        wrong=[each for line in same for each in line.wrong],
    )
