"""Finds powers that cannot be: suspected by an hour's energy, decided by readings above the limit.

A register in Wh may rise by so much that its rises count for nothing, as those to a spurious value
or to another meter's do. Two in a row that are a power when divided by a thousand are neither.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple

from msgspec import Meta

from fleetmeter.anomalies.model import Cause, Subject
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import LEAST_CHARGED_MWH, ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Needs, Peak, PeakPoint
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.shared.state import State
from fleetmeter.anomalies.thresholds.base import ReopenWithin, Thresholds
from fleetmeter.anomalies.thresholds.rulebook import Rulebook


class PowerImplausible(Thresholds, frozen=True, kw_only=True):
    """Thresholds of power_implausible."""

    kind = "power_implausible"

    reopen_within_h: ReopenWithin = 168.0
    factor: Annotated[
        float, Meta(ge=1, le=100, description="Opens above ratedPowerKw times this.")
    ] = 1.5
    unrated_kw: Annotated[
        float,
        Meta(ge=1, le=1_000_000, description="Opens above this if no rated power is set, kW."),
    ] = 1000.0
    minutes: Annotated[
        float, Meta(ge=1, le=60, description="How long without a break, minutes.")
    ] = 15.0
    clear_h: Annotated[
        float,
        Meta(ge=1, le=168, description="Clears after this long without such a power, hours."),
    ] = 24.0


_KIND = PowerImplausible.kind

_LEAST_CHARGING = 0.05
"""Least part of the limit that charging takes, to say that a thousandth of a power fits."""


class PowerState(State):
    """Remembers whether the last hour ended with an implausible power."""

    peaking: bool = False


class _Suspect(NamedTuple):
    subject: Subject
    limit_w: float
    rated_w: int | None
    thresholds: PowerImplausible

    def fits_as_wh(self, power_w: float) -> bool:
        """Return whether a thousandth of a power is plausible for a charge."""
        least_w = _LEAST_CHARGING * (self.rated_w or self.limit_w / 1000)
        return least_w <= power_w / 1000 <= self.limit_w


def _suspects(hour: ObservedHour, rulebook: Rulebook) -> Iterator[_Suspect]:
    """Find devices whose energy of the hour may be that of half of the minutes above the limit, the
    other half being of another hour; those that were above it when the hour began; and those
    whose register may have risen by what cannot be."""
    goes_on = {subject for subject, state in hour.having(PowerState) if state.peaking}
    goes_on |= {Subject("meter", row.meter_id) for row in hour.meter_rows if row.resets}
    goes_on |= {Subject("vehicle", row.vehicle_id) for row in hour.vehicle_rows if row.resets}
    for subject, energy_mwh in _energies(hour):
        device = hour.devices.get(subject)
        thresholds = rulebook.of(PowerImplausible, subject, device.site if device else None)
        rated_w = None if device is None else device.rated_power_w
        if not rated_w and device is not None and device.role not in (None, "charger"):
            continue  # a depot may well take megawatts
        limit_w = thresholds.factor * rated_w if rated_w else thresholds.unrated_kw * 1000
        least_mwh = limit_w * 1000 * thresholds.minutes / 60
        if thresholds.enabled and (energy_mwh >= least_mwh / 2 or subject in goes_on):
            yield _Suspect(subject, limit_w, rated_w, thresholds)


def _energies(hour: ObservedHour) -> Iterator[tuple[Subject, int]]:
    for meter_id in hour.meters:
        yield Subject("meter", meter_id), hour.metered_mwh(meter_id)
    dc_mwh: dict[str, int] = {}
    for row in hour.vehicle_rows:
        if row.dc_mwh >= LEAST_CHARGED_MWH or row.resets:
            dc_mwh[row.vehicle_id] = dc_mwh.get(row.vehicle_id, 0) + row.dc_mwh
    for vehicle_id, energy_mwh in dc_mwh.items():
        yield Subject("vehicle", vehicle_id), energy_mwh


def _need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Request the readings above the limit, of the hour and the minutes before it."""
    for subject, limit_w, _, thresholds in _suspects(hour, rulebook):
        back = timedelta(minutes=thresholds.minutes)
        back = max(back, timedelta(seconds=1.5 * hour.interval_s(subject)))
        needs.peaks[subject] = Peak(hour.starts - back, limit_w)


