"""Measures, once, the sessions that both efficiency rules judge, and words their reports."""

from fleetmeter.anomalies.rules.efficiency.session_efficiency import (
    EARLY_HOURS,
    SessionEfficiency,
    measured,
)
from fleetmeter.anomalies.rules.efficiency.thresholds import Efficiency
from fleetmeter.anomalies.rules.shared.sessions import FollowedSession, HourlySession


def judged_part(followed: FollowedSession) -> HourlySession | None:
    """Return the part of a session to judge; None if it is too early or proves nothing."""
    session = followed.since_drive
    if session.meter is None or session.doubtful:
        return None
    if not followed.is_over and len(session.hours) <= EARLY_HOURS:
        return None
    return session


def efficiency_of(
    followed: FollowedSession, session: HourlySession, thresholds: Efficiency
) -> SessionEfficiency | None:
    """Measure the judged part of a session, once for rules with the same expectation."""
    expectation = thresholds.expectation
    if followed.measured is None or followed.measured[0] != expectation:
        followed.measured = expectation, measured(session, thresholds, followed.is_over)
    found: SessionEfficiency | None = followed.measured[1]
    return found


def kwh(found: SessionEfficiency) -> str:
    """Return the compared energy in words."""
    return f"{found.dc_kwh:.1f} of {found.ac_kwh:.1f} kWh"


def evidence_of(session: HourlySession, found: SessionEfficiency) -> dict[str, object]:
    """Return the numbers that decided."""
    return {
        "efficiency": round(found.efficiency, 3),
        "expected": round(found.expected, 3),
        "powerKw": round(found.power_kw, 2),
        "acKwh": round(found.ac_kwh, 3),
        "dcKwh": round(found.dc_kwh, 3),
        "hours": len(found.hours),
        "batteryTempC": None if found.temp_c is None else round(found.temp_c, 1),
        "coldAllowance": round(found.cold, 3),
        "meterId": session.meter,
    }
