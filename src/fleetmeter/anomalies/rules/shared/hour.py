"""Indexes an hour: where vehicles charged, how often devices reported, which have states.

It is built in one pass over its rows and one over the states, so that idle and healthy devices cost
nothing else.
"""

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeVar

from fleetmeter.anomalies.model import (
    AnomalyKind,
    Hour,
    MeterHour,
    Subject,
    VehicleHour,
)
from fleetmeter.anomalies.rules.shared.state import DeviceState, State

LEAST_CHARGED_MWH = 50_000
"""Minimum DC of charging: with less than 0.05 kWh in an hour, sessions would never end."""

DEFAULT_INTERVAL_S = 60
"""Reporting interval assumed for a removed device."""

S = TypeVar("S", bound=State)


class ObservedHour:
    """The rows of an hour by device, and the states from before it."""

    def __init__(self, hour: Hour, states: Mapping[Subject, DeviceState]) -> None:
        self.starts, self.ends = hour.starts, hour.ends
        self.whole_fleet = hour.whole_fleet
        self.devices = hour.devices
        self.vehicle_rows, self.meter_rows = hour.vehicles, hour.meters
        self.falls = hour.falls
        self.states = states
        self.opened: dict[AnomalyKind, list[Subject]] = {}
        """By kind, the open anomalies when the hour begins."""

        self._by_state: defaultdict[type[State], list[Any]] = defaultdict(list)
        self._index(states)
        self.meters: dict[str, MeterHour] = {row.meter_id: row for row in hour.meters}
        self.at_meter: dict[str, list[VehicleHour]] = {}
        """By meter, the vehicles that took DC there."""

        self.present: dict[str, int] = {}
        """By meter, how many vehicles reported from there."""

        self.charging: dict[str, list[VehicleHour]] = {}
        """By vehicle, the rows of the meters at which it charged."""

        self.vehicle_readings: dict[str, int] = {}
        readings, present = self.vehicle_readings, self.present
        for row in hour.vehicles:
            id_ = row.vehicle_id
            meter_id = row.meter_id
            readings[id_] = readings.get(id_, 0) + row.readings
            if meter_id is not None:
                present[meter_id] = present.get(meter_id, 0) + 1
            if row.dc_mwh > 0:
                if meter_id is not None:
                    self.at_meter.setdefault(meter_id, []).append(row)
                if row.dc_mwh >= LEAST_CHARGED_MWH:
                    self.charging.setdefault(id_, []).append(row)
        self.unsure_at: set[str | None] = {
            device.meter_id
            for (kind, id_), device in hour.devices.items()
            if kind == "vehicle" and id_ not in readings
        }
        """Meters at which a vehicle may charge that reported nothing."""

    @cached_property
    def belonging(self) -> dict[str, list[str]]:
        """Return by meter the vehicles there, by their newest readings."""
        found: dict[str, list[str]] = {}
        for (kind, id_), device in self.devices.items():
            if kind == "vehicle" and device.meter_id is not None:
                found.setdefault(device.meter_id, []).append(id_)
        return found

    def _index(self, states: Mapping[Subject, DeviceState]) -> None:
        by_state, opened = self._by_state, self.opened
        for subject, state in states.items():
            if not self.says_of(subject):
                continue
            for type_, part in state.parts.items():
                by_state[type_].append((subject, part))
            for kind, condition in state.conditions.items():
                if condition.open:
                    opened.setdefault(kind, []).append(subject)

    def having(self, type_: type[S]) -> list[tuple[Subject, S]]:
        """Return the devices with a state of a rule when the hour began."""
        return self._by_state.get(type_, [])

    def read(self, subject: Subject, type_: type[S]) -> S | None:
        """Return what a rule remembers of a device, to be read."""
        state = self.states.get(subject)
        found: S | None = None if state is None else state.parts.get(type_)
        return found

    def site(self, subject: Subject) -> str | None:
        """Return the site of a device that has not been removed."""
        device = self.devices.get(subject)
        return None if device is None else device.site

    def readings(self, subject: Subject) -> int:
        """Count the readings of a device in this hour; its energy may come without any."""
        if subject.device_kind == "vehicle":
            return self.vehicle_readings.get(subject.device_id, 0)
        row = self.meters.get(subject.device_id)
        return 0 if row is None else row.readings

    def interval_s(self, subject: Subject) -> int:
        """Return how often a device is expected to report, seconds."""
        device = self.devices.get(subject)
        return DEFAULT_INTERVAL_S if device is None else device.reporting_interval_s

    def says_of(self, subject: Subject) -> bool:
        """Return whether the hour includes a device: one of some devices excludes others."""
        return self.whole_fleet or subject in self.devices

    def metered_mwh(self, meter_id: str) -> int:
        """Return the AC that a meter metered, whoever took it."""
        row = self.meters.get(meter_id)
        shared = sum(each.ac_mwh or 0 for each in self.at_meter.get(meter_id, ()))
        return shared + (0 if row is None else row.unattributed_mwh)

    def delivered_mwh(self, meter_id: str) -> int:
        """Return the DC that vehicles took at a meter."""
        return sum(each.dc_mwh for each in self.at_meter.get(meter_id, ()))
