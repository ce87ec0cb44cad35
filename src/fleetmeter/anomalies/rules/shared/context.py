"""Gives rules an hour, or clocks, with states and thresholds, and collects their findings."""

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import msgspec

from fleetmeter.anomalies.model import AnomalyKind, Cause, Change, Device, Hour, Subject
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Answers
from fleetmeter.anomalies.rules.shared.state import Condition, DeviceState, State
from fleetmeter.anomalies.thresholds.base import Thresholds
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

S = TypeVar("S", bound=State)
T = TypeVar("T", bound=Thresholds)


class Findings(msgspec.Struct):
    """The changes of an hour."""

    changes: list[Change] = msgspec.field(default_factory=list)
    touched: set[Subject] = msgspec.field(default_factory=set)
    """Devices and sites whose state changed or went."""


class Silences(NamedTuple):
    """Devices that are silent after an hour, and how many may be soon."""

    silent: list[Subject]
    quiet: dict[str, int]
    """By site, devices that are not silent yet, and may be soon."""

    unknown: dict[str, int]
    """By site, devices that have sent nothing for longer than history is searched."""


class Context:
    """The input of rules, and the collector of their findings."""

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
        self.findings = Findings()
        self._devices = devices

    def thresholds(self, thresholds: type[T], subject: Subject) -> T:
        """Return the thresholds in force for a device."""
        same = self.rulebook.everywhere(thresholds)
        return same or self.rulebook.of(thresholds, subject, self.site(subject))

    def read(self, subject: Subject, type_: type[S]) -> S | None:
        """Return a rule's state of a device, read-only."""
        state = self.states.get(subject)
        found: S | None = None if state is None else state.parts.get(type_)
        return found

    def change(self, subject: Subject, type_: type[S]) -> S:
        """Return a rule's state of a device, to be changed."""
        return self._touch(subject).of(type_)

    def condition(self, kind: AnomalyKind, subject: Subject) -> Condition:
        """Return a rule's condition of a device, to be changed."""
        conditions = self._touch(subject).conditions
        found = conditions.get(kind)
        if found is None:
            found = conditions[kind] = Condition()
        return found

    def last_found(self, kind: AnomalyKind, subject: Subject) -> datetime | None:
        """Return when a rule last found something about a device."""
        state = self.states.get(subject)
        condition = None if state is None else state.conditions.get(kind)
        return None if condition is None else condition.at

    def is_open(self, kind: AnomalyKind, subject: Subject) -> bool:
        """Return whether the anomaly is open, as far as is known."""
        state = self.states.get(subject)
        return state is not None and state.is_open(kind)

    def _touch(self, subject: Subject) -> DeviceState:
        state = self.states.get(subject)
        if state is None:
            state = self.states[subject] = DeviceState()
        self.findings.touched.add(subject)
        return state

    def site(self, subject: Subject) -> str | None:
        """Return the site of a device, or the site itself."""
        if subject.device_kind == "site":
            return subject.device_id
        device = self._devices.get(subject)
        return None if device is None else device.site

    def device(self, subject: Subject) -> Device | None:
        """Return a device that has not been removed."""
        return self._devices.get(subject)

    def breach(
        self,
        kind: AnomalyKind,
        subject: Subject,
        since: datetime,
        summary: str,
        evidence: dict[str, Any],
        cause: Cause | None = None,
    ) -> None:
        """Report that the condition is met; this is a change unless it was already."""
        condition = self.condition(kind, subject)
        condition.last, condition.at = "breach", self.ends
        condition.count, condition.count_since = 0, None
        if condition.open:
            return
        condition.open, condition.since, condition.cause = True, since, cause
        self.findings.changes.append(
            Change(
                kind, subject, self.site(subject), self.ends, since, None, summary, evidence, cause
            )
        )

    def revise(
        self,
        kind: AnomalyKind,
        subject: Subject,
        summary: str,
        evidence: dict[str, Any],
        cause: Cause | None,
    ) -> None:
        """Report another cause of an open anomaly."""
        condition = self.condition(kind, subject)
        if condition.open:
            condition.cause = cause
            since = condition.since or self.ends
            self.findings.changes.append(
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
        kind: AnomalyKind,
        subject: Subject,
        until: datetime,
        summary: str,
        evidence: dict[str, Any] | None = None,
    ) -> None:
        """Report that the condition is certainly not met; this is a change if it was."""
        condition = self.condition(kind, subject)
        condition.last, condition.at = "clear", self.ends
        condition.count, condition.count_since = 0, None
        if not condition.open:
            return
        since = condition.since or until
        condition.open, condition.since, condition.cause = False, None, None
        self.findings.changes.append(
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

    def forget_condition(self, kind: AnomalyKind, subject: Subject) -> None:
        """Drop a rule's condition of a device."""
        del self._touch(subject).conditions[kind]

    def forget_empty(self, subjects: Iterable[Subject]) -> None:
        """Drop states that hold nothing."""
        for subject in subjects:
            state = self.states.get(subject)
            if state is not None and not state.prune():
                del self.states[subject]


class HourContext(Context):
    """An hour of the fleet while rules go over it."""

    def __init__(
        self, rows: Hour, answers: Answers, states: dict[Subject, DeviceState], rulebook: Rulebook
    ) -> None:
        super().__init__(rows.ends, rows.devices, states, rulebook)
        self._rows = rows
        self.answers = answers
        self.doubtful: set[str] = set()
        """Vehicles whose AC says nothing in this hour; noted in the phase BALANCE."""

        self.silences = Silences([], {}, {})
        """Silent devices; noted before the phase SITE."""

        self.silent_sites: set[str | None] = set()
        """Sites whose devices are not reported one by one; noted in the phase SITE."""

    @cached_property
    def hour(self) -> ObservedHour:
        """Return the hour as it begins, once what is switched off has been ended."""
        return ObservedHour(self._rows, self.states)

    def count_clear(
        self, kind: AnomalyKind, subject: Subject, hours: int, *, is_clear: bool
    ) -> None:
        """Clear at the start of this many good hours in a row."""
        condition = self.condition(kind, subject)
        if not is_clear:
            condition.count, condition.count_since = 0, None
            return
        condition.count += 1
        since = condition.count_since = condition.count_since or self.hour.starts
        if condition.count >= hours:
            self.clear(kind, subject, since, f"right again for {hours} hours")
