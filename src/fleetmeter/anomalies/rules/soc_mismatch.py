"""Compares what a session delivered with what its gain in state of charge takes."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, NamedTuple

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
)
from fleetmeter.anomalies.thresholds.base import ReopenWithin, Thresholds, require
from fleetmeter.anomalies.thresholds.rulebook import Rulebook


class SocMismatch(Thresholds, frozen=True, kw_only=True):
    """Thresholds of soc_mismatch."""

    kind = "soc_mismatch"

    reopen_within_h: ReopenWithin = 96.0
    minimum_gain: Annotated[
        float, Meta(ge=5, le=100, description="Least gain in state of charge, points of %.")
    ] = 15.0
    open_difference: Annotated[
        float,
        Meta(ge=0.05, le=1, description="Opens when DC ÷ (gain × capacity) is this far from 1."),
    ] = 0.2
    clear_difference: Annotated[
        float, Meta(ge=0.01, le=1, description="Clears when it is closer to 1 than this.")
    ] = 0.12

    def __post_init__(self) -> None:
        require(
            self.clear_difference <= self.open_difference,
            "clearDifference must not exceed openDifference",
        )


_KIND = SocMismatch.kind


class Gain(NamedTuple):
    """The energy and the gain of a session, or a part of it."""

    dc_mwh: int
    soc_bp: int

    def ratio(self, device: Device) -> float:
        """Return DC ÷ (gain × capacity)."""
        return self.dc_mwh / (self.soc_bp / 1e4 * (device.battery_capacity_wh or 0) * 1000)


def _by_hours(session: HourlySession) -> Gain | None:
    """Return the gain from the least of the first hour (with which it arrived) to the most
    of the last one (with that it left). None: its readings have gaps, or lack it."""
    least, most = session.hours[0].soc_bp_min, session.hours[-1].soc_bp_max
    if least is None or most is None:
        return None
    if not all(hour.is_covered for hour in session.hours[1:-1]):
        return None
    return Gain(sum(hour.dc_mwh for hour in session.hours), most - least)


def _by_readings(session: HourlySession, points: Sequence[VehiclePoint], interval_s: int) -> Gain:
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


def _is_doubtful(session: HourlySession, device: Device | None, thresholds: SocMismatch) -> bool:
    """Return whether the hours suggest that the readings would open or keep the anomaly open."""
    if device is None or not device.battery_capacity_wh or not thresholds.enabled:
        return False
    gain = _by_hours(session)
    if gain is None or gain.soc_bp < thresholds.minimum_gain * 100:
        return False
    return abs(gain.ratio(device) - 1) >= thresholds.clear_difference


def _need(hour: ObservedHour, rulebook: Rulebook, needs: Needs) -> None:
    """Request the readings of sessions that this hour ends and whose hours are suspicious."""
    for subject, session in ending_sessions(hour):
        device = hour.devices.get(subject)
        thresholds = rulebook.of(SocMismatch, subject, hour.site(subject))
        if _is_doubtful(session, device, thresholds):
            begins = max(session.hours[0].hour, hour.ends - SESSION_READ)
            needs.readings_since(subject, begins)


def _judge(context: HourContext, followed: FollowedSession) -> None:
    """Judge a session that is over."""
    subject, session = followed.subject, followed.session
    device = context.device(subject)
    if not followed.is_over or device is None or not device.battery_capacity_wh:
        return
    thresholds = context.thresholds(SocMismatch, subject)
    gain = _by_hours(session)
    if not thresholds.enabled or gain is None:
        return
    if _is_doubtful(session, device, thresholds):
        points = context.answers.vehicle_readings.get(subject.device_id, ())
        points = [each for each in points if each.time <= followed.ends]
        gain = _by_readings(session, points, device.reporting_interval_s)
    if gain.soc_bp < thresholds.minimum_gain * 100:
        return
    ratio = gain.ratio(device)
    capacity_kwh = device.battery_capacity_wh / 1000
    evidence = {
        "ratio": round(ratio, 3),
        "dcKwh": round(gain.dc_mwh / 1e6, 3),
        "socGain": round(gain.soc_bp / 100, 2),
        "capacityKwh": capacity_kwh,
        "threshold": thresholds.open_difference,
    }
    begins = followed.begins
    said = (
        f"{gain.dc_mwh / 1e6:.1f} kWh for {gain.soc_bp / 100:.0f} % of {capacity_kwh:g} kWh "
        f"(ratio {ratio:.2f})"
    )
    if abs(ratio - 1) > thresholds.open_difference:
        summary = f"{subject.device_id} took {said}"
        context.breach(_KIND, subject, begins, summary, evidence)
    elif abs(ratio - 1) < thresholds.clear_difference:
        context.clear(_KIND, subject, begins, f"a session took {said}", evidence)


SOC_MISMATCH = Rule(
    thresholds=SocMismatch,
    title="Energy and state of charge disagree",
    description="A session's DC is not what its gain in state of charge takes, given the battery's "
    "capacity.",
    source="State of charge is estimated to ± 1 to 5 % (EV Pro+ 2026), a tenth or two of a gain of "
    "15 points or more; a battery below 80 % of its capacity is at the end of its life by common "
    "convention.",
    severity="info",
    device_kinds=("vehicle",),
    phase=Phase.SESSION,
    needs=_need,
    judge_session=_judge,
)
