"""More DC delivered at a meter than it metered AC: suspected by the hour, decided by readings.

The hour says that there is too much (suspects.py), the curves of readings say whose it is and why
(explain.py). When an hour's readings are not sure of the cause, those of the next hour are asked as
well, and then the likeliest counts. When that is none, whatever the meter shows later is asked
again, up to half a day, and the anomaly gets the cause that it shows (unexplained.py).
"""

from datetime import datetime, timedelta
from typing import cast

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.dc_exceeds_ac import unexplained
from fleetmeter.anomalies.rules.dc_exceeds_ac.evidence import (
    Evidence,
    Found,
    step_mwh,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.explain import explain
from fleetmeter.anomalies.rules.dc_exceeds_ac.gather import Asked, Said, gather
from fleetmeter.anomalies.rules.dc_exceeds_ac.suspects import (
    KIND,
    LONGEST,
    Excess,
    Group,
    exceeding,
    exceeds,
    groups,
    has_surplus,
    largest,
)
from fleetmeter.anomalies.rules.shared.context import HourContext, is_open
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Needs
from fleetmeter.anomalies.rules.shared.sessions import Followed
from fleetmeter.anomalies.rules.shared.state import Suspicion
from fleetmeter.anomalies.thresholds.parameters import DcExceedsAc
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

_WAITS = timedelta(minutes=95)
"""After a vehicle's first DC: by then its meter has shown what it ever will, if late or early."""

_FITTING = 0.7
"""Of a session's DC that must have been at a meter that covered its hours, to say that it fits."""


def need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the curves of all that may explain an excess."""
    asked = Asked(hour, needs)
    for group in groups(hour, rulebook):
        asked.whole(group.meter_id, group.begins, group.since)
        for meter_id in group.candidates:
            asked.near("meter", meter_id, group.since)
        for vehicle_id in (id_ for ids in group.takers.values() for id_ in ids):
            asked.near("vehicle", vehicle_id, group.since)
    unexplained.need(hour, asked)
    known = hour.opened.get(KIND)
    for subject, _, session in hour.ending() if known else ():
        if subject in (known or ()) and session.meter is not None and not session.doubtful:
            asked.near("vehicle", subject.device_id, session.hours[0].hour)
            asked.near("meter", session.meter, session.hours[0].hour)


def judge(context: HourContext) -> set[str]:
    """Apply the rule to this hour; vehicles whose AC says nothing in it, because of an excess."""
    doubtful: set[str] = set()
    excesses = exceeding(context.hour, context.rulebook)
    found = list(groups(context.hour, context.rulebook))
    for meter_id, excess in excesses.items():
        for row in context.hour.at_meter[meter_id] if excess.is_covered else ():
            doubtful.add(row.vehicle_id)
            if exceeds(context.hour, row.vehicle_id):
                context.condition(KIND, Subject("vehicle", row.vehicle_id)).at = context.ends
                unexplained.goes_on(context, row.vehicle_id, excess)
    for group in found:
        _judge_group(context, group)
    judged = {group.meter_id for group in found}
    for subject, state in context.hour.suspected:
        if subject.device_id not in judged and not _waits(context, state.suspicion):
            context.state_of(subject)
            state.suspicion = None
    for excess in excesses.values():
        if not excess.is_covered and excess.meter_id not in judged:
            _suspect(context, excess)
    unexplained.judge(context)
    _remember_unclaimed(context)
    for subject, state in context.hour.elsewhere:
        rows = context.hour.charging.get(subject.device_id, ())
        if rows and all(row.meter_id != state.other_meter for row in rows):
            there = context.hour.at_meter.get(state.other_meter or "", ())
            doubtful.update(row.vehicle_id for row in there)
    return doubtful


def _waits(context: HourContext, suspicion: Suspicion | None) -> bool:
    """Whether a meter that did not report may still show what was delivered there."""
    return suspicion is not None and suspicion.until is not None and context.ends < suspicion.until


def _suspect(context: HourContext, excess: Excess) -> None:
    """Remember DC at a meter that did not report, until it may have shown it at another time."""
    rows = context.hour.at_meter[excess.meter_id]
    ids = {row.vehicle_id for row in rows if not exceeds(context.hour, row.vehicle_id)}
    if not ids:
        return
    state = context.state_of(Subject("meter", excess.meter_id))
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
    """Meters that metered what no vehicle took: it may be of one whose clock is wrong."""
    for meter_id in context.hour.belonging:
        if meter_id in context.hour.meters and has_surplus(context.hour, meter_id):
            context.state_of(Subject("meter", meter_id)).unclaimed = context.ends


def _judge_group(context: HourContext, group: Group) -> None:
    of_meter = Subject("meter", group.meter_id)
    state = context.states.get(of_meter)
    suspicion = None if state is None else state.suspicion
    parameters = cast(DcExceedsAc, context.parameters(KIND, Subject("vehicle", group.suspects[0])))
    given = gather(
        context,
        group.meter_id,
        group.begins,
        takers=group.takers,
        candidates=group.candidates,
        is_covered=group.is_covered,
    )
    if group.is_covered and group.dc_mwh - group.ac_mwh <= step_mwh(given.meter_points):
        if suspicion is not None:
            context.state_of(of_meter).suspicion = None
        return
    explanation = explain(given, parameters, group.suspects)
    until = None
    if group.is_covered:
        is_final = explanation.is_sure or context.ends - _first_dc(given, group) >= _WAITS
    else:
        goes_on = suspicion is None or group.meter_id in context.hour.at_meter
        until = context.ends + LONGEST if suspicion is None or goes_on else suspicion.until
        is_final = bool(explanation.found) or (until is not None and context.ends >= until)
    if not is_final:
        context.state_of(of_meter).suspicion = Suspicion(
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
        context.state_of(of_meter).suspicion = None
    for found in explanation.found:
        if explanation.is_sure or found.cause != "missing_ac_readings":
            _open(context, group, given, found)


def _first_dc(given: Evidence, group: Group) -> datetime:
    times = (
        point.time
        for id_ in group.suspects
        for point in given.vehicle_points[id_]
        if point.energy_mwh > 0 and point.time > group.begins[id_]
    )
    return min(times, default=group.since)


def _open(context: HourContext, group: Group, given: Evidence, found: Found) -> None:
    subject = Subject("vehicle", found.vehicle_id)
    hour = group.dc_mwh, group.ac_mwh
    said = Said(given, group.meter_id, found, group.begins[found.vehicle_id], hour)
    state = context.state_of(subject)
    state.other_meter = found.evidence.get("otherMeterId")
    if found.cause == "unknown":
        state.unexplained = unexplained.of(context, group.meter_id, said.begins, hour)
    context.breach(KIND, subject, said.since, said.summary, said.evidence, found.cause)


def judge_session(context: HourContext, followed: Followed) -> None:
    """A session that ended without an excess: it is over, unless the clocks differ still."""
    subject, state, session, is_over = followed
    if not is_over or session.meter is None or session.doubtful:
        return
    parameters = cast(DcExceedsAc, context.parameters(KIND, subject))
    dc_mwh = sum(hour.dc_mwh for hour in session.hours)
    if session.fitting_mwh < max(parameters.clear_kwh * 1e6, _FITTING * dc_mwh):
        return
    begins = session.hours[0].hour
    if not is_open(state, KIND):
        if parameters.enabled:
            context.clear(KIND, subject, begins, "")
        return
    given = gather(context, session.meter, {subject.device_id: begins}, only_near=True)
    explanation = explain(given, parameters, [subject.device_id])
    if any(found.cause == "clock_offset" for found in explanation.found):
        context.condition(KIND, subject).at = context.ends
        return
    state.other_meter = state.unexplained = None
    context.clear(
        KIND,
        subject,
        begins,
        f"a session at {session.meter} with {dc_mwh / 1e6:.1f} kWh fits its meter",
        {"dcKwh": round(dc_mwh / 1e6, 3), "meterId": session.meter},
    )
