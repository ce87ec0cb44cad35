"""Recognizes silences between two charges: the habit of a device that reports only while charging.

Such a silence begins with readings of charging and ends with them. Three in a row make the habit;
one that does not ends it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from fleetmeter.anomalies.model import Device
from fleetmeter.anomalies.rules.shared.needs import MeterPoint, VehiclePoint
from fleetmeter.anomalies.rules.silence.state import DeviceSilence

HABIT = 3
"""Number of silences in a row that make a habit."""

_CHARGES_W = 500
"""Minimum mean power of charging, W; less is standby or conditioning."""

_AROUND = timedelta(minutes=15)
_INTERVALS = 3
"""Reporting intervals before and after a silence searched for a reading of charging."""

Points = Iterable[VehiclePoint | MeterPoint]


def around(device: Device) -> timedelta:
    """Return the time around a silence in which readings show whether the device charged."""
    return max(_AROUND, _INTERVALS * timedelta(seconds=device.reporting_interval_s))


def only_while_charging(device: Device | None, silence: DeviceSilence | None) -> bool:
    """Return whether a device is set, or else was found, to report only while it charges."""
    if device is not None and device.reports is not None:
        return device.reports == "while_charging"
    return silence is not None and silence.pauses >= HABIT


def charged_before(points: Points, last: datetime, device: Device) -> bool:
    """Return whether a device charged when it sent its last reading."""
    return _charged(points, last - around(device), last)


def charged_after(points: Points, first: datetime, until: datetime, device: Device) -> bool | None:
    """Return whether a device charged on its return; None if `until` is too early to know."""
    if _charged(points, first - timedelta.resolution, first + around(device)):
        return True
    return False if until - first >= around(device) else None


def _charged(points: Points, after: datetime, until: datetime) -> bool:
    return any(
        after < point.time <= until
        and point.energy_mwh is not None
        and point.span_ms
        and point.energy_mwh * 3600 >= _CHARGES_W * point.span_ms
        for point in points
    )
