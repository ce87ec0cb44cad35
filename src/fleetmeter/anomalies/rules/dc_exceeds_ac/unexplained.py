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
from fleetmeter.anomalies.rules.shared.context import HourTurn, is_open
from fleetmeter.anomalies.rules.shared.hour import Observed
from fleetmeter.anomalies.rules.shared.state import Memory, Unexplained
from fleetmeter.anomalies.thresholds.parameters import DcExceedsAc


def of(turn: HourTurn, meter_id: str, since: datetime, hour_mwh: tuple[int, int]) -> Unexplained:
    """Return what is remembered of an excess without a cause."""
    return Unexplained(meter_id, since, turn.ends + LONGEST, *hour_mwh)


def goes_on(turn: HourTurn, observed: Observed, vehicle_id: str, excess: Excess) -> None:
    """Note that a vehicle whose excess has no cause exceeds again, perhaps in another session."""
    subject = Subject("vehicle", vehicle_id)
    memory = turn.memories[subject]
    before = memory.unexplained
    if before is None:
        return
    if turn.hour.ends > before.until:
        session = memory.session
        follows = session is not None and session.meter == excess.meter_id
        since = session.hours[0].hour if session and follows else turn.hour.starts
        memory.unexplained = of(turn, excess.meter_id, since, largest(excess, None))
    else:
        before.until = turn.ends + LONGEST
        before.dc_mwh, before.ac_mwh = largest(excess, before)
    turn.remembered(subject)


def need(observed: Observed, asked: Asked) -> None:
    """Ask for the curves of those that may be explained now."""
    for subject, _, unexplained in _ready(observed):
        asked.whole(unexplained.meter, [subject.device_id], unexplained.since)


def judge(turn: HourTurn, observed: Observed) -> None:
    """Give an anomaly the cause that later readings show."""
    for subject, memory, unexplained in list(_ready(observed)):
        begins = {subject.device_id: unexplained.since}
        given = gather(turn, observed, unexplained.meter, begins)
        parameters = cast(DcExceedsAc, turn.parameters(KIND, subject))
        explanation = explain(given, parameters, [subject.device_id])
        for found in explanation.found if explanation.is_sure else ():
            if found.vehicle_id == subject.device_id and found.cause != "unknown":
                hour = unexplained.dc_mwh, unexplained.ac_mwh
                said = Said(given, unexplained.meter, found, unexplained.since, hour)
                turn.revise(KIND, subject, said.summary, said.evidence, found.cause)
                memory.unexplained = None


def _ready(observed: Observed) -> Iterator[tuple[Subject, Memory, Unexplained]]:
    ending = {subject for subject, _, _ in observed.ending()} if observed.unexplained else set()
    for subject, memory in observed.unexplained:
        unexplained = memory.unexplained
        if (
            unexplained is not None
            and is_open(memory, KIND)
            and observed.hour.ends <= unexplained.until
            and (subject in ending or has_surplus(observed, unexplained.meter))
        ):
            yield subject, memory, unexplained
