"""The devices of a fleet, as their settings describe them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from fleetmeter_simulator.devices.profiles import BayProfile, MeterProfile, VehicleProfile


class VehicleDevice(msgspec.Struct, frozen=True):
    """Describes a vehicle as its settings describe it, with its meter."""

    vehicle_id: str
    site: str
    reporting_interval_s: int
    battery_capacity_kwh: float
    meter_id: str
    since: datetime
    reports: str | None
    register: str | None


class MeterDevice(msgspec.Struct, frozen=True):
    """Describes a meter as its settings describe it."""

    meter_id: str
    site: str
    reporting_interval_s: int
    rated_power_kw: float | None
    role: str | None
    reports: str | None
    register: str | None


class Devices(msgspec.Struct, frozen=True):
    """Lists all devices of a fleet."""

    vehicles: list[VehicleDevice]
    meters: list[MeterDevice]


def devices_of(profiles: Sequence[BayProfile], start: datetime) -> Devices:
    """Return the devices of bays; vehicles are assigned to their meters from the start on."""
    return Devices(
        vehicles=[
            VehicleDevice(
                vehicle_id=vehicle.vehicle_id,
                site=bay.meter.site,
                reporting_interval_s=vehicle.interval_min * 60,
                battery_capacity_kwh=vehicle.capacity_kwh,
                meter_id=bay.meter.meter_id,
                since=start,
                reports=_reports(vehicle),
                register=_register(vehicle),
            )
            for bay in profiles
            for vehicle in bay.vehicles
        ],
        meters=[
            MeterDevice(
                meter_id=bay.meter.meter_id,
                site=bay.meter.site,
                reporting_interval_s=bay.meter.interval_min * 60,
                rated_power_kw=sum(vehicle.rated_kw for vehicle in bay.vehicles) or None,
                role="charger" if bay.meter.is_charger else None,
                reports="while_charging" if bay.meter.only_while_charging else None,
                register=_register(bay.meter),
            )
            for bay in profiles
        ],
    )


def _reports(vehicle: VehicleProfile) -> str | None:
    """Return the `reports` setting; a sleeping modem is said to report only while charging."""
    seldom = vehicle.only_while_charging or vehicle.sleeps == "silent"
    return "while_charging" if seldom and vehicle.says_so else None


def _register(profile: VehicleProfile | MeterProfile) -> str | None:
    return "session" if profile.sends_register and profile.register.of_sessions else None
