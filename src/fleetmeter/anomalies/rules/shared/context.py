"""One hour while it is evaluated: what is known, what is remembered, and what the rules have
found."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from fleetmeter.anomalies.model import (
    Cause,
    Change,
    Device,
    Hour,
    Kind,
    Subject,
)
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Answers
from fleetmeter.anomalies.rules.shared.state import Condition, DeviceState
from fleetmeter.anomalies.thresholds.parameters import Parameters
from fleetmeter.anomalies.thresholds.rulebook import Rulebook


class Outcome(msgspec.Struct):
    """What an hour changed."""

    changes: list[Change] = msgspec.field(default_factory=list)
    touched: set[Subject] = msgspec.field(default_factory=set)
    """Whose memory changed or went."""


class Context:
    """An hour, or a look at clocks, while the rules go over it."""

    def __init__(
        self,
        ends: datetime,
        devices: dict[Subject, Device],
        states: dict[Subject, DeviceState],
        rulebook: Rulebook,
    ) -> None:
        self.ends = ends
        self.states = states
        self.rulebook = rulebook
        self.outcome = Outcome()
        self._devices = devices

    def state_of(self, subject: Subject) -> DeviceState:
        """What is remembered of a device, to be changed."""
        state = self.states.get(subject)
        if state is None:
            state = self.states[subject] = DeviceState()
        self.outcome.touched.add(subject)
        return state

    def condition(self, kind: Kind, subject: Subject) -> Condition:
        """What is known of a rule about a device, to be changed."""
        conditions = self.state_of(subject).conditions
        found = conditions.get(kind)
        if found is None:
            found = conditions[kind] = Condition()
        return found

    def is_open(self, kind: Kind, subject: Subject) -> bool:
        """Whether it is wrong, as far as is known."""
        state = self.states.get(subject)
        return state is not None and is_open(state, kind)

    def site(self, subject: Subject) -> str | None:
        """Where a device belongs, or the site itself."""
        if subject.device_kind == "site":
            return subject.device_id
        device = self._devices.get(subject)
        return None if device is None else device.site

    def device(self, subject: Subject) -> Device | None:
        """What is known of a device that is there."""
        return self._devices.get(subject)

    def parameters(self, kind: Kind, subject: Subject) -> Parameters:
        """The thresholds in force for a device."""
        return self.rulebook.everywhere(kind) or self.rulebook.of(kind, subject, self.site(subject))

    def breach(
        self,
        kind: Kind,
        subject: Subject,
        since: datetime,
        summary: str,
        evidence: dict[str, Any],
        cause: Cause | None = None,
    ) -> None:
        """It is wrong: a change unless it was so before."""
        condition = self.condition(kind, subject)
        condition.last, condition.at = "breach", self.ends
        condition.count, condition.count_since = 0, None
        if condition.open:
            return
        condition.open, condition.since, condition.cause = True, since, cause
        self.outcome.changes.append(
            Change(
                kind, subject, self.site(subject), self.ends, since, None, summary, evidence, cause
            )
        )

    def revise(
        self,
        kind: Kind,
        subject: Subject,
        summary: str,
        evidence: dict[str, Any],
        cause: Cause | None,
    ) -> None:
        """It is wrong still, and another cause explains it."""
        condition = self.condition(kind, subject)
        if condition.open:
            condition.cause = cause
            since = condition.since or self.ends
            self.outcome.changes.append(
                Change(
                    kind,
                    subject,
                    self.site(subject),
                    self.ends,
                    since,
                    None,
                    summary,
                    evidence,
                    cause,
                    revises=True,
                )
            )

    def clear(
        self,
        kind: Kind,
        subject: Subject,
        until: datetime,
        summary: str,
        evidence: dict[str, Any] | None = None,
    ) -> None:
        """It is beyond doubt not wrong: a change if it was before."""
        condition = self.condition(kind, subject)
        condition.last, condition.at = "clear", self.ends
        condition.count, condition.count_since = 0, None
        if not condition.open:
            return
        since = condition.since or until
        condition.open, condition.since, condition.cause = False, None, None
        self.outcome.changes.append(
            Change(
                kind,
                subject,
                self.site(subject),
                self.ends,
                since,
                max(since, until),
                summary,
                evidence or {},
            )
        )

    def end_switched_off(self) -> None:
        """End what is open of rules that are not applied any more."""
        if not self.rulebook.switched_off:
            return
        for subject, state in list(self.states.items()):
            for kind, condition in list(state.conditions.items()):
                if condition.open and not self.parameters(kind, subject).enabled:
                    self.clear(kind, subject, self.ends, "the rule was switched off")
                    del state.conditions[kind]

    def forget_trivial(self, subjects: Iterable[Subject]) -> None:
        """Drop states that hold nothing."""
        for subject in subjects:
            state = self.states.get(subject)
            if state is not None and state.is_trivial():
                del self.states[subject]


def is_open(state: DeviceState, kind: Kind) -> bool:
    """Whether it is wrong, as far as is known."""
    condition = state.conditions.get(kind)
    return condition is not None and condition.open


class HourContext(Context):
    """An hour of the fleet while the rules go over it."""

    def __init__(
        self, hour: Hour, answers: Answers, states: dict[Subject, DeviceState], rulebook: Rulebook
    ) -> None:
        super().__init__(hour.ends, hour.devices, states, rulebook)
        self.end_switched_off()
        self.hour = ObservedHour(hour, states)
        self.answers = answers

    def count_clear(self, kind: Kind, subject: Subject, hours: int, *, is_clear: bool) -> None:
        """So many hours in a row that are right end it at the first of them."""
        condition = self.condition(kind, subject)
        if not is_clear:
            condition.count, condition.count_since = 0, None
            return
        condition.count += 1
        since = condition.count_since = condition.count_since or self.hour.starts
        if condition.count >= hours:
            self.clear(kind, subject, since, f"right again for {hours} hours")
