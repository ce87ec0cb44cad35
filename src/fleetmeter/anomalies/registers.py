"""Registers that fall or begin again many times a day: by the hour's count of such readings."""

from datetime import timedelta
from typing import cast

from fleetmeter.anomalies.device_parameters import RegisterUnstable
from fleetmeter.anomalies.model import Kind, Subject
from fleetmeter.anomalies.observed import Observed
from fleetmeter.anomalies.turn import HourTurn

_KIND: Kind = "register_unstable"


def _falls(observed: Observed) -> dict[Subject, int]:
    """How often registers fell or began again in this hour; those that did not are missing."""
    found: dict[Subject, int] = {}
    for vehicle in observed.hour.vehicles:
        if vehicle.resets:
            subject = Subject("vehicle", vehicle.vehicle_id)
            found[subject] = found.get(subject, 0) + vehicle.resets
    for meter in observed.hour.meters:
        if meter.resets:
            found[Subject("meter", meter.meter_id)] = meter.resets
    return found


def judge(turn: HourTurn, observed: Observed) -> None:
    """Apply the rule."""
    found = _falls(observed)
    for subject, number in found.items():
        parameters = cast(RegisterUnstable, turn.parameters(_KIND, subject))
        if parameters.enabled:
            _judge(turn, subject, number, parameters)
    for subject, _ in observed.falling:
        if subject not in found:
            parameters = cast(RegisterUnstable, turn.parameters(_KIND, subject))
            _judge_over(turn, observed, subject, parameters)


def _judge(turn: HourTurn, subject: Subject, number: int, parameters: RegisterUnstable) -> None:
    memory = turn.remembered(subject)
    oldest = turn.ends - timedelta(hours=parameters.hours)
    memory.falls = [(at, falls) for at, falls in memory.falls if at >= oldest]
    memory.falls.append((turn.hour.starts, number))
    total = sum(falls for _, falls in memory.falls)
    if total >= parameters.times:
        since = memory.falls[0][0]
        turn.breach(
            _KIND,
            subject,
            since,
            f"the register of {subject.device_id} fell or began again {total} times since "
            f"{since:%Y-%m-%d %H:%M} UTC",
            {"falls": total, "hours": parameters.hours, "threshold": parameters.times},
        )


def _judge_over(
    turn: HourTurn, observed: Observed, subject: Subject, parameters: RegisterUnstable
) -> None:
    """It is over when it has reported, and has not fallen, for a day."""
    memory = turn.memories[subject]
    last = memory.falls[-1][0] + timedelta(hours=1)
    if not observed.readings(subject) or turn.ends - last < timedelta(hours=parameters.clear_h):
        return
    turn.remembered(subject).falls = []
    turn.clear(_KIND, subject, last, f"its register has not fallen for {parameters.clear_h} hours")
