"""Defines what rules ask history for, and what it answers, where rollups suspect something."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from fleetmeter.anomalies.model import ABSENT_MV, Subject


class VehiclePoint(NamedTuple):
    """One vehicle reading of history; what it did not measure is None."""

    time: datetime
    """When the interval of its energy ends: a reading on the hour belongs to the hour before."""

    energy_mwh: int | None
    span_ms: int | None
    """How long that interval is; None: it has none, and its energy counts nowhere."""

    soc_bp: int | None
    battery_temp_cdeg: int | None


class MeterPoint(NamedTuple):
    """One meter reading of history, like VehiclePoint."""

    time: datetime
    energy_mwh: int | None
    span_ms: int | None
    voltage_mv: int | None
    reset: bool
    phases: tuple[int | None, ...] = ()
    """mV of L1, L2 and L3."""

    def voltages(self) -> dict[str, int]:
        """Return the voltages that were measured: of each phase, or the only one."""
        found = {
            f"L{number}": voltage
            for number, voltage in enumerate(self.phases, 1)
            if voltage is not None and voltage >= ABSENT_MV
        }
        only = self.voltage_mv
        return found or ({"": only} if only is not None and only >= ABSENT_MV else {})


class Peak(NamedTuple):
    """A request for readings from a time on that show a power above a limit."""

    since: datetime
    limit_w: float


class PeakPoint(NamedTuple):
    """A reading that shows a power above a limit."""

    time: datetime
    energy_mwh: int
    span_ms: int
    is_jump: bool = False
    """Its register rose by so much that it counted for nothing."""


class Needs(msgspec.Struct):
    """Which readings of history decide, where the hour's rollups only suspect something.

    Each is read by the primary key: a device and a span of time.
    """

    last_times: set[Subject] = msgspec.field(default_factory=set)
    """Whose newest reading up to the end of the hour must be known."""

    readings: dict[Subject, datetime] = msgspec.field(default_factory=dict)
    """Whose readings, from this time to the end of the hour, must be known."""

    peaks: dict[Subject, Peak] = msgspec.field(default_factory=dict)
    """Devices whose readings above a power limit must be known."""

    def readings_since(self, subject: Subject, since: datetime) -> None:
        """Ask for a device's readings from a time on, or from the earliest that was asked for."""
        self.readings[subject] = min(self.readings.get(subject, since), since)


class Answers(msgspec.Struct):
    """What history answers to Needs."""

    last_times: dict[Subject, datetime] = msgspec.field(default_factory=dict)
    """Missing: nothing within SILENCE_KNOWN before the end of the hour."""

    vehicle_readings: dict[str, list[VehiclePoint]] = msgspec.field(default_factory=dict)
    meter_readings: dict[str, list[MeterPoint]] = msgspec.field(default_factory=dict)
    peaks: dict[Subject, list[PeakPoint]] = msgspec.field(default_factory=dict)
    """Missing: none."""
