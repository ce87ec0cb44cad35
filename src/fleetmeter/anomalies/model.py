"""Defines the words of anomalies: what rules look at, and what they find."""

from collections.abc import Collection
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, NamedTuple

import msgspec

ABSENT_MV = 10_000
"""Voltages below this count as not measured, for example of an unconnected phase."""

AnomalyKind = str
"""Name of a kind of anomaly, such as battery_hot; the catalogue of rules lists them all."""

SubjectKind = Literal["vehicle", "meter", "site"]

Reports = Literal["always", "while_charging"]

Status = Literal["open", "acknowledged", "resolved"]

Event = Literal["opened", "acknowledged", "resolved", "reopened", "updated"]

Cause = Literal[
    "wrong_meter",
    "clock_offset",
    "missing_ac_readings",
    "register_reset",
    "reporting_lag",
    "unit_wh",
    "unknown",
]
"""Causes of more DC than AC, and of an implausible power."""

Severity = Literal["info", "warning", "critical"]


class Subject(NamedTuple):
    """The vehicle, meter or site that an anomaly is about."""

    device_kind: SubjectKind
    device_id: str


class Device(msgspec.Struct, frozen=True):
    """A device that has not been removed: its settings and newest times, beside its readings."""

    subject: Subject
    site: str | None
    reporting_interval_s: int
    battery_capacity_wh: int | None = None
    meter_id: str | None = None
    """The meter a vehicle is at, by its newest reading."""

    rated_power_w: int | None = None
    role: str | None = None
    """A meter's role; None: not set, so that it counts as a charger."""

    reports: Reports | None = None
    """Its setting of when it reports, if any."""

    counts_sessions: bool = False
    """Its register restarts with each session."""

    newest: datetime | None = None
    """The time of its newest reading."""

    last_seen: datetime | None = None
    """The time when that reading arrived."""


class VehicleHour(msgspec.Struct, frozen=True):
    """One vehicle at one meter (or at none) in one hour; as energy_slices() gives it.

    The hour's energy may be of intervals that end later: then `readings` may be 0. What was not
    measured is None (of a count and a sum: None or 0).
    """

    hour: datetime
    vehicle_id: str
    meter_id: str | None
    dc_mwh: int
    ac_mwh: int | None
    """Its share of the meter's AC; None when the meter reported nothing."""

    comparable: bool
    """Both sides cover the same time."""

    covered_dc_s: float
    """Seconds that the vehicle's own readings cover."""

    covered_ac_s: float
    readings: int
    resets: int
    soc_bp_min: int | None
    soc_bp_max: int | None
    battery_temp_cdeg_count: int | None
    battery_temp_cdeg_sum: int | None
    battery_temp_cdeg_min: int | None
    battery_temp_cdeg_max: int | None

    @property
    def battery_temp_cdeg(self) -> float | None:
        """Return the mean of what was measured."""
        return _mean(self.battery_temp_cdeg_sum, self.battery_temp_cdeg_count)


class MeterHour(msgspec.Struct, frozen=True, dict=True):
    """One meter in one hour, like VehicleHour."""

    hour: datetime
    meter_id: str
    unattributed_mwh: int
    """Its AC when no vehicle took any DC there; else 0."""

    covered_dc_s: float
    """The coverage of the vehicle there that covers least; 0 when none reported."""

    covered_ac_s: float
    readings: int
    resets: int
    voltage_mv_count: int | None
    voltage_mv_sum: int | None
    voltage_mv_min: int | None
    voltage_mv_max: int | None
    phases: tuple["Voltage", ...] = ()
    """The voltage of each phase that was measured."""

    @cached_property
    def voltages(self) -> tuple["Voltage", ...]:
        """Return the voltages to judge by: each phase, or the one voltage that was measured."""
        phases = tuple(phase for phase in self.phases if phase.highest >= ABSENT_MV)
        if phases:
            return phases
        only = Voltage.measured(
            "", self.voltage_mv_count, self.voltage_mv_sum, self.voltage_mv_min, self.voltage_mv_max
        )
        return tuple(voltage for voltage in only if voltage.highest >= ABSENT_MV)


class Voltage(msgspec.Struct, frozen=True):
    """A voltage in an hour, mV."""

    phase: str
    """L1, L2 or L3; empty: the only one, or a mean of phases."""

    count: int
    mean: float
    lowest: int
    highest: int

    @classmethod
    def measured(
        cls,
        phase: str,
        count: int | None,
        total: int | None,
        lowest: int | None,
        highest: int | None,
    ) -> tuple["Voltage", ...]:
        """Return it from what a rollup has; nothing when nothing was measured."""
        if not count or total is None or lowest is None or highest is None:
            return ()
        return (cls(phase, count, total / count, lowest, highest),)


def _mean(total: int | None, count: int | None) -> float | None:
    return total / count if total is not None and count else None


class Falls(NamedTuple):
    """Falls of a device's registers in an hour, by kind."""

    dips: int = 0
    """Falls from which the register came back."""

    flutters: int = 0
    """Falls by more than 1 kWh, and by less than a tenth."""

    resets: int = 0


class Hour(msgspec.Struct):
    """The rules' view of an hour that is over, (starts, ends]: the whole fleet, or devices that
    share meters."""

    starts: datetime
    ends: datetime
    vehicles: list[VehicleHour]
    meters: list[MeterHour]
    devices: dict[Subject, Device]
    """Devices that have not been removed, whether or not they reported in this hour."""

    whole_fleet: bool = True
    """False for an hour of some devices only, which says nothing about sites and other meters."""

    falls: dict[Subject, Falls] = msgspec.field(default_factory=dict)
    """Devices whose registers fell."""


class ClockSample(msgspec.Struct, frozen=True):
    """A device's newest reading: its time, and when it arrived."""

    device: Device
    time: datetime
    last_seen: datetime


class Change(msgspec.Struct):
    """Something that became wrong or right again: a rule's finding about a device after an hour."""

    kind: AnomalyKind
    subject: Subject
    site: str | None
    at: datetime
    """The time the rule was sure, by the readings: the end of an hour or a sample's arrival."""

    started_at: datetime
    ended_at: datetime | None
    """None while it is wrong."""

    summary: str
    """A sentence for people, with the numbers that decided."""

    evidence: dict[str, Any]
    """The numbers that decided, JSON in camelCase; a name carries its unit."""

    cause: Cause | None = None

    revises: bool = False
    """True if it was already wrong, and this replaces what was reported about it."""


def columns_of(subjects: Collection[Subject]) -> dict[str, list[str]]:
    """Return subjects as the named queries take them."""
    return {
        "device_kinds": [subject.device_kind for subject in subjects],
        "device_ids": [subject.device_id for subject in subjects],
    }
