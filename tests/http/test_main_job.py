"""The main job, end to end: telemetry in, a 24-hour efficiency answer out."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import (
    Db,
    Server,
    eventually,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    vehicle_reading,
)
from tests.support.rollups import materialise


def test_the_two_payloads_give_an_efficiency_of_0_8(client: httpx.Client, uid: str) -> None:
    at = hours_ago(0.1)
    vehicle, meter = f"{uid}EV-1", f"{uid}MTR-1"
    for payload in (vehicle_reading(vehicle, at), meter_reading(meter, at)):
        answer = client.post("/v1/ingest", json=payload)
        assert answer.status_code == 200
        assert answer.json() == {"accepted": 1, "duplicates": 0, "rejected": []}
    assigned = client.put(
        f"/v1/vehicles/{vehicle}/meter",
        json={"meterId": meter, "since": rfc3339(at - timedelta(hours=1))},
    )
    assert assigned.status_code == 200
    assert assigned.json()["restamped"] == 1

    summary = client.get(f"/v1/analytics/performance/{vehicle}").json()

    assert summary["totalEnergyConsumedAc"] == 1.5
    assert summary["totalEnergyDeliveredDc"] == 1.2
    assert summary["efficiencyRatio"] == 0.8
    assert summary["energyLoss"] == 0.3
    assert summary["avgBatteryTemp"] == summary["maxBatteryTemp"] == 36
    assert summary["minSoc"] == summary["maxSoc"] == 72
    assert summary["meterIds"] == [meter]
    assert summary["quality"]["status"] == "partial"
    assert summary["quality"]["coverage"] == {
        "dc": 0.0007,
        "ac": 0.0007,
        "compared": 0.0007,
        "charging": 1,
    }


def test_a_declared_meter_needs_no_assignment(client: httpx.Client, uid: str) -> None:
    at = hours_ago(0.1)
    post(
        client,
        vehicle_reading(f"{uid}EV", at, meterId=f"{uid}M"),
        meter_reading(f"{uid}M", at),
    )
    summary = client.get(f"/v1/analytics/performance/{uid}EV").json()
    assert summary["efficiencyRatio"] == 0.8


def test_a_full_day_is_complete(client: httpx.Client, uid: str) -> None:
    end = hours_ago(0)
    minutes = [end - timedelta(minutes=n) for n in range(1440)]  # each is of the minute before
    post(client, *(vehicle_reading(f"{uid}EV", at, 0.1, meterId=f"{uid}M") for at in minutes))
    post(client, *(meter_reading(f"{uid}M", at, 0.125) for at in minutes))
    window = {"from": rfc3339(end - timedelta(days=1)), "to": rfc3339(end)}

    def summary() -> Any:
        return client.get(f"/v1/analytics/performance/{uid}EV", params=window).json()

    # most of it is late, so that it may take the rollups a moment
    complete = eventually(lambda: (s := summary())["totalEnergyConsumedAc"] == 180 and s)
    assert complete["totalEnergyDeliveredDc"] == 144
    assert complete["quality"] == {
        "status": "complete",
        "coverage": {"dc": 1, "ac": 1, "compared": 1, "charging": 1},
        "reasons": [],
    }


@pytest.mark.parametrize("days", [3, 30, 399.9])
def test_a_late_reading_is_in_the_answers_within_5_seconds(
    client: httpx.Client, db: Db, server: Server, uid: str, days: float
) -> None:
    vehicle, meter = f"{uid}EV", f"{uid}M"
    at = hours_ago(days * 24).replace(minute=20)  # not on the hour: that belongs to the hour before
    post(client, vehicle_reading(vehicle, at, meterId=meter), meter_reading(meter, at))
    materialise(db, server)
    hour = at.replace(minute=0)
    day = at.replace(hour=0, minute=0)
    window = {
        "from": rfc3339(hour - timedelta(hours=1)),
        "to": rfc3339(hour + timedelta(hours=2)),
    }

    late = at.replace(minute=(at.minute + 7) % 60)
    assert late != at
    post(client, vehicle_reading(vehicle, late, meterId=meter), meter_reading(meter, late))

    def both_counted() -> Any:
        summary = client.get(f"/v1/analytics/performance/{vehicle}", params=window).json()
        return summary["totalEnergyConsumedAc"] == 3 and summary["totalEnergyDeliveredDc"] == 2.4

    eventually(both_counted, timeout_s=5)
    for rollup, bucket in (("hourly", hour), ("daily", day)):
        rows = eventually(
            db.fetch,
            f"select from vehicle_{rollup} where vehicle_id = $1 and bucket = $2 and readings = 2",
            vehicle,
            bucket,
            timeout_s=5,
        )
        assert len(rows) == 1
