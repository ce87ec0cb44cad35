"""What a service is told of a fleet before its readings come."""

from collections.abc import Iterator
from typing import Any

from fleetmeter.simulate.fleet import Devices

Setting = tuple[str, str, dict[str, Any]]
"""Method, path and document of a request."""


def settings_of(devices: Devices) -> Iterator[list[Setting]]:
    """Of each vehicle, and of its meter; first what makes both known, the assignment."""
    meters = {meter.meter_id: meter for meter in devices.meters}
    for vehicle in devices.vehicles:
        path = f"/v1/vehicles/{vehicle.vehicle_id}"
        interval_s = vehicle.reporting_interval_s
        known = [
            ("PUT", f"{path}/meter", {"meterId": vehicle.meter_id, "since": vehicle.since}),
            (
                "PATCH",
                path,
                {
                    "site": vehicle.site,
                    "reportingIntervalS": interval_s,
                    "batteryCapacityKwh": vehicle.battery_capacity_kwh,
                },
            ),
        ]
        meter = meters.pop(vehicle.meter_id, None)
        if meter is not None:
            document = {
                "site": meter.site,
                "reportingIntervalS": meter.reporting_interval_s,
                "ratedPowerKw": meter.rated_power_kw,
            }
            known.append(("PATCH", f"/v1/meters/{meter.meter_id}", document))
        yield known
