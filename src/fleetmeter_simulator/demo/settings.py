"""Builds the requests that describe the devices of the demo, and their assignments."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

from fleetmeter_simulator.client.setup import Setting
from fleetmeter_simulator.demo.depots import Fleet, Meter


def settings_of(fleet: Fleet, since: datetime, interval_s: int) -> Iterator[list[Setting]]:
    """Yield the requests of each device, which reports every `interval_s` seconds.

    Vehicles are assigned from `since` on.
    """
    for vehicle in fleet.vehicles:
        path = f"/v1/vehicles/{quote(vehicle.vehicle_id, safe='')}"
        meter = fleet.meters[vehicle.meter]
        yield [
            ("PUT", f"{path}/meter", {"meterId": meter.meter_id, "since": since}),
            (
                "PATCH",
                path,
                {
                    "label": vehicle.label,
                    "site": vehicle.depot.site,
                    "batteryCapacityKwh": vehicle.capacity_kwh,
                    "reportingIntervalS": interval_s,
                    "timeZone": "Europe/Berlin",
                },
            ),
        ]
    for each in fleet.meters:
        yield [_of_meter(each, interval_s)]


def intervals_of(fleet: Fleet, interval_s: int) -> Iterator[list[Setting]]:
    """Yield the requests that change the reporting interval of each device."""
    for vehicle in fleet.vehicles:
        path = f"/v1/vehicles/{quote(vehicle.vehicle_id, safe='')}"
        yield [("PATCH", path, {"reportingIntervalS": interval_s})]
    for meter in fleet.meters:
        path = f"/v1/meters/{quote(meter.meter_id, safe='')}"
        yield [("PATCH", path, {"reportingIntervalS": interval_s})]


def _of_meter(meter: Meter, interval_s: int) -> Setting:
    document = {
        "label": meter.label,
        "site": meter.depot.site,
        "ratedPowerKw": meter.rated_kw,
        "role": meter.role,
        "reportingIntervalS": interval_s,
        "timeZone": "Europe/Berlin",
    }
    return "PATCH", f"/v1/meters/{quote(meter.meter_id, safe='')}", document