def _judge(context: HourContext) -> None:
    opened = set(context.hour.opened.get(_KIND, ()))
    suspects = list(_suspects(context.hour, context.rulebook))
    for subject, _ in context.hour.having(PowerState):
        context.change(subject, PowerState).peaking = False
    for suspect in suspects:
        least = timedelta(minutes=suspect.thresholds.minutes)
        gap = timedelta(seconds=1.5 * context.hour.interval_s(suspect.subject))
        points = context.answers.peaks.get(suspect.subject, ())
        plausible = [p for p in points if not p.is_jump or suspect.fits_as_wh(_power_w(p))]
        runs = [run for run in _runs(plausible, gap) if run.points[-1].time > context.hour.starts]
        runs = [run for run in runs if len(run.points) > 1 or not run.points[0].is_jump]
        if runs and context.ends - runs[-1].points[-1].time <= gap:
            context.change(suspect.subject, PowerState).peaking = True
        runs = [run for run in runs if run.lasts >= least and run.mean_w > suspect.limit_w]
        if found := max(runs, key=lambda run: run.lasts, default=None):
            _breach(context, suspect, found)
            opened.discard(suspect.subject)
    for subject in sorted(opened):
        _judge_over(context, subject)


class _Run(NamedTuple):
    """Readings above the limit, one after the other."""

    points: list[PeakPoint]

    @property
    def lasts(self) -> timedelta:
        return self.points[-1].time - _begins(self.points[0])

    @property
    def mean_w(self) -> float:
        """Return the mean over the whole run: a coarse register shows nothing in many intervals."""
        return sum(point.energy_mwh for point in self.points) * 3.6 / self.lasts.total_seconds()


def _power_w(point: PeakPoint) -> float:
    return point.energy_mwh * 3600 / point.span_ms


def _begins(point: PeakPoint) -> datetime:
    return point.time - timedelta(milliseconds=point.span_ms)


def _runs(points: Sequence[PeakPoint], gap: timedelta) -> list[_Run]:
    runs: list[_Run] = []
    for point in points:
        if runs and _begins(point) - runs[-1].points[-1].time <= gap:
            runs[-1].points.append(point)
        else:
            runs.append(_Run([point]))
    return runs


def _breach(context: HourContext, suspect: _Suspect, run: _Run) -> None:
    subject, limit_w, rated_w, _ = suspect
    mean_kw, limit_kw = run.mean_w / 1000, limit_w / 1000
    is_wh = suspect.fits_as_wh(run.mean_w)
    cause: Cause = "unit_wh" if is_wh else "unknown"
    minutes = run.lasts.total_seconds() / 60
    than = f"is rated at {rated_w / 1000:g} kW" if rated_w else f"has a limit of {limit_kw:g} kW"
    why = f": {mean_kw / 1000:.3g} kW would fit, so it probably sends Wh as kWh" if is_wh else ""
    summary = (
        f"{subject.device_id} reported {mean_kw:,.1f} kW for {minutes:.0f} minutes, and {than}{why}"
    )
    evidence = {
        "meanKw": round(mean_kw, 3),
        "minutes": round(minutes, 1),
        "limitKw": round(limit_kw, 3),
        "ratedPowerKw": None if rated_w is None else rated_w / 1000,
    }
    if is_wh and context.condition(_KIND, subject).cause == "unknown":
        # as when a charge follows the standby of a meter that sends Wh
        context.revise(_KIND, subject, summary, evidence, cause)
    context.breach(_KIND, subject, _begins(run.points[0]), summary, evidence, cause)


def _judge_over(context: HourContext, subject: Subject) -> None:
    """Clear the anomaly after a day of energy without any above the limit."""
    thresholds = context.thresholds(PowerImplausible, subject)
    at = context.last_found(_KIND, subject)
    has_energy = any(of == subject and energy > 0 for of, energy in _energies(context.hour))
    if at is not None and has_energy and context.ends - at >= timedelta(hours=thresholds.clear_h):
        summary = f"nothing above the limit for {thresholds.clear_h:g} hours"
        context.clear(_KIND, subject, at, summary)


POWER_IMPLAUSIBLE = Rule(
    thresholds=PowerImplausible,
    title="Implausible power",
    description="A device reported more energy than is possible: a meter above its rated power, or "
    "any device above a megawatt. Where a thousandth of it is plausible, watt-hours are sent as "
    "kilowatt-hours.",
    source="A convention: half as much again as the rated power leaves room for a rating that "
    "leaves out a phase or a second outlet; 15 minutes, for readings that come in lumps.",
    severity="warning",
    device_kinds=("vehicle", "meter"),
    phase=Phase.DEVICE,
    states=(PowerState,),
    needs=_need,
    judge=_judge,
)
