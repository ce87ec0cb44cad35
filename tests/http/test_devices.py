"""Live state, history and series through the API: paging, edges, unknown devices."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import eventually, hours_ago, meter_reading, post, rfc3339, vehicle_reading
from tests.support.pages import all_pages

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("path", "key", "reading"),
    [
        ("/v1/vehicles", "vehicleId", vehicle_reading),
        ("/v1/meters", "meterId", meter_reading),
    ],
)
def test_the_list_has_every_device_once_in_the_order_of_ids(
    client: httpx.Client, uid: str, path: str, key: str, reading: Any
) -> None:
    names = [f"{uid}{name}" for name in ("a", "B", "_", "-", "10", "9", ":", ".")]
    post(client, *(reading(name, hours_ago(1)) for name in names))
    items = [item for item in all_pages(client, path, limit=3) if item[key].startswith(uid)]
    assert [item[key] for item in items] == sorted(names)
    assert all(item["lastSeen"] >= item["timestamp"] for item in items)


def test_history_is_paged_oldest_first_and_half_open(client: httpx.Client, uid: str) -> None:
    start = hours_ago(3)
    post(client, *(meter_reading(f"{uid}M", start + n * MINUTE, n / 10) for n in range(20)))
    items = all_pages(
        client,
        f"/v1/meters/{uid}M/readings",
        limit=4,
        **{"from": rfc3339(start + 2 * MINUTE), "to": rfc3339(start + 11 * MINUTE)},
    )
    assert items == [meter_reading(f"{uid}M", start + n * MINUTE, n / 10) for n in range(2, 11)]


def test_a_series_is_cut_to_the_window(client: httpx.Client, uid: str) -> None:
    hour = hours_ago(30).replace(minute=0)
    post(client, *(vehicle_reading(f"{uid}EV", hour + n * MINUTE, 0.1) for n in range(180)))
    start, end = hour + 30 * MINUTE, hour + 150 * MINUTE

    def items() -> list[Any]:
        window = {"from": rfc3339(start), "to": rfc3339(end), "bucket": "hour"}
        return all_pages(client, f"/v1/vehicles/{uid}EV/energy", limit=2, **window)

    eventually(
        lambda: (
            [(item["from"], item["to"], item["energyDeliveredDc"]) for item in items()]
            == [
                (rfc3339(start), rfc3339(hour + 60 * MINUTE), 3),
                (rfc3339(hour + 60 * MINUTE), rfc3339(hour + 120 * MINUTE), 6),
                (rfc3339(hour + 120 * MINUTE), rfc3339(end), 3),
            ]
        )
    )
    assert items()[0]["energyConsumedAc"] is None
    assert items()[0]["efficiencyRatio"] is None


def test_days_are_days_of_utc(client: httpx.Client, uid: str) -> None:
    midnight = hours_ago(50).replace(hour=0, minute=0)
    at = (-1, 0, 1, 1439, 1440, 1441)
    post(client, *(meter_reading(f"{uid}M", midnight + n * MINUTE, 1) for n in at))

    def items() -> list[Any]:
        window = {
            "from": rfc3339(midnight - timedelta(days=1)),
            "to": rfc3339(midnight + timedelta(days=2)),
            "bucket": "day",
        }
        return all_pages(client, f"/v1/meters/{uid}M/energy", limit=100, **window)

    # what is stamped at midnight was used before it
    eventually(lambda: [item["energyConsumedAc"] for item in items()] == [2, 3, 1])
    day = items()[1]
    assert day["from"] == rfc3339(midnight)
    assert day["avgVoltage"] == day["minVoltage"] == day["maxVoltage"] == 230


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/vehicles/{}", "/v1/vehicles/{}/readings", "/v1/vehicles/{}/energy"),
        *("/v1/vehicles/{}/assignments", "/v1/analytics/performance/{}"),
        *("/v1/meters/{}", "/v1/meters/{}/readings", "/v1/meters/{}/energy"),
    ],
)
def test_an_unknown_device_is_404(client: httpx.Client, uid: str, path: str) -> None:
    answer = client.get(path.format(f"{uid}nobody"))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].startswith("urn:fleetmeter:problem:unknown-")
    assert f"{uid}nobody" in answer.json()["detail"]


def test_a_known_device_without_readings_in_the_window_is_an_empty_page(
    client: httpx.Client, uid: str
) -> None:
    post(client, vehicle_reading(f"{uid}EV", hours_ago(100)))
    for path in ("readings", "energy"):
        answer = client.get(f"/v1/vehicles/{uid}EV/{path}")
        assert answer.json() == {"items": [], "nextCursor": None}
    summary = client.get(f"/v1/analytics/performance/{uid}EV").json()
    assert summary["quality"]["status"] == "no_data"
    assert summary["totalEnergyDeliveredDc"] == 0
    assert summary["avgBatteryTemp"] is None


@pytest.mark.parametrize(
    ("path", "params", "named"),
    [
        ("/v1/vehicles", {"limit": 0}, "limit"),
        ("/v1/vehicles", {"limit": 1001}, "limit"),
        ("/v1/vehicles", {"limit": "all"}, "limit"),
        ("/v1/vehicles", {"cursor": "what"}, "cursor"),
        ("/v1/meters/M/readings", {"from": "yesterday"}, "from"),
        ("/v1/meters/M/readings", {"to": "2026-02-09T10:00:00"}, "to"),
        ("/v1/meters/M/energy", {"bucket": "week"}, "bucket"),
        ("/v1/meters/M/readings", {"form": "2026-02-09T10:00:00Z"}, "form"),
        ("/v1/vehicles/ab%20", {}, "vehicle_id"),
        ("/v1/vehicles/%00", {}, "vehicle_id"),
    ],
)
def test_an_invalid_parameter_is_named(
    client: httpx.Client, path: str, params: dict[str, Any], named: str
) -> None:
    answer = client.get(path, params=params)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:fleetmeter:problem:invalid-parameter"
    assert answer.json()["errors"][0]["path"] == named


@pytest.mark.parametrize(
    ("kind", "key", "reading"),
    [("vehicles", "vehicleId", vehicle_reading), ("meters", "meterId", meter_reading)],
)
def test_a_removed_device_leaves_lists_and_keeps_its_history_until_it_reports_again(
    client: httpx.Client, uid: str, kind: str, key: str, reading: Any
) -> None:
    def listed() -> list[str]:
        items = all_pages(client, f"/v1/{kind}", limit=1000)
        return [item[key] for item in items if item[key].startswith(uid)]

    path, start = f"/v1/{kind}/{uid}A", hours_ago(2)
    post(client, *(reading(f"{uid}{name}", start) for name in "AB"))
    client.patch(path, json={"label": "Anna's"}).raise_for_status()
    for _ in range(2):  # a DELETE may be sent again
        assert client.delete(path).status_code == 204
    answer = client.get(path)
    assert answer.status_code == 404
    assert "removed" in answer.json()["detail"]
    assert listed() == [f"{uid}B"]
    assert client.delete(f"/v1/{kind}/{uid}never").status_code == 404

    # its energy was used in the minute before
    window = {"from": rfc3339(start - MINUTE), "to": rfc3339(start + 5 * MINUTE)}
    assert len(client.get(f"{path}/readings", params=window).json()["items"]) == 1
    assert len(client.get(f"{path}/energy", params=window).json()["items"]) == 1
    # what it sends again is not new
    assert post(client, reading(f"{uid}A", start))["duplicates"] == 1
    assert listed() == [f"{uid}B"]
    post(client, reading(f"{uid}A", start + MINUTE))
    assert client.get(path).json()["settings"]["label"] == "Anna's"
    assert listed() == [f"{uid}A", f"{uid}B"]


@pytest.mark.parametrize(
    ("kind", "name", "reading"),
    [("vehicles", "kwhDeliveredDc", vehicle_reading), ("meters", "kwhConsumedAc", meter_reading)],
)
def test_a_removed_register_comes_back_with_its_next_reading(
    client: httpx.Client, uid: str, kind: str, name: str, reading: Any
) -> None:
    start = hours_ago(2)

    def register(n: int, total: float) -> dict[str, Any]:
        sent: dict[str, Any] = reading(f"{uid}R", start + n * MINUTE) | {f"{name}Total": total}
        del sent[name]
        return sent

    post(client, register(0, 10), register(1, 11))
    assert client.delete(f"/v1/{kind}/{uid}R").status_code == 204
    post(client, register(2, 13.5))
    assert client.get(f"/v1/{kind}/{uid}R").json()[name] == 2.5


def test_the_fleet_does_not_wait_for_devices_that_were_removed(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(0.5)
    post(
        client,
        vehicle_reading(f"{uid}gone", hours_ago(24 * 20)),
        meter_reading(f"{uid}goneM", hours_ago(24 * 20)),
        vehicle_reading(f"{uid}left", start, meterId=f"{uid}M"),
    )
    window = {"from": rfc3339(start - MINUTE), "to": rfc3339(start)}

    def fleet() -> Any:
        return client.get("/v1/analytics/fleet", params=window).json()

    before = fleet()
    client.delete(f"/v1/vehicles/{uid}gone").raise_for_status()
    client.delete(f"/v1/meters/{uid}goneM").raise_for_status()
    client.delete(f"/v1/vehicles/{uid}left").raise_for_status()
    after = fleet()
    assert after["vehiclesSilent"] == before["vehiclesSilent"] - 1
    assert after["metersSilent"] == before["metersSilent"] - 1
    assert after["vehiclesReporting"] == before["vehiclesReporting"], "it did then"
    assert after["totalEnergyDeliveredDc"] == before["totalEnergyDeliveredDc"]
