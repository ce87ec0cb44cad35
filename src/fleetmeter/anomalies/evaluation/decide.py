"""Hours of the fleet in, changes out: what began and what ended to be wrong. Pure: no I/O, no
clock.

An hour is gone over twice. needs() says which readings decide where its rollups only suspect
something, evaluate() decides. Both go by the hour, what is known and what is remembered, and by
nothing else.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from fleetmeter.anomalies.model import (
    ClockSample,
    Hour,
    Kind,
    Subject,
)
from fleetmeter.anomalies.rules import (
    battery,
    clock_skew,
    power_implausible,
    register_unstable,
    standby_loss,
    voltage,
)
from fleetmeter.anomalies.rules.dc_exceeds_ac import rule
from fleetmeter.anomalies.rules.dc_exceeds_ac.suspects import LONGEST
from fleetmeter.anomalies.rules.efficiency import sessions
from fleetmeter.anomalies.rules.shared.context import HourTurn, Outcome, Turn
from fleetmeter.anomalies.rules.shared.hour import Observed
from fleetmeter.anomalies.rules.shared.needs import Known, Needs
from fleetmeter.anomalies.rules.shared.sessions import follow
from fleetmeter.anomalies.rules.shared.state import (
    EMPTY_AFTER,
    Memory,
)
from fleetmeter.anomalies.rules.silence import device
from fleetmeter.anomalies.rules.soc import mismatch, scale, stuck
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

_FORGOTTEN_AT_H = 0
"""In which hour of the day (UTC) is forgotten what is too old."""

_DROP_AFTER = timedelta(days=7)
"""A drop reaches back to its baseline as well, so its verdict holds for less long."""

_LASTING: frozenset[Kind] = frozenset({"vehicle_silent", "meter_silent", "site_silent"})
"""What is found in every hour anew, though nothing says so."""


def needs(hour: Hour, memories: Mapping[Subject, Memory], rulebook: Rulebook) -> Needs:
    """Which last readings, and which readings of the last 12 hours, decide about an hour."""
    found = Needs()
    observed = Observed(hour, memories)
    device.need(observed, rulebook, found)
    rule.need(observed, rulebook, found)
    battery.need(observed, rulebook, found)
    voltage.need(observed, rulebook, found)
    mismatch.need(observed, rulebook, found)
    stuck.need(observed, rulebook, found)
    power_implausible.need(observed, rulebook, found)
    return found


def evaluate(
    hour: Hour, known: Known, memories: dict[Subject, Memory], rulebook: Rulebook
) -> Outcome:
    """What an hour changed; hours come in their order, one after the other.

    Changes `memories` in place: adds, replaces, and drops what holds nothing. Subjects whose memory
    changed or went are in the outcome.
    """
    turn = HourTurn(hour, known, memories, rulebook)
    _switch_off(turn)
    observed = Observed(hour, memories)
    doubtful = rule.judge(turn, observed)
    for followed in list(follow(turn, observed, doubtful)):
        sessions.judge(turn, followed)
        rule.judge_session(turn, followed)
        mismatch.judge(turn, followed)
        stuck.judge(turn, followed)
        scale.judge(turn, followed)
    standby_loss.judge(turn, observed)
    voltage.judge(turn, observed)
    power_implausible.judge(turn, observed)
    register_unstable.judge(turn, observed)
    battery.judge(turn, observed)
    device.judge(turn, observed)
    if hour.starts.hour == _FORGOTTEN_AT_H:
        _forget(turn, observed)
    turn.forget_trivial(turn.outcome.touched)
    return turn.outcome


def evaluate_clocks(
    samples: Sequence[ClockSample],
    at: datetime,
    memories: dict[Subject, Memory],
    rulebook: Rulebook,
) -> Outcome:
    """What the newest readings say of clocks; looked at every minute or so.

    `samples` are of devices whose newest reading is off, and of those that `memories` has something
    of: one that is missing is not there any more. Memories are changed in place.
    """
    devices = {sample.device.subject: sample.device for sample in samples}
    turn = Turn(at, devices, memories, rulebook)
    _switch_off(turn)
    clock_skew.judge(turn, samples)
    turn.forget_trivial(turn.outcome.touched)
    return turn.outcome


def _switch_off(turn: Turn) -> None:
    """End what is open of rules that are not applied any more."""
    if not turn.rulebook.switched_off:
        return
    for subject, memory in list(turn.memories.items()):
        for kind, condition in list(memory.conditions.items()):
            if condition.open and not turn.parameters(kind, subject).enabled:
                turn.clear(kind, subject, turn.ends, "the rule was switched off")
                del memory.conditions[kind]


def _forget(turn: HourTurn, observed: Observed) -> None:
    """Drop what was found too long ago; what has not been found again since then is over."""
    for subject, memory in list(turn.memories.items()):
        if not observed.says_of(subject):
            continue
        for kind, condition in list(memory.conditions.items()):
            after = _DROP_AFTER if kind == "efficiency_drop" else EMPTY_AFTER
            at = condition.at
            if kind in _LASTING and condition.open:
                continue
            if at is not None and turn.ends - at <= after:
                continue
            if condition.open:
                summary = f"not found again for {after.days} days"
                turn.clear(kind, subject, at or turn.ends, summary)
            turn.remembered(subject)
            del memory.conditions[kind]
        oldest = turn.ends - EMPTY_AFTER
        if memory.judged and memory.judged[0].ended <= oldest:
            turn.remembered(subject).judged = [j for j in memory.judged if j.ended > oldest]
        if memory.run is not None and memory.run.last <= oldest:
            turn.remembered(subject).run = None
        if memory.falls and memory.falls[-1].hour <= oldest:
            turn.remembered(subject).falls = []
        if memory.charged is not None and memory.charged <= oldest:
            turn.remembered(subject).charged = None
        if memory.unclaimed is not None and turn.ends - memory.unclaimed > LONGEST:
            turn.remembered(subject).unclaimed = None
