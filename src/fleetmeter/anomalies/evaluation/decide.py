"""Evaluates hours of the fleet and returns changes: what became wrong, and what is over.

Pure: no I/O, no clock. An hour is processed in two steps. needs() asks for the readings that decide
where its rollups are only suspicious; evaluate() decides, phase by phase. Both depend on the hour,
the answers and the remembered states, and on nothing else.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from fleetmeter.anomalies.model import ClockSample, Hour, Subject
from fleetmeter.anomalies.rules.catalogue import CATALOGUE, RULES, rules_in
from fleetmeter.anomalies.rules.shared.context import Context, Findings, HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Answers, Needs
from fleetmeter.anomalies.rules.shared.rule import Phase
from fleetmeter.anomalies.rules.shared.sessions import follow
from fleetmeter.anomalies.rules.shared.state import DeviceState
from fleetmeter.anomalies.rules.silence.watch import ask_for_silences, watch_silences
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

_FORGOTTEN_AT_H = 0
"""The hour of the day (UTC) in which old state is dropped."""


def needs(hour: Hour, states: Mapping[Subject, DeviceState], rulebook: Rulebook) -> Needs:
    """Ask for the last readings, and the readings of the last hours, that decide about an hour."""
    found = Needs()
    observed = ObservedHour(hour, states)
    ask_for_silences(observed, rulebook, found)
    for rule in CATALOGUE:
        if rule.needs is not None:
            rule.needs(observed, rulebook, found)
    return found


def evaluate(
    hour: Hour, answers: Answers, states: dict[Subject, DeviceState], rulebook: Rulebook
) -> Findings:
    """Return what an hour changed; evaluate hours in order.

    Changes `states` in place: adds, replaces, and drops what holds nothing. The findings have the
    subjects whose state changed or went.
    """
    context = HourContext(hour, answers, states, rulebook)
    _end_switched_off(context)
    _judge(context, Phase.BALANCE)
    _judge_sessions(context)
    _judge(context, Phase.DEVICE)
    context.silences = watch_silences(context)
    _judge(context, Phase.SITE)
    _judge(context, Phase.SILENCE)
    if hour.starts.hour == _FORGOTTEN_AT_H:
        _forget(context)
    context.forget_empty(context.findings.touched)
    return context.findings


def evaluate_clocks(
    samples: Sequence[ClockSample],
    at: datetime,
    states: dict[Subject, DeviceState],
    rulebook: Rulebook,
) -> Findings:
    """Return what the newest readings show about clocks; run it every minute or so.

    `samples` are of devices whose newest reading is off, and of those that `states` has something
    of: one that is missing is not there any more. States are changed in place.
    """
    devices = {sample.device.subject: sample.device for sample in samples}
    context = Context(at, devices, states, rulebook)
    _end_switched_off(context)
    for rule in rules_in(Phase.CLOCK):
        for sample in samples:
            if rule.judge_clock is not None:
                rule.judge_clock(context, sample)
    context.forget_empty(context.findings.touched)
    return context.findings


def _judge(context: HourContext, phase: Phase) -> None:
    for rule in rules_in(phase):
        if rule.judge is not None:
            rule.judge(context)


def _judge_sessions(context: HourContext) -> None:
    judges = [rule.judge_session for rule in CATALOGUE if rule.judge_session is not None]
    for followed in list(follow(context)):
        for judge in judges:
            judge(context, followed)


def _end_switched_off(context: Context) -> None:
    """End open findings of rules that are switched off."""
    if not context.rulebook.switched_off:
        return
    for subject, state in list(context.states.items()):
        for kind, condition in list(state.conditions.items()):
            thresholds = RULES[kind].thresholds
            if condition.open and not context.thresholds(thresholds, subject).enabled:
                context.clear(kind, subject, context.ends, "the rule was switched off")
                context.forget_condition(kind, subject)


def _forget(context: HourContext) -> None:
    """Drop findings that are too old; end those that have not been confirmed since."""
    for subject, state in list(context.states.items()):
        if not context.hour.says_of(subject):
            continue
        for kind, condition in list(state.conditions.items()):
            rule, at = RULES[kind], condition.at
            if rule.found_hourly and condition.open:
                continue
            if at is not None and context.ends - at <= rule.verdict_lasts:
                continue
            if condition.open:
                summary = f"not found again for {rule.verdict_lasts.days} days"
                context.clear(kind, subject, at or context.ends, summary)
            context.forget_condition(kind, subject)
        for part in state.parts.values():
            if part.forget(context.ends):
                context.findings.touched.add(subject)
