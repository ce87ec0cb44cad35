"""Describes a rule in one place: what it detects, in which phase, and with which thresholds."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import IntEnum

import msgspec

from fleetmeter.anomalies.model import AnomalyKind, ClockSample, Severity, SubjectKind
from fleetmeter.anomalies.rules.shared.context import Context, HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Needs
from fleetmeter.anomalies.rules.shared.sessions import FollowedSession
from fleetmeter.anomalies.rules.shared.state import EMPTY_AFTER, DeviceState, State
from fleetmeter.anomalies.thresholds.base import Thresholds
from fleetmeter.anomalies.thresholds.rulebook import Rulebook


class Phase(IntEnum):
    """The phases in which rules decide; within a phase, rules do not depend on each other."""

    BALANCE = 1
    """First: DC against AC at each meter. Notes vehicles whose AC says nothing in this hour."""

    SESSION = 2
    """Then, for each charging session that went on or ended."""

    DEVICE = 3
    """Then, what else the hour shows of a device."""

    SITE = 4
    """Then, whether a whole site is silent, which excuses its devices."""

    SILENCE = 5
    """Last of an hour: devices that are silent by themselves."""

    CLOCK = 6
    """Every minute, by the arrival of the newest readings."""

    REJECTION = 7
    """Every minute, by the readings that were refused."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of anomaly."""

    thresholds: type[Thresholds]
    title: str
    description: str
    source: str
    """Source of the defaults of its thresholds."""

    severity: Severity
    device_kinds: tuple[SubjectKind, ...]
    phase: Phase
    """The phase in which `judge` runs."""

    states: tuple[type[State], ...] = ()
    """The types of its states."""

    needs: Callable[[ObservedHour, Rulebook, Needs], None] | None = None
    """Asks for the readings that decide where the hour's rollups only suspect something."""

    judge: Callable[[HourContext], None] | None = None
    judge_session: Callable[[HourContext, FollowedSession], None] | None = None
    judge_clock: Callable[[Context, ClockSample], None] | None = None

    verdict_lasts: timedelta = EMPTY_AFTER
    """Time after which a finding lapses unless it is found again."""

    found_hourly: bool = False
    """It holds until it is found to be over: every hour shows it again, though none says so."""

    looks_around: bool = False
    """It may be explained by any meter: late hours that decide are read for the whole fleet."""

    hold: Callable[[DeviceState, DeviceState, datetime], None] | None = None
    """Restores what it needs to carry on with an anomaly that began at a time: into the first
    state, from the one that was stored."""

    @property
    def kind(self) -> AnomalyKind:
        """Return the kind of anomaly that it finds."""
        return self.thresholds.kind

    @property
    def is_by_arrival(self) -> bool:
        """Return whether it depends on the arrival of readings, so that hours do not show it."""
        return self.phase >= Phase.CLOCK
