"""Readings of registers, exchanges of meters, and the energy that follows from them."""

from datetime import datetime
from typing import Any

import httpx

from tests.conftest import meter_reading, rfc3339, vehicle_reading


def register(meter_id: str, at: datetime, kwh: float) -> dict[str, Any]:
    """A meter's reading of its register."""
    reading = meter_reading(meter_id, at) | {"kwhConsumedAcTotal": kwh}
    del reading["kwhConsumedAc"]
    return reading


def vehicle_register(vehicle_id: str, at: datetime, kwh: float, **fields: Any) -> dict[str, Any]:
    """A vehicle's reading of its register."""
    reading = vehicle_reading(vehicle_id, at, **fields) | {"kwhDeliveredDcTotal": kwh}
    del reading["kwhDeliveredDc"]
    return reading


def energies(client: httpx.Client, meter_id: str, since: datetime) -> list[float | None]:
    """The energies derived from a meter's registers since then, in kWh, oldest first."""
    answer = client.get(f"/v1/meters/{meter_id}/readings", params={"from": rfc3339(since)})
    return [item["kwhConsumedAc"] for item in answer.json()["items"]]


def state_exchange(
    client: httpx.Client, meter_id: str, when: datetime, **fields: Any
) -> httpx.Response:
    """State that the meter was exchanged, by default at 812.7 kWh for one that begins at 3."""
    body = {"at": rfc3339(when), "lastKwh": 812.7, "firstKwh": 3} | fields
    return client.post(f"/v1/meters/{meter_id}/exchanges", json=body)
