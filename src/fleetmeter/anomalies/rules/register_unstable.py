"""Finds registers that fall many times a day: they dip, flutter or restart.

A recorded exchange, a rollover and the flutter of a last digit are not falls.
"""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetmeter.anomalies.model import Falls, Subject
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.shared.state import EMPTY_AFTER, State
from fleetmeter.anomalies.thresholds.base import Thresholds


class RegisterUnstable(Thresholds, frozen=True, kw_only=True):
    """Thresholds of register_unstable."""

    kind = "register_unstable"

    times: Annotated[
        int, Meta(ge=2, le=1000, description="Opens when a register fell or began again so often")
    ] = 4
    hours: Annotated[int, Meta(ge=1, le=168, description="within so many hours.")] = 24
    clear_h: Annotated[
        int, Meta(ge=1, le=168, description="Clears after this long without a fall, hours.")
    ] = 24


_KIND = RegisterUnstable.kind


class Fallen(msgspec.Struct, array_like=True):
    """An hour in which a register fell."""

    hour: datetime
    times: int
    dips: int = 0
    flutters: int = 0
    """Number of dips and flutters among `times`; the others were resets."""


class RegisterState(State):
    """The hours in which a device's register fell or began again."""

    falls: list[Fallen] = msgspec.field(default_factory=list)

    def forget(self, ends: datetime) -> bool:
        """Drop all of them when the last is too old."""
        if not self.falls or self.falls[-1].hour > ends - EMPTY_AFTER:
            return False
        self.falls = []
        return True


def _judge(context: HourContext) -> None:
    found = {
        subject: falls
        for subject, falls in context.hour.falls.items()
        if subject in context.hour.devices
    }
    for subject, falls in sorted(found.items()):
        thresholds = context.thresholds(RegisterUnstable, subject)
        if thresholds.enabled:
            _judge_fallen(context, subject, falls, thresholds)
    for subject, state in context.hour.having(RegisterState):
        if subject not in found:
            _judge_over(context, subject, state)


def _judge_fallen(
    context: HourContext, subject: Subject, falls: Falls, thresholds: RegisterUnstable
) -> None:
    state = context.change(subject, RegisterState)
    oldest = context.ends - timedelta(hours=thresholds.hours)
    state.falls = [each for each in state.falls if each.hour >= oldest]
    state.falls.append(Fallen(context.hour.starts, sum(falls), falls.dips, falls.flutters))
    total = sum(each.times for each in state.falls)
    dips = sum(each.dips for each in state.falls)
    flutters = sum(each.flutters for each in state.falls)
    counts = {"dips": dips, "flutters": flutters, "resets": total - dips - flutters}
    if total >= thresholds.times:
        since = state.falls[0].hour
        said = ", ".join(f"{name} {number}" for name, number in counts.items() if number)
        context.breach(
            _KIND,
            subject,
            since,
            f"the register of {subject.device_id} fell or began again {total} times since "
            f"{since:%Y-%m-%d %H:%M} UTC ({said})",
            {"falls": total, **counts, "hours": thresholds.hours, "threshold": thresholds.times},
        )


def _judge_over(context: HourContext, subject: Subject, state: RegisterState) -> None:
    """Clear the anomaly when the device has reported for a day without a fall."""
    clear_h = context.thresholds(RegisterUnstable, subject).clear_h
    last = state.falls[-1].hour + timedelta(hours=1)
    if not context.hour.readings(subject) or context.ends - last < timedelta(hours=clear_h):
        return
    context.change(subject, RegisterState).falls = []
    context.clear(_KIND, subject, last, f"its register has not fallen for {clear_h} hours")


REGISTER_UNSTABLE = Rule(
    thresholds=RegisterUnstable,
    title="Register unstable",
    description="A register dipped, fluttered by more than 1 kWh or began again, many times within "
    "a day.",
    source="A convention: a meter is exchanged or restarted once in years, and the last digits "
    "flutter by 1 kWh at most, the coarsest step that registers show.",
    severity="warning",
    device_kinds=("vehicle", "meter"),
    phase=Phase.DEVICE,
    states=(RegisterState,),
    judge=_judge,
)
