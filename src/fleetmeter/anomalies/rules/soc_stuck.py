"""Finds states of charge that do not move while energy comes: suspected by the hours of a session,
decided by its readings."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from fleetmeter.anomalies.model import Device
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Needs, VehiclePoint
from fleetmeter.anomalies.rules.shared.rule import Phase, Rule
from fleetmeter.anomalies.rules.shared.sessions import (
    SESSION_READ,
    FollowedSession,
    HourlySession,
    ending_sessions,
    session_dc_mwh,
    session_socs,
)
from fleetmeter.anomalies.thresholds.base import ReopenWithin, Thresholds
from fleetmeter.anomalies.thresholds.rulebook import Rulebook


class SocStuck(Thresholds, frozen=True, kw_only=True):
    """Thresholds of soc_stuck."""

    kind = "soc_stuck"

    reopen_within_h: ReopenWithin = 96.0
    minimum_kwh: Annotated[
        float, Meta(ge=0.5, le=1000, description="Least DC of a session without any change, kWh.")
    ] = 5.0
    minimum_share: Annotated[
        float, Meta(gt=0, le=1, description="The same as a part of batteryCapacityKwh, if set.")
    ] = 0.08


_KIND = SocStuck.kind


def _least_mwh(thresholds: SocStuck, device: Device | None) -> float:
    capacity_kwh = ((device.battery_capacity_wh if device else None) or 0) / 1000
    return max(thresholds.minimum_kwh, thresholds.minimum_share * capacity_kwh) * 1e6


def _seems_stuck(session: HourlySession, thresholds: SocStuck, device: Device | None) -> bool:
    is_enough = session_dc_mwh(session) >= _least_mwh(thresholds, device)
    return thresholds.enabled and is_enough and len(session_socs(session)) == 1


def _need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Request the readings of sessions that this hour ends and that seem stuck."""
    for subject, session in ending_sessions(hour):
        device = hour.devices.get(subject)
        thresholds = rulebook.of(SocStuck, subject, hour.site(subject))
        if _seems_stuck(session, thresholds, device):
            begins = max(session.hours[0].hour, hour.ends - SESSION_READ)
            needs.readings_since(subject, begins)


def _judge(context: HourContext, followed: FollowedSession) -> None:
    """Judge a session that is over."""
    subject, session = followed.subject, followed.session
    device = context.device(subject)
    thresholds = context.thresholds(SocStuck, subject)
    least_mwh = _least_mwh(thresholds, device)
    if not followed.is_over or not thresholds.enabled or session_dc_mwh(session) < least_mwh:
        return
    socs = session_socs(session)
    begins = session.hours[0].hour
    if len(socs) > 1:
        summary = f"its state of charge rose to {max(socs) / 100:g} %"
        context.clear(_KIND, subject, begins, summary, {"maxSoc": max(socs) / 100})
        return
    points = context.answers.vehicle_readings.get(subject.device_id, ())
    ends = session.hours[-1].hour + timedelta(hours=1)
    dc_mwh = _between_socs([point for point in points if begins < point.time <= ends])
    if dc_mwh >= least_mwh:
        (soc_bp,) = socs
        context.breach(
            _KIND,
            subject,
            begins,
            f"{subject.device_id} took {dc_mwh / 1e6:.1f} kWh while its state of charge stayed at "
            f"{soc_bp / 100:g} %",
            {
                "dcKwh": round(dc_mwh / 1e6, 3),
                "soc": soc_bp / 100,
                "thresholdKwh": round(least_mwh / 1e6, 3),
            },
        )


def _between_socs(points: Sequence[VehiclePoint]) -> int:
    """Return the DC from the first reading with a state of charge to the last, mWh."""
    with_soc = [number for number, point in enumerate(points) if point.soc_bp is not None]
    if len(with_soc) < 2:
        return 0
    return sum(point.energy_mwh or 0 for point in points[with_soc[0] + 1 : with_soc[-1] + 1])


SOC_STUCK = Rule(
    thresholds=SocStuck,
    title="State of charge stuck",
    description="A session delivered much energy, and the state of charge did not move.",
    source="State of charge is shown in steps of 0.1 to 1 %, seldom 5 %: 8 % of the battery, or 5 "
    "kWh where its capacity is not set, move it.",
    severity="info",
    device_kinds=("vehicle",),
    phase=Phase.SESSION,
    needs=_need,
    judge_session=_judge,
)
