"""Defines when a device counts as silent, for vehicle_silent and meter_silent."""

from typing import Annotated

from msgspec import Meta

from fleetmeter.anomalies.model import SubjectKind
from fleetmeter.anomalies.thresholds.base import Thresholds


class Silent(Thresholds, frozen=True, kw_only=True):
    """Thresholds of a device that is silent."""

    intervals: Annotated[
        float,
        Meta(
            ge=2,
            le=10_000,
            description="Opens after so many reporting intervals without a reading.",
        ),
    ] = 30.0


class VehicleSilent(Silent, frozen=True, kw_only=True):
    """Thresholds of vehicle_silent."""

    kind = "vehicle_silent"


class MeterSilent(Silent, frozen=True, kw_only=True):
    """Thresholds of meter_silent."""

    kind = "meter_silent"


SILENT: dict[SubjectKind, type[Silent]] = {"vehicle": VehicleSilent, "meter": MeterSilent}
"""Thresholds by kind of device."""

SOURCE = (
    "A convention: half an hour for a device that reports every minute, longer than a restart or a "
    "short loss of connection."
)
