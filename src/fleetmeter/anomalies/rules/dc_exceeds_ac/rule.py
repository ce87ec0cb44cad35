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
from fleetmeter.anomalies.rules.shared.context import HourTurn, is_open
from fleetmeter.anomalies.rules.shared.hour import Observed
from fleetmeter.anomalies.rules.shared.needs import Needs
from fleetmeter.anomalies.rules.shared.sessions import Followed
from fleetmeter.anomalies.rules.shared.state import Suspicion
from fleetmeter.anomalies.thresholds.parameters import DcExceedsAc
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

_WAITS = timedelta(minutes=95)
"""After a vehicle's first DC: by then its meter has shown what it ever will, if late or early."""

_FITTING = 0.7
"""Of a session's DC that must have been at a meter that covered its hours, to say that it fits."""


def need(observed: Observed, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the curves of all that may explain an excess."""
    asked = Asked(observed, needs)
    for group in groups(observed, rulebook):
        asked.whole(group.meter_id, group.begins, group.since)
        for meter_id in group.candidates:
            asked.near("meter", meter_id, group.since)
        for vehicle_id in (id_ for ids in group.takers.values() for id_ in ids):
            asked.near("vehicle", vehicle_id, group.since)
    unexplained.need(observed, asked)
    known = observed.opened.get(KIND)
    for subject, _, session in observed.ending() if known else ():
        if subject in (known or ()) and session.meter is not None and not session.doubtful:
            asked.near("vehicle", subject.device_id, session.hours[0].hour)
            asked.near("meter", session.meter, session.hours[0].hour)


def judge(turn: HourTurn, observed: Observed) -> set[str]:
    """Apply the rule to this hour; vehicles whose AC says nothing in it, because of an excess."""
    doubtful: set[str] = set()
    excesses = exceeding(observed, turn.rulebook)
    found = list(groups(observed, turn.rulebook))
    for meter_id, excess in excesses.items():
        for row in observed.at_meter[meter_id] if excess.is_covered else ():
            doubtful.add(row.vehicle_id)
            if exceeds(observed, row.vehicle_id):
                turn.condition(KIND, Subject("vehicle", row.vehicle_id)).at = turn.ends
                unexplained.goes_on(turn, observed, row.vehicle_id, excess)
    for group in found:
        _judge_group(turn, observed, group)
    judged = {group.meter_id for group in found}
    for subject, memory in observed.suspected:
        if subject.device_id not in judged and not _waits(turn, memory.suspicion):
            turn.remembered(subject)
            memory.suspicion = None
    for excess in excesses.values():
        if not excess.is_covered and excess.meter_id not in judged:
            _suspect(turn, observed, excess)
    unexplained.judge(turn, observed)
    _remember_unclaimed(turn, observed)
    for subject, memory in observed.elsewhere:
        rows = observed.charging.get(subject.device_id, ())
        if rows and all(row.meter_id != memory.other_meter for row in rows):
            there = observed.at_meter.get(memory.other_meter or "", ())
            doubtful.update(row.vehicle_id for row in there)
    return doubtful


def _waits(turn: HourTurn, suspicion: Suspicion | None) -> bool:
    """Whether a meter that did not report may still show what was delivered there."""
    return suspicion is not None and suspicion.until is not None and turn.ends < suspicion.until


def _suspect(turn: HourTurn, observed: Observed, excess: Excess) -> None:
    """Remember DC at a meter that did not report, until it may have shown it at another time."""
    rows = observed.at_meter[excess.meter_id]
    ids = {row.vehicle_id for row in rows if not exceeds(observed, row.vehicle_id)}
    if not ids:
        return
    memory = turn.remembered(Subject("meter", excess.meter_id))
    before = memory.suspicion
    memory.suspicion = Suspicion(
        turn.hour.starts if before is None else before.since,
        sorted(ids | set(before.vehicles if before else ())),
        [],
        *largest(excess, before),
        is_covered=False,
        until=turn.ends + LONGEST,
    )


def _remember_unclaimed(turn: HourTurn, observed: Observed) -> None:
    """Meters that metered what no vehicle took: it may be of one whose clock is wrong."""
    for meter_id in observed.belonging:
        if meter_id in observed.meters and has_surplus(observed, meter_id):
            turn.remembered(Subject("meter", meter_id)).unclaimed = turn.ends


def _judge_group(turn: HourTurn, observed: Observed, group: Group) -> None:
    of_meter = Subject("meter", group.meter_id)
    memory = turn.memories.get(of_meter)
    suspicion = None if memory is None else memory.suspicion
    parameters = cast(DcExceedsAc, turn.parameters(KIND, Subject("vehicle", group.suspects[0])))
    given = gather(
        turn,
        observed,
        group.meter_id,
        group.begins,
        takers=group.takers,
        candidates=group.candidates,
        is_covered=group.is_covered,
    )
    if group.is_covered and group.dc_mwh - group.ac_mwh <= step_mwh(given.meter_points):
        if suspicion is not None:
            turn.remembered(of_meter).suspicion = None
        return
    explanation = explain(given, parameters, group.suspects)
    until = None
    if group.is_covered:
        is_final = explanation.is_sure or turn.ends - _first_dc(given, group) >= _WAITS
    else:
        goes_on = suspicion is None or group.meter_id in observed.at_meter
        until = turn.ends + LONGEST if suspicion is None or goes_on else suspicion.until
        is_final = bool(explanation.found) or (until is not None and turn.ends >= until)
    if not is_final:
        turn.remembered(of_meter).suspicion = Suspicion(
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
        turn.remembered(of_meter).suspicion = None
    for found in explanation.found:
        if explanation.is_sure or found.cause != "missing_ac_readings":
            _open(turn, group, given, found)


def _first_dc(given: Evidence, group: Group) -> datetime:
    times = (
        point.time
        for id_ in group.suspects
        for point in given.vehicle_points[id_]
        if point.energy_mwh > 0 and point.time > group.begins[id_]
    )
    return min(times, default=group.since)


def _open(turn: HourTurn, group: Group, given: Evidence, found: Found) -> None:
    subject = Subject("vehicle", found.vehicle_id)
    hour = group.dc_mwh, group.ac_mwh
    said = Said(given, group.meter_id, found, group.begins[found.vehicle_id], hour)
    memory = turn.remembered(subject)
    memory.other_meter = found.evidence.get("otherMeterId")
    if found.cause == "unknown":
        memory.unexplained = unexplained.of(turn, group.meter_id, said.begins, hour)
    turn.breach(KIND, subject, said.since, said.summary, said.evidence, found.cause)


def judge_session(turn: HourTurn, followed: Followed) -> None:
    """A session that ended without an excess: it is over, unless the clocks differ still."""
    subject, memory, session, is_over = followed
    if not is_over or session.meter is None or session.doubtful:
        return
    parameters = cast(DcExceedsAc, turn.parameters(KIND, subject))
    dc_mwh = sum(hour.dc_mwh for hour in session.hours)
    if session.fitting_mwh < max(parameters.clear_kwh * 1e6, _FITTING * dc_mwh):
        return
    begins = session.hours[0].hour
    if not is_open(memory, KIND):
        if parameters.enabled:
            turn.clear(KIND, subject, begins, "")
        return
    given = gather(turn, None, session.meter, {subject.device_id: begins})
    explanation = explain(given, parameters, [subject.device_id])
    if any(found.cause == "clock_offset" for found in explanation.found):
        turn.condition(KIND, subject).at = turn.ends
        return
    memory.other_meter = memory.unexplained = None
    turn.clear(
        KIND,
        subject,
        begins,
        f"a session at {session.meter} with {dc_mwh / 1e6:.1f} kWh fits its meter",
        {"dcKwh": round(dc_mwh / 1e6, 3), "meterId": session.meter},
    )
