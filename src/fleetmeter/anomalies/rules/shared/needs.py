"""Defines the readings that rules request from history when rollups look suspicious."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from fleetmeter.anomalies.model import ABSENT_MV, Subject


class VehiclePoint(NamedTuple):
    """One vehicle reading of history; what it did not measure is None."""

    time: datetime
    """End of its energy's interval: a reading on the hour belongs to the hour before."""

    energy_mwh: int | None
    span_ms: int | None
    """Length of that interval; None if it has none, and its energy does not count."""

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
    """Its register rose impossibly, so that the rise did not count."""


class Needs(msgspec.Struct):
    """The readings from history that decide where the hour's rollups are only suspicious.

    Each is read by the primary key: a device and a span of time.
    """

    last_times: set[Subject] = msgspec.field(default_factory=set)
    """Devices whose newest reading up to the end of the hour is needed."""

    readings: dict[Subject, datetime] = msgspec.field(default_factory=dict)
    """Devices whose readings from this time to the end of the hour are needed."""

    peaks: dict[Subject, Peak] = msgspec.field(default_factory=dict)
    """Devices whose readings above a power limit are needed."""

    def readings_since(self, subject: Subject, since: datetime) -> None:
        """Request a device's readings from a time on, or from an earlier one already requested."""
        self.readings[subject] = min(self.readings.get(subject, since), since)


class Answers(msgspec.Struct):
    """The answers of history to Needs."""

    last_times: dict[Subject, datetime] = msgspec.field(default_factory=dict)
    """Devices without a reading within SILENCE_KNOWN before the end of the hour are missing."""

    vehicle_readings: dict[str, list[VehiclePoint]] = msgspec.field(default_factory=dict)
    meter_readings: dict[str, list[MeterPoint]] = msgspec.field(default_factory=dict)
    peaks: dict[Subject, list[PeakPoint]] = msgspec.field(default_factory=dict)
    """Devices without such a reading are missing."""
