"""More DC delivered at a meter than it metered AC: suspected by the hour, decided by readings.

The hour says that there is too much (excess.py), the curves of readings say whose it is and why
(causes.py). When an hour's readings are not sure of the cause, those of the next hour are asked as
well, and then the likeliest counts.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

from fleetmeter.anomalies.causes import explain
from fleetmeter.anomalies.evidence import Evidence, Found, intervals
from fleetmeter.anomalies.excess import KIND, Group, exceeding, exceeds, groups
from fleetmeter.anomalies.memory import Suspicion
from fleetmeter.anomalies.model import Needs, Subject
from fleetmeter.anomalies.observed import Observed
from fleetmeter.anomalies.parameters import DcExceedsAc
from fleetmeter.anomalies.rules import Rulebook
from fleetmeter.anomalies.sessions import Followed
from fleetmeter.anomalies.turn import HourTurn, interval_s, is_open

MOST_READ = timedelta(hours=12)
"""Of a device, before the end of the hour."""

_BEFORE = timedelta(hours=2)
"""Read before a session: when clocks differ, the meter's curve begins earlier."""

_WAITS = timedelta(minutes=95)
"""After a vehicle's first DC: by then its meter has shown what it ever will, if late or early."""

_FITTING = 0.7
"""Of a session's DC that must have been at a meter that covered its hours, to say that it fits."""


