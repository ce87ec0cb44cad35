"""Builds the requests that describe a fleet: settings, assignments, and meter exchanges."""

from collections.abc import Iterator
from typing import Any

from fleetmeter.readings.model import kwh, time_of
from fleetmeter_simulator.devices.registers import Exchange
from fleetmeter_simulator.fleet_devices import Devices, MeterDevice

Setting = tuple[str, str, dict[str, Any]]
"""Method, path and document of a request."""


def settings_of(devices: Devices) -> Iterator[list[Setting]]:
    """Yield the settings of each vehicle and its meter; the assignment comes first."""
    meters = {meter.meter_id: meter for meter in devices.meters}
    for vehicle in devices.vehicles:
        path = f"/v1/vehicles/{vehicle.vehicle_id}"
        document = {
            "site": vehicle.site,
            "reportingIntervalS": vehicle.reporting_interval_s,
            "batteryCapacityKwh": vehicle.battery_capacity_kwh,
            "reports": vehicle.reports,
            "register": vehicle.register,
        }
        known = [
            ("PUT", f"{path}/meter", {"meterId": vehicle.meter_id, "since": vehicle.since}),
            ("PATCH", path, document),
        ]
        meter = meters.pop(vehicle.meter_id, None)
        yield known if meter is None else [*known, _of_meter(meter)]
    for meter in meters.values():
        yield [_of_meter(meter)]


def exchange_of(exchange: Exchange) -> Setting:
    """Return the request that records the exchange of a meter."""
    document = {
        "at": time_of(exchange.at_us),
        "lastKwh": kwh(exchange.last_mwh),
        "firstKwh": kwh(exchange.first_mwh),
    }
    return "POST", f"/v1/meters/{exchange.meter_id}/exchanges", document


def _of_meter(meter: MeterDevice) -> Setting:
    document = {
        "site": meter.site,
        "reportingIntervalS": meter.reporting_interval_s,
        "ratedPowerKw": meter.rated_power_kw,
        "role": meter.role,
        "reports": meter.reports,
        "register": meter.register,
    }
    return "PATCH", f"/v1/meters/{meter.meter_id}", document
