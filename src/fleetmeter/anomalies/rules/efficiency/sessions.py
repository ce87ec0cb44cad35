"""Sessions whose efficiency is too low: as such, or against the vehicle's own sessions before."""

from statistics import median
from typing import cast

from fleetmeter.anomalies.model import Kind, Subject
from fleetmeter.anomalies.rules.efficiency.baseline import (
    EARLY_HOURS,
    Judgement,
    judged,
)
from fleetmeter.anomalies.rules.shared.context import HourContext, is_open
from fleetmeter.anomalies.rules.shared.sessions import Followed, since_drive
from fleetmeter.anomalies.rules.shared.state import (
    EMPTY_AFTER,
    DeviceState,
    Judged,
    Session,
)
from fleetmeter.anomalies.thresholds.parameters import Efficiency, EfficiencyDrop, EfficiencyLow

_MOST_JUDGED = 40

_SHORT = 2
"""Short sessions in a row that have to be low."""

_MAD_TO_SIGMA = 1.4826


def judge(context: HourContext, followed: Followed) -> None:
    """Apply both rules to a session that is over, or that has gone on for long enough."""
    subject, state, whole, is_over = followed
    session = since_drive(whole)
    if session.meter is None or session.doubtful:
        return
    if not is_over and len(session.hours) <= EARLY_HOURS:
        return
    followed = Followed(subject, state, session, is_over)
    low = cast(EfficiencyLow, context.parameters("efficiency_low", subject))
    drop = cast(EfficiencyDrop, context.parameters("efficiency_drop", subject))
    found = judged(session, low, is_over)
    if found is not None and low.enabled and "efficiency_low" not in session.found:
        _judge_low(context, followed, low, found)
    if any(getattr(low, name) != getattr(drop, name) for name in Efficiency.__struct_fields__):
        found = judged(session, drop, is_over)
    if found is not None and found.is_sure:
        _judge_drop(context, followed, drop, found)


def _judge_low(
    context: HourContext, followed: Followed, parameters: EfficiencyLow, found: Judgement
) -> None:
    subject, _, session, is_over = followed
    begins = session.hours[0].hour
    below = -(found.best + found.cold)
    evidence = _evidence(session, found) | {
        "threshold": round(found.expected - found.cold - parameters.margin, 3)
    }
    if below > parameters.margin and found.is_short:
        condition = context.condition("efficiency_low", subject)
        condition.count, condition.at = condition.count + 1, context.ends
        if condition.count < _SHORT and not condition.open:
            return
    if below > parameters.margin:
        _found(session, "efficiency_low", is_over)
        context.breach(
            "efficiency_low",
            subject,
            begins,
            f"{subject.device_id} charged at {session.meter} with an efficiency of "
            f"{found.efficiency:.3f} at {found.power_kw:.1f} kW, where {found.expected:.3f} is "
            f"expected ({_kwh(found)})",
            evidence,
        )
    elif below < parameters.clear_margin and is_over:
        summary = f"a session reached {found.efficiency:.3f} at {found.power_kw:.1f} kW again"
        context.clear("efficiency_low", subject, begins, summary, evidence)


def _judge_drop(
    context: HourContext, followed: Followed, parameters: EfficiencyDrop, found: Judgement
) -> None:
    subject, state, session, is_over = followed
    if parameters.enabled and "efficiency_drop" not in session.found:
        _compare(context, subject, state, session, found, parameters, is_over)
    if is_over:
        residual = round(found.residual, 4)
        # what nobody measured may have cost this session most, and those it is compared with least
        cold = 0.0 if found.temp_c is None else round(found.cold, 4)
        oldest = context.ends - EMPTY_AFTER
        kept = [each for each in state.judged if each.ended > oldest]
        state.judged = [*kept, Judged(context.ends, residual, cold)][-_MOST_JUDGED:]


def _compare(
    context: HourContext,
    subject: Subject,
    state: DeviceState,
    session: Session,
    found: Judgement,
    parameters: EfficiencyDrop,
    is_over: bool,
) -> None:
    """One session against those before it, each corrected by half of what cold may have cost.

    How much it really costs differs: by how much the allowances differ, the thresholds give way.
    """
    before = [
        each
        for each in state.judged
        if (context.ends - each.ended).total_seconds() <= parameters.baseline_days * 86400
    ]
    if len(before) < parameters.minimum_sessions:
        return
    values = [each.residual + each.cold / 2 for each in before]
    usual = median(values)
    sigma = _MAD_TO_SIGMA * median(abs(value - usual) for value in values)
    colder = abs(found.cold - median(each.cold for each in before)) / 2
    tolerance = max(parameters.mad_factor * sigma, parameters.least_drop) + colder
    begins = session.hours[0].hour
    # as lenient as efficiency_low: energy that moved from hour to hour is no drop
    below = usual - (found.best + found.cold / 2)
    evidence = _evidence(session, found) | {
        "usual": round(found.expected - found.cold / 2 + usual, 3),
        "drop": round(below, 3),
        "threshold": round(tolerance, 3),
        "sessions": len(before),
    }
    if below > tolerance:
        _found(session, "efficiency_drop", is_over)
        context.breach(
            "efficiency_drop",
            subject,
            begins,
            f"{subject.device_id} charged at {session.meter} with an efficiency of "
            f"{found.efficiency:.3f}, {below * 100:.0f} points less than in its last "
            f"{len(before)} sessions ({_kwh(found)})",
            evidence,
        )
    elif below < parameters.clear_share * tolerance and is_over:
        if is_open(state, "efficiency_drop"):
            summary = f"a session reached {found.efficiency:.3f} again, as usual"
        else:
            summary = ""
        context.clear("efficiency_drop", subject, begins, summary, evidence)


def _found(session: Session, kind: Kind, is_over: bool) -> None:
    if not is_over:
        session.found.append(kind)


def _kwh(found: Judgement) -> str:
    return f"{found.dc_kwh:.1f} of {found.ac_kwh:.1f} kWh"


def _evidence(session: Session, found: Judgement) -> dict[str, object]:
    return {
        "efficiency": round(found.efficiency, 3),
        "expected": round(found.expected, 3),
        "powerKw": round(found.power_kw, 2),
        "acKwh": round(found.ac_kwh, 3),
        "dcKwh": round(found.dc_kwh, 3),
        "hours": len(found.hours),
        "batteryTempC": None if found.temp_c is None else round(found.temp_c, 1),
        "coldAllowance": round(found.cold, 3),
        "meterId": session.meter,
    }
