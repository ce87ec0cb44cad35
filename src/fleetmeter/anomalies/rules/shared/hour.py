"""An hour by device: who charged where, who reported how often, of whom something is remembered.

Built in one pass over its rows and one over the states, so that devices that are idle and healthy
cost nothing else.
"""

from collections.abc import Mapping
from functools import cached_property

from fleetmeter.anomalies.model import (
    Hour,
    Kind,
    MeterHour,
    Subject,
    VehicleHour,
)
from fleetmeter.anomalies.rules.shared.state import DeviceState, Session

LEAST_CHARGED_MWH = 50_000
"""Less than 0.05 kWh in an hour is no charging: it would make endless sessions."""


DEFAULT_INTERVAL_S = 60
"""Of a device that is not there any more."""


class ObservedHour:
    """The rows of an hour, found by device, and what is remembered from before it."""

    def __init__(self, hour: Hour, states: Mapping[Subject, DeviceState]) -> None:
        self.starts, self.ends = hour.starts, hour.ends
        self.whole_fleet = hour.whole_fleet
        self.devices = hour.devices
        self.vehicle_rows, self.meter_rows = hour.vehicles, hour.meters
        self.states = states
        self.opened: dict[Kind, list[Subject]] = {}
        """What is wrong."""

        self.in_session: list[tuple[Subject, DeviceState]] = []
        self.silent: list[tuple[Subject, DeviceState]] = []
        self.suspected: list[tuple[Subject, DeviceState]] = []
        self.unexplained: list[tuple[Subject, DeviceState]] = []
        """Vehicles whose DC exceeds the AC of their meter, and it is not known why."""

        self.peaking: list[tuple[Subject, DeviceState]] = []
        """Devices with a power that cannot be, when the hour began."""

        self.falling: list[tuple[Subject, DeviceState]] = []
        """Devices whose register fell."""

        self.running: list[tuple[Subject, DeviceState]] = []
        """Meters that counted too much without charging."""

        self.elsewhere: list[tuple[Subject, DeviceState]] = []
        """Vehicles that charge at another meter than they are said to."""

        self._index(states)
        self.meters: dict[str, MeterHour] = {row.meter_id: row for row in hour.meters}
        self.at_meter: dict[str, list[VehicleHour]] = {}
        """All that took DC there."""

        self.present: dict[str, int] = {}
        """By meter: how many vehicles reported from there."""

        self.charging: dict[str, list[VehicleHour]] = {}
        """By vehicle: where it charged."""

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
    def were_silent(self) -> set[Subject]:
        """Devices that were silent when the hour began."""
        return {subject for subject, _ in self.silent}

    @cached_property
    def belonging(self) -> dict[str, list[str]]:
        """By meter: vehicles that were there by their newest readings."""
        found: dict[str, list[str]] = {}
        for (kind, id_), device in self.devices.items():
            if kind == "vehicle" and device.meter_id is not None:
                found.setdefault(device.meter_id, []).append(id_)
        return found

    def _index(self, states: Mapping[Subject, DeviceState]) -> None:
        for subject, state in states.items():
            if not self.says_of(subject):
                continue
            if state.session is not None:
                self.in_session.append((subject, state))
            if state.silent_since is not None:
                self.silent.append((subject, state))
            if state.suspicion is not None:
                self.suspected.append((subject, state))
            if state.unexplained is not None:
                self.unexplained.append((subject, state))
            if state.peaking:
                self.peaking.append((subject, state))
            if state.falls:
                self.falling.append((subject, state))
            if state.run is not None:
                self.running.append((subject, state))
            if state.other_meter is not None:
                self.elsewhere.append((subject, state))
            if state.conditions:
                for kind, condition in state.conditions.items():
                    if condition.open:
                        self.opened.setdefault(kind, []).append(subject)

    def readings(self, subject: Subject) -> int:
        """How many readings a device sent in this hour; its energy may come without any."""
        if subject.device_kind == "vehicle":
            return self.vehicle_readings.get(subject.device_id, 0)
        row = self.meters.get(subject.device_id)
        return 0 if row is None else row.readings

    def interval_s(self, subject: Subject) -> int:
        """How often a device is expected to report."""
        device = self.devices.get(subject)
        return DEFAULT_INTERVAL_S if device is None else device.reporting_interval_s

    def says_of(self, subject: Subject) -> bool:
        """Whether the hour says anything of a device: one of some devices does not of others."""
        return self.whole_fleet or subject in self.devices

    def ending(self) -> list[tuple[Subject, DeviceState, Session]]:
        """Sessions that this hour ends, being the first without them."""
        return [
            (subject, state, state.session)
            for subject, state in self.in_session
            if state.session and not self._goes_on(subject.device_id, state.session)
        ]

    def metered_mwh(self, meter_id: str) -> int:
        """AC that a meter metered, whoever took it."""
        row = self.meters.get(meter_id)
        shared = sum(each.ac_mwh or 0 for each in self.at_meter.get(meter_id, ()))
        return shared + (0 if row is None else row.unattributed_mwh)

    def delivered_mwh(self, meter_id: str) -> int:
        """DC that vehicles took at a meter."""
        return sum(each.dc_mwh for each in self.at_meter.get(meter_id, ()))

    def _goes_on(self, vehicle_id: str, session: Session) -> bool:
        """Whether a vehicle's session goes on in this hour."""
        return any(row.meter_id == session.meter for row in self.charging.get(vehicle_id, ()))
