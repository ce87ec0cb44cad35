"""Finds vehicles that took more DC at a meter than it metered AC.

The hour says that there is too much (suspects.py), the curves of readings say whose it is and why
(explain.py). When an hour's readings are not sure of the cause, those of the next hour are asked as
well, and then the likeliest counts. When that is none, whatever the meter shows later is asked
again, up to half a day, and the anomaly gets the cause that it shows (unexplained.py).
"""

from datetime import datetime, timedelta

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.dc_exceeds_ac import unexplained
from fleetmeter.anomalies.rules.dc_exceeds_ac.case import (
    Case,
    Finding,
    step_mwh,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.explain import explain
from fleetmeter.anomalies.rules.dc_exceeds_ac.gather import ReadingRequests, gather
from fleetmeter.anomalies.rules.dc_exceeds_ac.report import Report
from fleetmeter.anomalies.rules.dc_exceeds_ac.state import (
    LONGEST,
    MeterExcess,
    Suspicion,
    VehicleExcess,
    hold,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.suspects import (
    KIND,
    Excess,
    Group,
    find_excesses,
    groups,
    has_surplus,
    is_known_to_exceed,
    largest,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.thresholds import DcExceedsAc
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Needs
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.shared.sessions import FollowedSession, ending_sessions
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

_WAITS = timedelta(minutes=95)
"""Time after a vehicle's first DC by which its meter has shown it, however late or early."""

_FITTING = 0.7
"""Part of a session's DC that must lie in hours that the meter covered, to say that it fits."""


def _need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Request the curves of all devices that may explain an excess."""
    requests = ReadingRequests(hour, needs)
    for group in groups(hour, rulebook):
        requests.whole(group.meter_id, group.begins, group.since)
        for meter_id in group.candidates:
            requests.near("meter", meter_id, group.since)
        for vehicle_id in (id_ for ids in group.takers.values() for id_ in ids):
            requests.near("vehicle", vehicle_id, group.since)
    unexplained.need(hour, requests)
    exceeding = hour.opened.get(KIND)
    for subject, session in ending_sessions(hour) if exceeding else ():
        if subject in (exceeding or ()) and session.meter is not None and not session.doubtful:
            requests.near("vehicle", subject.device_id, session.hours[0].hour)
            requests.near("meter", session.meter, session.hours[0].hour)


def _judge(context: HourContext) -> None:
    """Judge each meter; note vehicles whose AC says nothing in this hour, because of an excess."""
    hour = context.hour
    elsewhere, unexplained_before = [], []
    for subject, excess_before in hour.having(VehicleExcess):
        if excess_before.other_meter is not None:
            elsewhere.append((subject, excess_before))
        if excess_before.unexplained is not None:
            unexplained_before.append(subject)
    excesses = find_excesses(hour, context.rulebook)
    found = list(groups(hour, context.rulebook))
    for meter_id, excess in excesses.items():
        for row in hour.at_meter[meter_id] if excess.is_covered else ():
            context.doubtful.add(row.vehicle_id)
            if is_known_to_exceed(hour, row.vehicle_id):
                context.condition(KIND, Subject("vehicle", row.vehicle_id)).at = context.ends
                unexplained.extend(context, row.vehicle_id, excess)
    for group in found:
        _judge_group(context, group)
    judged = {group.meter_id for group in found}
    for subject, at_meter in hour.having(MeterExcess):
        if at_meter.suspicion is None or subject.device_id in judged:
            continue
        if not _waits(context, at_meter.suspicion):
            context.change(subject, MeterExcess).suspicion = None
    for excess in excesses.values():
        if not excess.is_covered and excess.meter_id not in judged:
            _suspect(context, excess)
    unexplained.judge(context, unexplained_before)
    _remember_unclaimed(context)
    for subject, by_vehicle in elsewhere:
        rows = hour.charging.get(subject.device_id, ())
        if rows and all(row.meter_id != by_vehicle.other_meter for row in rows):
            there = hour.at_meter.get(by_vehicle.other_meter or "", ())
            context.doubtful.update(row.vehicle_id for row in there)


def _waits(context: HourContext, suspicion: Suspicion) -> bool:
    """Return whether a meter that did not report may still show the energy delivered there."""
    return suspicion.until is not None and context.ends < suspicion.until


def _suspect(context: HourContext, excess: Excess) -> None:
    """Remember DC at a meter that did not report, until it may have shown it."""
    rows = context.hour.at_meter[excess.meter_id]
    ids = {row.vehicle_id for row in rows if not is_known_to_exceed(context.hour, row.vehicle_id)}
    if not ids:
        return
    state = context.change(Subject("meter", excess.meter_id), MeterExcess)
    before = state.suspicion
    state.suspicion = Suspicion(
        context.hour.starts if before is None else before.since,
        sorted(ids | set(before.vehicles if before else ())),
        [],
        *largest(excess, before),
        is_covered=False,
        until=context.ends + LONGEST,
    )


def _remember_unclaimed(context: HourContext) -> None:
    """Note meters with energy that no vehicle took: it may belong to one whose clock is wrong."""
    for meter_id in context.hour.belonging:
        if meter_id in context.hour.meters and has_surplus(context.hour, meter_id):
            context.change(Subject("meter", meter_id), MeterExcess).unclaimed = context.ends


def _judge_group(context: HourContext, group: Group) -> None:
    of_meter = Subject("meter", group.meter_id)
    state = context.read(of_meter, MeterExcess)
    suspicion = None if state is None else state.suspicion
    thresholds = context.thresholds(DcExceedsAc, Subject("vehicle", group.suspects[0]))
    case = gather(
        context,
        group.meter_id,
        group.begins,
        takers=group.takers,
        candidates=group.candidates,
        is_covered=group.is_covered,
    )
    if group.is_covered and group.dc_mwh - group.ac_mwh <= step_mwh(case.meter_points):
        if suspicion is not None:
            context.change(of_meter, MeterExcess).suspicion = None
        return
    explanation = explain(case, thresholds, group.suspects)
    until = None
    if group.is_covered:
        is_final = explanation.is_sure or context.ends - _first_dc(case, group) >= _WAITS
    else:
        goes_on = suspicion is None or group.meter_id in context.hour.at_meter
        until = context.ends + LONGEST if suspicion is None or goes_on else suspicion.until
        is_final = bool(explanation.found) or (until is not None and context.ends >= until)
    if not is_final:
        context.change(of_meter, MeterExcess).suspicion = Suspicion(
            group.since,
            sorted(group.begins),
            group.candidates,
            group.dc_mwh,
            group.ac_mwh,
            group.is_covered,
            until,
        )
        return
    if suspicion is not None:
        context.change(of_meter, MeterExcess).suspicion = None
    for found in explanation.found:
        if explanation.is_sure or found.cause != "missing_ac_readings":
            _open(context, group, case, found)


def _first_dc(case: Case, group: Group) -> datetime:
    times = (
        point.time
        for id_ in group.suspects
        for point in case.vehicle_points[id_]
        if point.energy_mwh > 0 and point.time > group.begins[id_]
    )
    return min(times, default=group.since)


def _open(context: HourContext, group: Group, case: Case, found: Finding) -> None:
    subject = Subject("vehicle", found.vehicle_id)
    hour = group.dc_mwh, group.ac_mwh
    report = Report(case, group.meter_id, found, group.begins[found.vehicle_id], hour)
    state = context.change(subject, VehicleExcess)
    state.other_meter = found.evidence.get("otherMeterId")
    if found.cause == "unknown":
        state.unexplained = unexplained.begin(context, group.meter_id, report.begins, hour)
    context.breach(KIND, subject, report.since, report.summary, report.evidence, found.cause)


def _judge_session(context: HourContext, followed: FollowedSession) -> None:
    """Clear the anomaly when a session ends without an excess, unless the clocks still differ."""
    subject, session = followed.subject, followed.session
    if not followed.is_over or session.meter is None or session.doubtful:
        return
    thresholds = context.thresholds(DcExceedsAc, subject)
    dc_mwh = sum(hour.dc_mwh for hour in session.hours)
    if session.fitting_mwh < max(thresholds.clear_kwh * 1e6, _FITTING * dc_mwh):
        return
    begins = session.hours[0].hour
    if not context.is_open(KIND, subject):
        if thresholds.enabled:
            context.clear(KIND, subject, begins, "")
        return
    case = gather(context, session.meter, {subject.device_id: begins}, only_near=True)
    explanation = explain(case, thresholds, [subject.device_id])
    if any(found.cause == "clock_offset" for found in explanation.found):
        context.condition(KIND, subject).at = context.ends
        return
    state = context.change(subject, VehicleExcess)
    state.other_meter = state.unexplained = None
    context.clear(
        KIND,
        subject,
        begins,
        f"a session at {session.meter} with {dc_mwh / 1e6:.1f} kWh fits its meter",
        {"dcKwh": round(dc_mwh / 1e6, 3), "meterId": session.meter},
    )


DC_EXCEEDS_AC = Rule(
    thresholds=DcExceedsAc,
    title="More delivered than consumed",
    description="In an hour that the meter covers, more DC was delivered at it than it metered AC. "
    "The readings show which vehicle and why: another meter's curve fits, the clocks differ (by up "
    "to 12 hours), readings are missing, the register was reset, or the meter reports late and in "
    "lumps.",
    source="Energy is conserved, so any excess is an error. 4 % is what a meter of class B of EN "
    "50470 (1 to 2 %) and a vehicle's own measurement may differ by; 0.4 kWh is two minutes at 11 "
    "kW, what clocks and the edges of intervals may shift between hours.",
    severity="warning",
    device_kinds=("vehicle",),
    phase=Phase.BALANCE,
    states=(VehicleExcess, MeterExcess),
    needs=_need,
    judge=_judge,
    judge_session=_judge_session,
    looks_around=True,
    hold=hold,
)
