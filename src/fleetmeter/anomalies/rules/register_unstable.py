"""Registers that fall many times a day: they dip, flutter by more than a digit, or begin again.

An exchange that was stated, a rollover and the flutter of a last digit are no falls.
"""

from datetime import timedelta
from typing import cast

from fleetmeter.anomalies.model import Kind, Subject
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Falls, Needs
from fleetmeter.anomalies.rules.shared.state import Fallen
from fleetmeter.anomalies.thresholds.device_parameters import RegisterUnstable

_KIND: Kind = "register_unstable"


def need(hour: ObservedHour, needs: Needs) -> None:
    """Ask how often registers fell in the hour."""
    needs.falls = None if hour.whole_fleet else set(hour.devices)


def judge(context: HourContext) -> None:
    """Apply the rule."""
    found = {
        subject: falls
        for subject, falls in context.answers.falls.items()
        if subject in context.hour.devices
    }
    for subject, falls in sorted(found.items()):
        parameters = cast(RegisterUnstable, context.parameters(_KIND, subject))
        if parameters.enabled:
            _judge(context, subject, falls, parameters)
    for subject, _ in context.hour.falling:
        if subject not in found:
            parameters = cast(RegisterUnstable, context.parameters(_KIND, subject))
            _judge_over(context, subject, parameters)


def _judge(
    context: HourContext, subject: Subject, falls: Falls, parameters: RegisterUnstable
) -> None:
    state = context.state_of(subject)
    oldest = context.ends - timedelta(hours=parameters.hours)
    state.falls = [each for each in state.falls if each.hour >= oldest]
    state.falls.append(Fallen(context.hour.starts, sum(falls), falls.dips, falls.flutters))
    total = sum(each.times for each in state.falls)
    dips = sum(each.dips for each in state.falls)
    flutters = sum(each.flutters for each in state.falls)
    counts = {"dips": dips, "flutters": flutters, "resets": total - dips - flutters}
    if total >= parameters.times:
        since = state.falls[0].hour
        said = ", ".join(f"{name} {number}" for name, number in counts.items() if number)
        context.breach(
            _KIND,
            subject,
            since,
            f"the register of {subject.device_id} fell or began again {total} times since "
            f"{since:%Y-%m-%d %H:%M} UTC ({said})",
            {"falls": total, **counts, "hours": parameters.hours, "threshold": parameters.times},
        )


def _judge_over(context: HourContext, subject: Subject, parameters: RegisterUnstable) -> None:
    """It is over when it has reported, and has not fallen, for a day."""
    state = context.states[subject]
    last = state.falls[-1].hour + timedelta(hours=1)
    if not context.hour.readings(subject) or context.ends - last < timedelta(
        hours=parameters.clear_h
    ):
        return
    context.state_of(subject).falls = []
    context.clear(
        _KIND, subject, last, f"its register has not fallen for {parameters.clear_h} hours"
    )
