"""Energy against state of charge: what a session delivered, and what its gain should have taken."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, cast

from fleetmeter.anomalies.model import Device
from fleetmeter.anomalies.rules.shared.context import HourContext
from fleetmeter.anomalies.rules.shared.hour import ObservedHour
from fleetmeter.anomalies.rules.shared.needs import Needs, VehiclePoint
from fleetmeter.anomalies.rules.shared.sessions import Followed
from fleetmeter.anomalies.rules.shared.state import Session
from fleetmeter.anomalies.thresholds.device_parameters import SocMismatch
from fleetmeter.anomalies.thresholds.rulebook import Rulebook

MOST_READ = timedelta(hours=12)
"""Of a longer session, its last hours are enough."""


class Gain(NamedTuple):
    """Of a session, or of a part of it."""

    dc_mwh: int
    soc_bp: int

    def ratio(self, device: Device) -> float:
        """DC ÷ (gain × capacity)."""
        return self.dc_mwh / (self.soc_bp / 1e4 * (device.battery_capacity_wh or 0) * 1000)


def _by_hours(session: Session) -> Gain | None:
    """From the least of the first hour (it arrived with that, having driven before) to the most
    of the last one (with that it left). None: its readings have gaps, or do not tell it."""
    least, most = session.hours[0].soc_bp_min, session.hours[-1].soc_bp_max
    if least is None or most is None:
        return None
    if not all(hour.is_covered for hour in session.hours[1:-1]):
        return None
    return Gain(sum(hour.dc_mwh for hour in session.hours), most - least)


def _by_readings(session: Session, points: Sequence[VehiclePoint], interval_s: int) -> Gain:
    """Return the gain between consecutive readings with energy: no driving in between, no gaps.

    Not every reading has a state of charge: energy counts from one that does to the next.
    """
    dc_mwh = soc_bp = 0
    longest = timedelta(seconds=1.5 * interval_s)
    begins = session.hours[0].hour
    since_bp: int | None = None
    since_mwh = 0
    for before, point in pairwise(points):
        follows = before.time >= begins and point.time - before.time <= longest
        if not follows or point.energy_mwh == 0:
            since_bp = None
            continue
        if since_bp is None:
            since_bp, since_mwh = before.soc_bp, 0
        since_mwh += point.energy_mwh or 0
        if point.soc_bp is not None:
            if since_bp is not None and since_mwh:
                dc_mwh += since_mwh
                soc_bp += point.soc_bp - since_bp
            since_bp, since_mwh = point.soc_bp, 0
    return Gain(dc_mwh, soc_bp)


def _is_doubtful(session: Session, device: Device | None, parameters: SocMismatch) -> bool:
    """Whether its hours suspect that the readings would open or keep it open."""
    if device is None or not device.battery_capacity_wh or not parameters.enabled:
        return False
    gain = _by_hours(session)
    if gain is None or gain.soc_bp < parameters.minimum_gain * 100:
        return False
    return abs(gain.ratio(device) - 1) >= parameters.clear_difference


def need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Ask for the readings of sessions that this hour ends, where their hours suspect something."""
    for subject, _, session in hour.ending():
        device = hour.devices.get(subject)
        parameters = rulebook.of("soc_mismatch", subject, device.site if device else None)
        if _is_doubtful(session, device, cast(SocMismatch, parameters)):
            begins = max(session.hours[0].hour, hour.ends - MOST_READ)
            needs.readings[subject] = min(needs.readings.get(subject, begins), begins)


def judge(context: HourContext, followed: Followed) -> None:
    """Apply the rule to a session that is over."""
    subject, _, session, is_over = followed
    device = context.device(subject)
    if not is_over or device is None or not device.battery_capacity_wh:
        return
    parameters = cast(SocMismatch, context.parameters("soc_mismatch", subject))
    gain = _by_hours(session)
    if not parameters.enabled or gain is None:
        return
    if _is_doubtful(session, device, parameters):
        points = context.answers.vehicle_readings.get(subject.device_id, ())
        points = [each for each in points if each.time <= _ends(session)]
        gain = _by_readings(session, points, device.reporting_interval_s)
    if gain.soc_bp < parameters.minimum_gain * 100:
        return
    ratio = gain.ratio(device)
    capacity_kwh = device.battery_capacity_wh / 1000
    evidence = {
        "ratio": round(ratio, 3),
        "dcKwh": round(gain.dc_mwh / 1e6, 3),
        "socGain": round(gain.soc_bp / 100, 2),
        "capacityKwh": capacity_kwh,
        "threshold": parameters.open_difference,
    }
    begins = session.hours[0].hour
    said = (
        f"{gain.dc_mwh / 1e6:.1f} kWh for {gain.soc_bp / 100:.0f} % of {capacity_kwh:g} kWh "
        f"(ratio {ratio:.2f})"
    )
    if abs(ratio - 1) > parameters.open_difference:
        summary = f"{subject.device_id} took {said}"
        context.breach("soc_mismatch", subject, begins, summary, evidence)
    elif abs(ratio - 1) < parameters.clear_difference:
        context.clear("soc_mismatch", subject, begins, f"a session took {said}", evidence)


def _ends(session: Session) -> datetime:
    return session.hours[-1].hour + timedelta(hours=1)
