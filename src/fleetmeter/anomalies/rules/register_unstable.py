"""Registers that fall many times a day: they dip, flutter by more than a digit, or begin again.

An exchange that was stated, a rollover and the flutter of a last digit are no falls.
"""

from datetime import timedelta
from typing import cast

from fleetmeter.anomalies.model import Falls, Kind, Subject
from fleetmeter.anomalies.rules.shared.context import HourTurn
from fleetmeter.anomalies.rules.shared.hour import Observed
from fleetmeter.anomalies.rules.shared.state import Fallen
from fleetmeter.anomalies.thresholds.device_parameters import RegisterUnstable

_KIND: Kind = "register_unstable"


def judge(turn: HourTurn, observed: Observed) -> None:
    """Apply the rule."""
    found = {
        subject: falls
        for subject, falls in observed.hour.falls.items()
        if subject in observed.hour.devices
    }
    for subject, falls in sorted(found.items()):
        parameters = cast(RegisterUnstable, turn.parameters(_KIND, subject))
        if parameters.enabled:
            _judge(turn, subject, falls, parameters)
    for subject, _ in observed.falling:
        if subject not in found:
            parameters = cast(RegisterUnstable, turn.parameters(_KIND, subject))
            _judge_over(turn, observed, subject, parameters)


def _judge(turn: HourTurn, subject: Subject, falls: Falls, parameters: RegisterUnstable) -> None:
    memory = turn.remembered(subject)
    oldest = turn.ends - timedelta(hours=parameters.hours)
    memory.falls = [each for each in memory.falls if each.hour >= oldest]
    memory.falls.append(Fallen(turn.hour.starts, sum(falls), falls.dips, falls.flutters))
    total = sum(each.times for each in memory.falls)
    dips = sum(each.dips for each in memory.falls)
    flutters = sum(each.flutters for each in memory.falls)
    counts = {"dips": dips, "flutters": flutters, "resets": total - dips - flutters}
    if total >= parameters.times:
        since = memory.falls[0].hour
        said = ", ".join(f"{name} {number}" for name, number in counts.items() if number)
        turn.breach(
            _KIND,
            subject,
            since,
            f"the register of {subject.device_id} fell or began again {total} times since "
            f"{since:%Y-%m-%d %H:%M} UTC ({said})",
            {"falls": total, **counts, "hours": parameters.hours, "threshold": parameters.times},
        )


def _judge_over(
    turn: HourTurn, observed: Observed, subject: Subject, parameters: RegisterUnstable
) -> None:
    """It is over when it has reported, and has not fallen, for a day."""
    memory = turn.memories[subject]
    last = memory.falls[-1].hour + timedelta(hours=1)
    if not observed.readings(subject) or turn.ends - last < timedelta(hours=parameters.clear_h):
        return
    turn.remembered(subject).falls = []
    turn.clear(_KIND, subject, last, f"its register has not fallen for {parameters.clear_h} hours")
