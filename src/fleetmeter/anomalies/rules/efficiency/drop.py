"""Finds sessions that are worse than the vehicle's own sessions before them."""

from datetime import datetime, timedelta
from statistics import median
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetmeter.anomalies.rules.efficiency.measured import (
    efficiency_of,
    evidence_of,
    judged_part,
    kwh,
)
from fleetmeter.anomalies.rules.efficiency.session_efficiency import SessionEfficiency
from fleetmeter.anomalies.rules.efficiency.thresholds import LOSSES, Efficiency
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.shared.sessions import FollowedSession, HourlySession
from fleetmeter.anomalies.rules.shared.state import EMPTY_AFTER, State

_MOST_REMEMBERED = 40
"""Maximum number of sessions remembered per vehicle."""

_MAD_TO_SIGMA = 1.4826


class EfficiencyDrop(Efficiency, frozen=True, kw_only=True):
    """Thresholds of efficiency_drop."""

    kind = "efficiency_drop"

    minimum_sessions: Annotated[
        int, Meta(ge=3, le=30, description="Least number of sessions in a baseline.")
    ] = 5
    baseline_days: Annotated[
        float, Meta(ge=3, le=23, description="How far back a baseline reaches, days.")
    ] = 23.0
    mad_factor: Annotated[
        float,
        Meta(ge=1, le=20, description="Opens this many robust standard deviations below."),
    ] = 3.0
    least_drop: Annotated[
        float, Meta(ge=0.01, le=0.5, description="Opens at least this far below the median.")
    ] = 0.05
    clear_share: Annotated[
        float,
        Meta(ge=0, le=1, description="Clears when below by less than this part of that."),
    ] = 0.6


_KIND = EfficiencyDrop.kind


class PastSession(msgspec.Struct, array_like=True):
    """A session that is over, to compare later ones with."""

    ended: datetime
    residual: float
    """Its efficiency minus what was expected."""

    cold: float
    """Efficiency that the cold may have cost."""


class PastSessions(State):
    """The last sessions of a vehicle."""

    judged: list[PastSession] = msgspec.field(default_factory=list)

    def forget(self, ends: datetime) -> bool:
        """Drop sessions that are too old."""
        oldest = ends - EMPTY_AFTER
        if not self.judged or self.judged[0].ended > oldest:
            return False
        self.judged = [each for each in self.judged if each.ended > oldest]
        return True


def _judge(context: HourContext, followed: FollowedSession) -> None:
    session = judged_part(followed)
    if session is None:
        return
    subject = followed.subject
    thresholds = context.thresholds(EfficiencyDrop, subject)
    found = efficiency_of(followed, session, thresholds)
    if found is None or not found.is_sure:
        return
    if thresholds.enabled and _KIND not in session.found:
        _compare(context, followed, session, thresholds, found)
    if followed.is_over:
        _remember(context, followed, found)


def _remember(context: HourContext, followed: FollowedSession, found: SessionEfficiency) -> None:
    residual = round(found.residual, 4)
    # what nobody measured may have cost this session most, and those it is compared with least
    cold = 0.0 if found.temp_c is None else round(found.cold, 4)
    oldest = context.ends - EMPTY_AFTER
    state = context.change(followed.subject, PastSessions)
    recent = [each for each in state.judged if each.ended > oldest]
    state.judged = [*recent, PastSession(context.ends, residual, cold)][-_MOST_REMEMBERED:]


def _compare(
    context: HourContext,
    followed: FollowedSession,
    session: HourlySession,
    thresholds: EfficiencyDrop,
    found: SessionEfficiency,
) -> None:
    """Compare a session with those before it, each corrected by half of what cold may have cost.

    How much it really costs differs: by how much the allowances differ, the thresholds give way.
    """
    subject = followed.subject
    state = context.read(subject, PastSessions)
    judged = [] if state is None else state.judged
    before = [
        each
        for each in judged
        if (context.ends - each.ended).total_seconds() <= thresholds.baseline_days * 86400
    ]
    if len(before) < thresholds.minimum_sessions:
        return
    values = [each.residual + each.cold / 2 for each in before]
    usual = median(values)
    sigma = _MAD_TO_SIGMA * median(abs(value - usual) for value in values)
    colder = abs(found.cold - median(each.cold for each in before)) / 2
    tolerance = max(thresholds.mad_factor * sigma, thresholds.least_drop) + colder
    begins = session.hours[0].hour
    # as lenient as efficiency_low: energy that moved from hour to hour is not a drop
    below = usual - (found.best + found.cold / 2)
    evidence = evidence_of(session, found) | {
        "usual": round(found.expected - found.cold / 2 + usual, 3),
        "drop": round(below, 3),
        "threshold": round(tolerance, 3),
        "sessions": len(before),
    }
    if below > tolerance:
        if not followed.is_over:
            session.found.append(_KIND)
        context.breach(
            _KIND,
            subject,
            begins,
            f"{subject.device_id} charged at {session.meter} with an efficiency of "
            f"{found.efficiency:.3f}, {below * 100:.0f} points less than in its last "
            f"{len(before)} sessions ({kwh(found)})",
            evidence,
        )
    elif below < thresholds.clear_share * tolerance and followed.is_over:
        if context.is_open(_KIND, subject):
            summary = f"a session reached {found.efficiency:.3f} again, as usual"
        else:
            summary = ""
        context.clear(_KIND, subject, begins, summary, evidence)


EFFICIENCY_DROP = Rule(
    thresholds=EfficiencyDrop,
    title="Efficiency dropped",
    description="A charging session delivered less DC for its AC than the vehicle's own sessions "
    "of the last weeks did, each compared with what is expected at its power. When half of these "
    "are as low, that is the vehicle's usual.",
    source="Median and median absolute deviation × 1.4826, the robust standard deviation (Leys et "
    "al. 2013 advise 2.5 to 3 of them to find outliers; 5 points at least, for few alerts). "
    + LOSSES,
    severity="warning",
    device_kinds=("vehicle",),
    phase=Phase.SESSION,
    states=(PastSessions,),
    verdict_lasts=timedelta(days=7),  # it reaches back to its baseline as well
    judge_session=_judge,
)
