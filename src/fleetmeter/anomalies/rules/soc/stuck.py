"""A state of charge that does not move while energy comes: suspected by the hours of a session,
decided by its readings."""

from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from fleetmeter.anomalies.model import Device, Kind
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Needs, VehiclePoint
from fleetmeter.anomalies.rules.shared.sessions import (
    Followed,
    session_dc_mwh,
    session_socs,
)
from fleetmeter.anomalies.rules.shared.state import Session
from fleetmeter.anomalies.rules.soc.mismatch import MOST_READ
from fleetmeter.anomalies.thresholds.device_parameters import SocStuck
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

_KIND: Kind = "soc_stuck"


def _least_mwh(parameters: SocStuck, device: Device | None) -> float:
    capacity_kwh = ((device.battery_capacity_wh if device else None) or 0) / 1000
    return max(parameters.minimum_kwh, parameters.minimum_share * capacity_kwh) * 1e6


def _seems_stuck(session: Session, parameters: SocStuck, device: Device | None) -> bool:
    is_enough = session_dc_mwh(session) >= _least_mwh(parameters, device)
    return parameters.enabled and is_enough and len(session_socs(session)) == 1


def need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the readings of sessions that this hour ends and that seem stuck."""
    for subject, _, session in hour.ending():
        device = hour.devices.get(subject)
        parameters = rulebook.of(_KIND, subject, device.site if device else None)
        if _seems_stuck(session, cast(SocStuck, parameters), device):
            begins = max(session.hours[0].hour, hour.ends - MOST_READ)
            needs.readings[subject] = min(needs.readings.get(subject, begins), begins)


def judge(context: HourContext, followed: Followed) -> None:
    """Apply the rule to a session that is over."""
    subject, _, session, is_over = followed
    device = context.device(subject)
    parameters = cast(SocStuck, context.parameters(_KIND, subject))
    least_mwh = _least_mwh(parameters, device)
    if not is_over or not parameters.enabled or session_dc_mwh(session) < least_mwh:
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
    """DC from the first reading that has a state of charge to the last, mWh."""
    with_soc = [number for number, point in enumerate(points) if point.soc_bp is not None]
    if len(with_soc) < 2:
        return 0
    return sum(point.energy_mwh or 0 for point in points[with_soc[0] + 1 : with_soc[-1] + 1])
