"""An hour by device: who charged where, who reported how often, of whom something is remembered.

Built in one pass over its rows and one over the memories, so that devices that are idle and healthy
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
from fleetmeter.anomalies.rules.shared.state import Memory, Session

LEAST_CHARGED_MWH = 50_000
"""Less than 0.05 kWh in an hour is no charging: it would make endless sessions."""


class Observed:
    """The rows of an hour, found by device, and what is remembered from before it."""

    def __init__(self, hour: Hour, memories: Mapping[Subject, Memory]) -> None:
        self.hour = hour
        self.memories = memories
        self.opened: dict[Kind, list[Subject]] = {}
        """What is wrong."""

        self.in_session: list[tuple[Subject, Memory]] = []
        self.silent: list[tuple[Subject, Memory]] = []
        self.suspected: list[tuple[Subject, Memory]] = []
        self.unexplained: list[tuple[Subject, Memory]] = []
        """Vehicles whose DC exceeds the AC of their meter, and it is not known why."""

        self.peaking: list[tuple[Subject, Memory]] = []
        """Devices with a power that cannot be, when the hour began."""

        self.falling: list[tuple[Subject, Memory]] = []
        """Devices whose register fell."""

        self.running: list[tuple[Subject, Memory]] = []
        """Meters that counted too much without charging."""

        self.elsewhere: list[tuple[Subject, Memory]] = []
        """Vehicles that charge at another meter than they are said to."""

        self._remember(memories)
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
        for (kind, id_), device in self.hour.devices.items():
            if kind == "vehicle" and device.meter_id is not None:
                found.setdefault(device.meter_id, []).append(id_)
        return found

    def _remember(self, memories: Mapping[Subject, Memory]) -> None:
        for subject, memory in memories.items():
            if not self.says_of(subject):
                continue
            if memory.session is not None:
                self.in_session.append((subject, memory))
            if memory.silent_since is not None:
                self.silent.append((subject, memory))
            if memory.suspicion is not None:
                self.suspected.append((subject, memory))
            if memory.unexplained is not None:
                self.unexplained.append((subject, memory))
            if memory.peaking:
                self.peaking.append((subject, memory))
            if memory.falls:
                self.falling.append((subject, memory))
            if memory.run is not None:
                self.running.append((subject, memory))
            if memory.other_meter is not None:
                self.elsewhere.append((subject, memory))
            if memory.conditions:
                for kind, condition in memory.conditions.items():
                    if condition.open:
                        self.opened.setdefault(kind, []).append(subject)

    def readings(self, subject: Subject) -> int:
        """How many readings a device sent in this hour; its energy may come without any."""
        if subject.device_kind == "vehicle":
            return self.vehicle_readings.get(subject.device_id, 0)
        row = self.meters.get(subject.device_id)
        return 0 if row is None else row.readings

    def says_of(self, subject: Subject) -> bool:
        """Whether the hour says anything of a device: one of some devices does not of others."""
        return self.hour.whole_fleet or subject in self.hour.devices

    def ending(self) -> list[tuple[Subject, Memory, Session]]:
        """Sessions that this hour ends, being the first without them."""
        return [
            (subject, memory, memory.session)
            for subject, memory in self.in_session
            if memory.session and not self._goes_on(subject.device_id, memory.session)
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
