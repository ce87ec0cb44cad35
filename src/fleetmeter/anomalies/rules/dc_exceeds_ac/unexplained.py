"""DC beyond AC whose cause is not known yet: a meter may show it later, late or by another clock.

Asked again when the meter meters what no vehicle took, and when the session is over.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import cast

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.dc_exceeds_ac.explain import explain
from fleetmeter.anomalies.rules.dc_exceeds_ac.gather import Asked, Said, gather
from fleetmeter.anomalies.rules.dc_exceeds_ac.suspects import (
    KIND,
    LONGEST,
    Excess,
    has_surplus,
    largest,
)
from fleetmeter.anomalies.rules.shared.context import HourContext, is_open
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.state import DeviceState, Unexplained
from fleetmeter.anomalies.thresholds.parameters import DcExceedsAc


def of(
    context: HourContext, meter_id: str, since: datetime, hour_mwh: tuple[int, int]
) -> Unexplained:
    """Return what is remembered of an excess without a cause."""
    return Unexplained(meter_id, since, context.ends + LONGEST, *hour_mwh)


def goes_on(context: HourContext, vehicle_id: str, excess: Excess) -> None:
    """Note that a vehicle whose excess has no cause exceeds again, perhaps in another session."""
    subject = Subject("vehicle", vehicle_id)
    state = context.states[subject]
    before = state.unexplained
    if before is None:
        return
    if context.hour.ends > before.until:
        session = state.session
        follows = session is not None and session.meter == excess.meter_id
        since = session.hours[0].hour if session and follows else context.hour.starts
        state.unexplained = of(context, excess.meter_id, since, largest(excess, None))
    else:
        before.until = context.ends + LONGEST
        before.dc_mwh, before.ac_mwh = largest(excess, before)
    context.state_of(subject)


def need(hour: ObservedHour, asked: Asked) -> None:
    """Ask for the curves of those that may be explained now."""
    for subject, _, unexplained in _ready(hour):
        asked.whole(unexplained.meter, [subject.device_id], unexplained.since)


def judge(context: HourContext) -> None:
    """Give an anomaly the cause that later readings show."""
    for subject, state, unexplained in list(_ready(context.hour)):
        begins = {subject.device_id: unexplained.since}
        given = gather(context, unexplained.meter, begins)
        parameters = cast(DcExceedsAc, context.parameters(KIND, subject))
        explanation = explain(given, parameters, [subject.device_id])
        for found in explanation.found if explanation.is_sure else ():
            if found.vehicle_id == subject.device_id and found.cause != "unknown":
                hour = unexplained.dc_mwh, unexplained.ac_mwh
                said = Said(given, unexplained.meter, found, unexplained.since, hour)
                context.revise(KIND, subject, said.summary, said.evidence, found.cause)
                state.unexplained = None


def _ready(hour: ObservedHour) -> Iterator[tuple[Subject, DeviceState, Unexplained]]:
    ending = {subject for subject, _, _ in hour.ending()} if hour.unexplained else set()
    for subject, state in hour.unexplained:
        unexplained = state.unexplained
        if (
            unexplained is not None
            and is_open(state, KIND)
            and hour.ends <= unexplained.until
            and (subject in ending or has_surplus(hour, unexplained.meter))
        ):
            yield subject, state, unexplained
