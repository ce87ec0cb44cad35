"""Says which device a fault is about, and whose readings it changes."""

from random import Random

from fleetmeter.anomalies.model import Kind, Subject
from fleetmeter_simulator.devices.profiles import BayProfile, VehicleProfile
from fleetmeter_simulator.faults.kinds import Wanted

_OF_METERS: frozenset[Kind] = frozenset(
    {
        "standby_loss",
        "meter_silent",
        "voltage_out_of_range",
        "power_implausible",
        "register_unstable",
    }
)
_AT_METER = frozenset({"missing-ac", "register-reset", "reporting-lag"})
"""Variants of dc_exceeds_ac that are faults of the meter; the vehicle shows it."""

_METER_CLOCK = 0.3
"""How often a wrong clock is the meter's when nobody says whose."""


def target_of(
    wanted: Wanted,
    bay: BayProfile,
    vehicle: VehicleProfile,
    concerned: list[BayProfile],
    rng: Random,
) -> tuple[Subject, list[str], set[str]]:
    """Return the subject, the vehicles that are concerned, and the devices that have the fault."""
    meter_id, kind, variant = bay.meter.meter_id, wanted.kind, wanted.variant
    everybody = [each.vehicle_id for each in bay.vehicles]
    of_vehicle = Subject("vehicle", vehicle.vehicle_id)
    clock = kind == "clock_skew" or variant in ("clock-offset", "time-zone", "year", "minutes")
    meter_clock = clock and (
        wanted.device == meter_id or (wanted.device is None and rng.random() < _METER_CLOCK)
    )
    if kind == "site_silent":
        vehicles = [each.vehicle_id for one in concerned for each in one.vehicles]
        devices = {*vehicles, *(one.meter.meter_id for one in concerned)}
        return Subject("site", bay.meter.site), vehicles, devices
    of_clock = kind in ("clock_skew", "readings_refused")
    if kind in _OF_METERS or variant == "unit" or (of_clock and meter_clock):
        return Subject("meter", meter_id), everybody, {meter_id}
    if variant in _AT_METER or meter_clock:
        return of_vehicle, everybody, {meter_id}
    return of_vehicle, [vehicle.vehicle_id], {vehicle.vehicle_id}
