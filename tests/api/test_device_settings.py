"""What can be set for a device, and what follows from it."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import (
    eventually,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    vehicle_reading,
)

MINUTE = timedelta(minutes=1)


def test_what_is_absent_stays_and_null_unsets(client: httpx.Client, uid: str) -> None:
    post(client, vehicle_reading(f"{uid}EV", hours_ago(0.1)))
    path = f"/v1/vehicles/{uid}EV"
    assert "settings" not in client.get(path).json()
    first = client.patch(path, json={"label": "Van 7", "site": "BER-1", "batteryCapacityKwh": 77.4})
    assert first.json() == {
        "label": "Van 7",
        "site": "BER-1",
        "reportingIntervalS": None,
        "timeZone": None,
        "batteryCapacityKwh": 77.4,
        "registerRolloverKwh": None,
    }
    second = client.patch(path, json={"site": None, "timeZone": "Asia/Kolkata"}).json()
    assert (second["label"], second["site"], second["timeZone"]) == ("Van 7", None, "Asia/Kolkata")
    assert client.get(path).json()["settings"] == second
    listed = client.get("/v1/vehicles", params={"limit": 1000}).json()["items"]
    assert [i["settings"] for i in listed if i["vehicleId"] == f"{uid}EV"] == [second]


@pytest.mark.parametrize(
    ("kind", "body", "named"),
    [
        ("vehicles", {"reportingIntervalS": 0}, "$.reportingIntervalS"),
        ("vehicles", {"reportingIntervalS": 1.5}, "$.reportingIntervalS"),
        ("vehicles", {"timeZone": "Mars/Olympus"}, "$.timeZone"),
        ("vehicles", {"timeZone": "<+07>-7"}, "$.timeZone"),
        ("vehicles", {"site": "two words"}, "$.site"),
        ("vehicles", {"label": "a\u0000b"}, "$.label"),
        ("vehicles", {"label": ""}, "$.label"),
        ("vehicles", {"batteryCapacityKwh": -1}, "$.batteryCapacityKwh"),
        ("vehicles", {"ratedPowerKw": 11}, "$"),
        ("meters", {"ratedPowerKw": "eleven"}, "$.ratedPowerKw"),
        ("meters", {"registerRolloverKwh": 0}, "$.registerRolloverKwh"),
    ],
)
def test_a_setting_that_cannot_be_is_named_and_nothing_is_set(
    client: httpx.Client, uid: str, kind: str, body: dict[str, Any], named: str
) -> None:
    reading = vehicle_reading if kind == "vehicles" else meter_reading
    post(client, reading(f"{uid}D", hours_ago(0.1)))
    answer = client.patch(f"/v1/{kind}/{uid}D", json={"label": "kept out"} | body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["path"] == named
    assert "settings" not in client.get(f"/v1/{kind}/{uid}D").json()


@pytest.mark.parametrize("body", [b'{"label": "\xff"}', b"[" * 100_000, b"{", b""])
def test_a_body_that_is_no_json_is_400(client: httpx.Client, uid: str, body: bytes) -> None:
    post(client, vehicle_reading(f"{uid}EV", hours_ago(0.1)))
    for method, path in (("PATCH", ""), ("PUT", "/meter")):
        answer = client.request(
            method,
            f"/v1/vehicles/{uid}EV{path}",
            content=body,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("kind", ["vehicles", "meters"])
def test_a_device_that_is_not_known_is_404(client: httpx.Client, uid: str, kind: str) -> None:
    answer = client.patch(f"/v1/{kind}/{uid}nobody", json={"label": "x"})
    assert answer.status_code == 404
    assert client.get(f"/v1/{kind}/{uid}nobody").status_code == 404


def test_coverage_goes_by_the_reporting_interval(client: httpx.Client, uid: str) -> None:
    end = hours_ago(40).replace(minute=0)
    at = [end - n * 15 * MINUTE for n in range(1, 9)]
    post(client, *(vehicle_reading(f"{uid}EV", t, 0.4, meterId=f"{uid}M") for t in at))
    post(client, *(meter_reading(f"{uid}M", t, 0.5) for t in at))
    window = {"from": rfc3339(end - timedelta(hours=2)), "to": rfc3339(end)}

    def answer() -> Any:
        return client.get(f"/v1/analytics/performance/{uid}EV", params=window).json()

    def quality() -> Any:
        found = answer()
        assert found["efficiencyRatio"] == 0.8
        return found["quality"]

    eventually(lambda: answer()["efficiencyRatio"])  # the rollups may have to follow
    assert quality()["coverage"] == {"dc": 0.0667, "ac": 0.0667, "compared": 0.0667}
    for kind, device in (("vehicles", "EV"), ("meters", "M")):
        client.patch(f"/v1/{kind}/{uid}{device}", json={"reportingIntervalS": 900})
    assert quality() == {
        "status": "complete",
        "coverage": {"dc": 1, "ac": 1, "compared": 1},
        "reasons": [],
    }


def test_a_device_has_days_of_its_own_zone_unless_asked_otherwise(
    client: httpx.Client, uid: str
) -> None:
    midnight = hours_ago(60).replace(hour=0, minute=0)
    post(client, *(meter_reading(f"{uid}M", midnight + n * 60 * MINUTE, 1) for n in (17, 19)))
    client.patch(f"/v1/meters/{uid}M", json={"timeZone": "Asia/Kolkata"})  # +05:30
    params = {
        "from": rfc3339(midnight),
        "to": rfc3339(midnight + timedelta(hours=24)),
        "bucket": "day",
    }

    def days(**more: str) -> list[float]:
        answer = client.get(f"/v1/meters/{uid}M/energy", params=params | more)
        return [item["energyConsumedAc"] for item in answer.json()["items"]]

    eventually(lambda: sum(days()) == 2)  # the rollups may have to follow
    assert days() == [1, 1]
    assert days(tz="UTC") == [2]
    assert days(tz="America/New_York") == [2]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"bucket": "day", "tz": "Nowhere/Land"}, "tz"),
        ({"bucket": "day", "tz": "../../etc/passwd"}, "tz"),
        ({"tz": "Europe/Berlin"}, "tz"),
    ],
)
def test_a_zone_that_cannot_be_is_told(
    client: httpx.Client, params: dict[str, str], named: str
) -> None:
    for path in ("/v1/vehicles/V/energy", "/v1/meters/M/energy", "/v1/analytics/fleet/energy"):
        answer = client.get(path, params=params)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["path"] == named
