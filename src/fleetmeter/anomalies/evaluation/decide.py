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
from fleetmeter.anomalies.rules.shared.context import Context, HourContext, Outcome
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Answers, Needs
from fleetmeter.anomalies.rules.shared.sessions import follow
from fleetmeter.anomalies.rules.shared.state import (
    EMPTY_AFTER,
    DeviceState,
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


def needs(hour: Hour, states: Mapping[Subject, DeviceState], rulebook: Rulebook) -> Needs:
    """Which last readings, and which readings of the last 12 hours, decide about an hour."""
    found = Needs()
    observed = ObservedHour(hour, states)
    device.need(observed, rulebook, found)
    rule.need(observed, rulebook, found)
    battery.need(observed, rulebook, found)
    voltage.need(observed, rulebook, found)
    mismatch.need(observed, rulebook, found)
    stuck.need(observed, rulebook, found)
    power_implausible.need(observed, rulebook, found)
    register_unstable.need(observed, found)
    return found


def evaluate(
    hour: Hour, answers: Answers, states: dict[Subject, DeviceState], rulebook: Rulebook
) -> Outcome:
    """What an hour changed; hours come in their order, one after the other.

    Changes `states` in place: adds, replaces, and drops what holds nothing. Subjects whose state
    changed or went are in the outcome.
    """
    context = HourContext(hour, answers, states, rulebook)
    doubtful = rule.judge(context)
    for followed in list(follow(context, doubtful)):
        sessions.judge(context, followed)
        rule.judge_session(context, followed)
        mismatch.judge(context, followed)
        stuck.judge(context, followed)
        scale.judge(context, followed)
    standby_loss.judge(context)
    voltage.judge(context)
    power_implausible.judge(context)
    register_unstable.judge(context)
    battery.judge(context)
    device.judge(context)
    if hour.starts.hour == _FORGOTTEN_AT_H:
        _forget(context)
    context.forget_trivial(context.outcome.touched)
    return context.outcome


def evaluate_clocks(
    samples: Sequence[ClockSample],
    at: datetime,
    states: dict[Subject, DeviceState],
    rulebook: Rulebook,
) -> Outcome:
    """What the newest readings say of clocks; looked at every minute or so.

    `samples` are of devices whose newest reading is off, and of those that `states` has something
    of: one that is missing is not there any more. States are changed in place.
    """
    devices = {sample.device.subject: sample.device for sample in samples}
    context = Context(at, devices, states, rulebook)
    context.end_switched_off()
    clock_skew.judge(context, samples)
    context.forget_trivial(context.outcome.touched)
    return context.outcome


def _forget(context: HourContext) -> None:
    """Drop what was found too long ago; what has not been found again since then is over."""
    for subject, state in list(context.states.items()):
        if not context.hour.says_of(subject):
            continue
        for kind, condition in list(state.conditions.items()):
            after = _DROP_AFTER if kind == "efficiency_drop" else EMPTY_AFTER
            at = condition.at
            if kind in _LASTING and condition.open:
                continue
            if at is not None and context.ends - at <= after:
                continue
            if condition.open:
                summary = f"not found again for {after.days} days"
                context.clear(kind, subject, at or context.ends, summary)
            context.state_of(subject)
            del state.conditions[kind]
        oldest = context.ends - EMPTY_AFTER
        if state.judged and state.judged[0].ended <= oldest:
            context.state_of(subject).judged = [j for j in state.judged if j.ended > oldest]
        if state.run is not None and state.run.last <= oldest:
            context.state_of(subject).run = None
        if state.falls and state.falls[-1].hour <= oldest:
            context.state_of(subject).falls = []
        if state.charged is not None and state.charged <= oldest:
            context.state_of(subject).charged = None
        if state.unclaimed is not None and context.ends - state.unclaimed > LONGEST:
            context.state_of(subject).unclaimed = None