def need(observed: Observed, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the curves of all that may explain an excess."""

    def ask(subject: Subject, since: datetime) -> None:
        needs.readings[subject] = min(needs.readings.get(subject, since), since)

    for group in groups(observed, rulebook):
        since = _start(observed, group.since)
        for meter_id in (group.meter_id, *group.candidates):
            ask(Subject("meter", meter_id), since)
        for vehicle_id in (*group.begins, *(id_ for ids in group.takers.values() for id_ in ids)):
            ask(Subject("vehicle", vehicle_id), since)
    known = observed.opened.get(KIND)
    for subject, _, session in observed.ending() if known else ():
        if subject in (known or ()) and session.meter is not None and not session.doubtful:
            since = _start(observed, session.hours[0].hour)
            ask(subject, since)
            ask(Subject("meter", session.meter), since)


def _start(observed: Observed, begins: datetime) -> datetime:
    return max(begins - _BEFORE, observed.hour.ends - MOST_READ)


def judge(turn: HourTurn, observed: Observed) -> set[str]:
    """Apply the rule to this hour; vehicles whose AC says nothing in it, because of an excess."""
    doubtful: set[str] = set()
    for meter_id in exceeding(observed, turn.rulebook):
        for row in observed.at_meter[meter_id]:
            doubtful.add(row.vehicle_id)
            if exceeds(observed, row.vehicle_id):
                turn.condition(KIND, Subject("vehicle", row.vehicle_id)).at = turn.ends
    found = list(groups(observed, turn.rulebook))
    for group in found:
        _judge_group(turn, observed, group)
    judged = {group.meter_id for group in found}
    for subject, memory in observed.suspected:
        if subject.device_id not in judged:
            turn.remembered(subject)
            memory.suspicion = None
    for subject, memory in observed.elsewhere:
        rows = observed.charging.get(subject.device_id, ())
        if rows and all(row.meter_id != memory.other_meter for row in rows):
            there = observed.at_meter.get(memory.other_meter or "", ())
            doubtful.update(row.vehicle_id for row in there)
    return doubtful


def _evidence(
    turn: HourTurn,
    start: datetime,
    meter_id: str,
    begins: Mapping[str, datetime],
    takers: Mapping[str, Sequence[str]],
    candidates: Sequence[str],
) -> Evidence:
    known = turn.known
    vehicle_ids = dict.fromkeys([*begins, *(id_ for ids in takers.values() for id_ in ids)])
    ids = list(vehicle_ids)
    return Evidence(
        start,
        round((turn.ends - start).total_seconds() / 60),
        intervals(known.meter_readings.get(meter_id, ()), start),
        interval_s(turn.hour, Subject("meter", meter_id)),
        {id_: intervals(known.vehicle_readings.get(id_, ()), start) for id_ in ids},
        {id_: interval_s(turn.hour, Subject("vehicle", id_)) for id_ in ids},
        begins,
        {id_: intervals(known.meter_readings.get(id_, ()), start) for id_ in candidates},
        {id_: interval_s(turn.hour, Subject("meter", id_)) for id_ in candidates},
        takers,
    )


def _judge_group(turn: HourTurn, observed: Observed, group: Group) -> None:
    of_meter = Subject("meter", group.meter_id)
    memory = turn.memories.get(of_meter)
    suspicion = None if memory is None else memory.suspicion
    parameters = cast(DcExceedsAc, turn.parameters(KIND, Subject("vehicle", group.suspects[0])))
    given = _evidence(
        turn,
        _start(observed, group.since),
        group.meter_id,
        group.begins,
        group.takers,
        group.candidates,
    )
    explanation = explain(given, parameters, group.suspects)
    is_final = explanation.is_sure or turn.ends - _first_dc(given, group) >= _WAITS
    if not is_final:
        turn.remembered(of_meter).suspicion = Suspicion(
            group.since, sorted(group.begins), group.candidates
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
    begins = group.begins[found.vehicle_id]
    points = [p for p in given.vehicle_points[found.vehicle_id] if p.energy_mwh > 0]
    points = [p for p in points if p.time > begins]
    since = points[0].time if points else begins
    dc_kwh = sum(p.energy_mwh for p in points) / 1e6
    at_meter = [p for p in given.meter_points if p.time >= since]
    ac_kwh = sum(p.energy_mwh for p in at_meter) / 1e6
    turn.remembered(subject).other_meter = found.evidence.get("otherMeterId")
    turn.breach(
        KIND,
        subject,
        since,
        f"{found.vehicle_id} took {dc_kwh:.1f} kWh at {group.meter_id}, which metered "
        f"{ac_kwh:.1f} kWh since then: {_because(found, group.meter_id)}",
        {
            "meterId": group.meter_id,
            "dcKwh": round(dc_kwh, 3),
            "acKwh": round(ac_kwh, 3),
            "hourDcKwh": round(group.dc_mwh / 1e6, 3),
            "hourAcKwh": round(group.ac_mwh / 1e6, 3),
        }
        | found.evidence,
        found.cause,
    )


def _because(found: Found, meter_id: str) -> str:
    evidence = found.evidence
    if found.cause == "wrong_meter":
        return f"the curve of {evidence['otherMeterId']} fits, so it probably charges there"
    if found.cause == "clock_offset":
        offset_s = evidence["offsetS"]
        way = "late" if offset_s > 0 else "early"
        return f"the curves fit when its timestamps are taken for {abs(offset_s)} s too {way}"
    if found.cause == "register_reset":
        return f"the register of {meter_id} began anew ({evidence['resets']} times)"
    if found.cause == "missing_ac_readings":
        return f"readings of {meter_id} cover {evidence['coverageAc'] * 100:.0f} % of the time"
    if found.cause == "reporting_lag":
        return f"{meter_id} shows its energy late and in lumps"
    return "nothing that is known explains it"


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
    start = max(begins - _BEFORE, turn.ends - MOST_READ)
    given = _evidence(turn, start, session.meter, {subject.device_id: begins}, {}, ())
    explanation = explain(given, parameters, [subject.device_id])
    if any(found.cause == "clock_offset" for found in explanation.found):
        turn.condition(KIND, subject).at = turn.ends
        return
    memory.other_meter = None
    turn.clear(
        KIND,
        subject,
        begins,
        f"a session at {session.meter} with {dc_mwh / 1e6:.1f} kWh fits its meter",
        {"dcKwh": round(dc_mwh / 1e6, 3), "meterId": session.meter},
    )
