"""Examines excess DC of unknown cause again: a meter may show the energy later.

This happens when the meter meters energy that no vehicle took, and when the session is over.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.dc_exceeds_ac.explain import explain
from fleetmeter.anomalies.rules.dc_exceeds_ac.gather import ReadingRequests, gather
from fleetmeter.anomalies.rules.dc_exceeds_ac.report import Report
from fleetmeter.anomalies.rules.dc_exceeds_ac.state import LONGEST, Unexplained, VehicleExcess
from fleetmeter.anomalies.rules.dc_exceeds_ac.suspects import (
    KIND,
    Excess,
    has_surplus,
    largest,
    session_at,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac.thresholds import DcExceedsAc
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.sessions import ending_sessions


def begin(
    context: HourContext, meter_id: str, since: datetime, hour_mwh: tuple[int, int]
) -> Unexplained:
    """Return the state of an excess without a cause."""
    return Unexplained(meter_id, since, context.ends + LONGEST, *hour_mwh)


def extend(context: HourContext, vehicle_id: str, excess: Excess) -> None:
    """Note another excess of a vehicle without a known cause, perhaps in another session."""
    subject = Subject("vehicle", vehicle_id)
    state = context.read(subject, VehicleExcess)
    before = None if state is None else state.unexplained
    if state is None or before is None:
        return
    if context.hour.ends > before.until:
        session = session_at(context.hour, vehicle_id, excess.meter_id)
        since = context.hour.starts if session is None else session.hours[0].hour
        state.unexplained = begin(context, excess.meter_id, since, largest(excess, None))
    else:
        before.until = context.ends + LONGEST
        before.dc_mwh, before.ac_mwh = largest(excess, before)
    context.change(subject, VehicleExcess)


def need(hour: ObservedHour, requests: ReadingRequests) -> None:
    """Request the curves of vehicles that may be explained now."""
    before = [s for s, state in hour.having(VehicleExcess) if state.unexplained is not None]
    for subject, unexplained in _ready(hour, before):
        requests.whole(unexplained.meter, [subject.device_id], unexplained.since)


def judge(context: HourContext, before: Sequence[Subject]) -> None:
    """Give an anomaly the cause that later readings show.

    `before`: vehicles whose excess was not explained when the hour began.
    """
    for subject, unexplained in list(_ready(context.hour, before)):
        begins = {subject.device_id: unexplained.since}
        case = gather(context, unexplained.meter, begins)
        thresholds = context.thresholds(DcExceedsAc, subject)
        explanation = explain(case, thresholds, [subject.device_id])
        for found in explanation.found if explanation.is_sure else ():
            if found.vehicle_id == subject.device_id and found.cause != "unknown":
                hour = unexplained.dc_mwh, unexplained.ac_mwh
                report = Report(case, unexplained.meter, found, unexplained.since, hour)
                context.revise(KIND, subject, report.summary, report.evidence, found.cause)
                context.change(subject, VehicleExcess).unexplained = None


def _ready(hour: ObservedHour, before: Sequence[Subject]) -> Iterator[tuple[Subject, Unexplained]]:
    ending = {subject for subject, _ in ending_sessions(hour)} if before else set()
    for subject in before:
        state = hour.states[subject]
        excess = state.get(VehicleExcess)
        unexplained = None if excess is None else excess.unexplained
        if (
            unexplained is not None
            and state.is_open(KIND)
            and hour.ends <= unexplained.until
            and (subject in ending or has_surplus(hour, unexplained.meter))
        ):
            yield subject, unexplained
