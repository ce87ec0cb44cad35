"""Finds sessions that are worse than those of healthy vehicles at the same power."""

from typing import Annotated

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
from fleetmeter.anomalies.thresholds.base import require

_SHORT = 2
"""Number of short sessions in a row that must be low."""


class EfficiencyLow(Efficiency, frozen=True, kw_only=True):
    """Thresholds of efficiency_low."""

    kind = "efficiency_low"

    margin: Annotated[
        float, Meta(ge=0.01, le=0.5, description="Opens this far below what is expected.")
    ] = 0.07
    clear_margin: Annotated[
        float, Meta(ge=0, le=0.5, description="Clears when less than this below what is expected.")
    ] = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.clear_margin <= self.margin, "clearMargin must not exceed margin")


_KIND = EfficiencyLow.kind


def _judge(context: HourContext, followed: FollowedSession) -> None:
    session = judged_part(followed)
    thresholds = context.thresholds(EfficiencyLow, followed.subject)
    if session is None or not thresholds.enabled or _KIND in session.found:
        return
    found = efficiency_of(followed, session, thresholds)
    if found is not None:
        _compare(context, followed, session, thresholds, found)


def _compare(
    context: HourContext,
    followed: FollowedSession,
    session: HourlySession,
    thresholds: EfficiencyLow,
    found: SessionEfficiency,
) -> None:
    """Compare a session with its expected efficiency."""
    subject = followed.subject
    begins = session.hours[0].hour
    below = -(found.best + found.cold)
    evidence = evidence_of(session, found) | {
        "threshold": round(found.expected - found.cold - thresholds.margin, 3)
    }
    if below > thresholds.margin and found.is_short:
        condition = context.condition(_KIND, subject)
        condition.count, condition.at = condition.count + 1, context.ends
        if condition.count < _SHORT and not condition.open:
            return
    if below > thresholds.margin:
        if not followed.is_over:
            session.found.append(_KIND)
        context.breach(
            _KIND,
            subject,
            begins,
            f"{subject.device_id} charged at {session.meter} with an efficiency of "
            f"{found.efficiency:.3f} at {found.power_kw:.1f} kW, where {found.expected:.3f} is "
            f"expected ({kwh(found)})",
            evidence,
        )
    elif below < thresholds.clear_margin and followed.is_over:
        summary = f"a session reached {found.efficiency:.3f} at {found.power_kw:.1f} kW again"
        context.clear(_KIND, subject, begins, summary, evidence)


EFFICIENCY_LOW = Rule(
    thresholds=EfficiencyLow,
    title="Efficiency too low",
    description="A charging session delivered less DC for its AC than healthy vehicles do at that "
    "power. Judged by its full hours that both sides cover and in which the vehicle charged alone "
    "at its meter.",
    source=LOSSES,
    severity="warning",
    device_kinds=("vehicle",),
    phase=Phase.SESSION,
    judge_session=_judge,
)
