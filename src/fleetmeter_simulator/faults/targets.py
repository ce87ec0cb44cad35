"""Decides which subject a fault has, and which devices it changes."""

from random import Random

from fleetmeter.anomalies.model import Subject
from fleetmeter.anomalies.rules.catalogue import RULES
from fleetmeter_simulator.devices.profiles import BayProfile, VehicleProfile
from fleetmeter_simulator.faults.kinds import Wanted

_METER_VARIANTS = frozenset({"missing-ac", "register-reset", "reporting-lag"})
"""Variants of dc_exceeds_ac that are faults of the meter, though the vehicle shows them."""

_METER_CLOCK = 0.3
"""Probability that a wrong clock is the meter's when no device was asked for."""


def targets(
    wanted: Wanted,
    bay: BayProfile,
    vehicle: VehicleProfile,
    bays: list[BayProfile],
    rng: Random,
) -> tuple[Subject, list[str], set[str]]:
    """Return the subject, the affected vehicles, and the devices that have the fault."""
    meter_id, kind, variant = bay.meter.meter_id, wanted.kind, wanted.variant
    everyone = [each.vehicle_id for each in bay.vehicles]
    of_vehicle = Subject("vehicle", vehicle.vehicle_id)
    clock = kind == "clock_skew" or variant in ("clock-offset", "time-zone", "year", "minutes")
    meter_clock = clock and (
        wanted.device == meter_id or (wanted.device is None and rng.random() < _METER_CLOCK)
    )
    if kind == "site_silent":
        vehicles = [each.vehicle_id for one in bays for each in one.vehicles]
        devices = {*vehicles, *(one.meter.meter_id for one in bays)}
        return Subject("site", bay.meter.site), vehicles, devices
    by_arrival = RULES[kind].is_by_arrival  # of these, vehicles may have the fault as well
    of_meter = meter_clock if by_arrival else "meter" in RULES[kind].device_kinds
    if of_meter or variant == "unit":
        return Subject("meter", meter_id), everyone, {meter_id}
    if variant in _METER_VARIANTS or meter_clock:
        return of_vehicle, everyone, {meter_id}
    return of_vehicle, [vehicle.vehicle_id], {vehicle.vehicle_id}
