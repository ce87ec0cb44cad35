"""Builds the requests that describe the devices of the demo, and their assignments."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

from fleetmeter_simulator.client.setup import Setting
from fleetmeter_simulator.demo.depots import Fleet, Meter


def settings_of(fleet: Fleet, since: datetime) -> Iterator[list[Setting]]:
    """Yield the requests of each device; vehicles are assigned from `since` on."""
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
                    "timeZone": "Europe/Berlin",
                },
            ),
        ]
    for each in fleet.meters:
        yield [_of_meter(each)]


def _of_meter(meter: Meter) -> Setting:
    document = {
        "label": meter.label,
        "site": meter.depot.site,
        "ratedPowerKw": meter.rated_kw,
        "role": meter.role,
        "timeZone": "Europe/Berlin",
    }
    return "PATCH", f"/v1/meters/{quote(meter.meter_id, safe='')}", document
