"""What reports now, what sites draw, and answers that others got moments ago."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import Db, hours_ago, meter_reading, post, rfc3339, vehicle_reading
from tests.support.pages import all_pages

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)


def test_devices_are_counted_by_the_intervals_since_their_newest_reading(
    client: httpx.Client, db: Db, uid: str
) -> None:
    def counts() -> dict[str, Any]:
        found = client.get("/v1/analytics/now").json()
        assert found["reportingIntervalS"] == 60
        vehicles: dict[str, Any] = found["vehicles"]
        return vehicles

    before = counts()
    now = datetime.now(UTC)
    ages = {"A": 1, "B": 2, "C": 5, "D": 45, "E": 45, "F": 10, "GONE": 45}
    post(
        client,
        *(vehicle_reading(f"{uid}{name}", now - age * MINUTE, 0.1) for name, age in ages.items()),
    )
    client.patch(f"/v1/vehicles/{uid}E", json={"reports": "while_charging"})
    client.patch(f"/v1/vehicles/{uid}F", json={"reportingIntervalS": 900})
    client.delete(f"/v1/vehicles/{uid}GONE")
    after = counts()
    assert {name: after[name] - before[name] for name in after} == {
        "known": 6,
        "reporting": 3,
        "late": 1,
        "silent": 1,
        "resting": 1,
    }


def test_the_rate_is_that_of_the_minute_that_has_settled(client: httpx.Client, uid: str) -> None:
    before = client.get("/v1/analytics/now").json()["readingsPerS"]
    until = datetime.now(UTC) - timedelta(seconds=31)
    post(
        client,
        *(meter_reading(f"{uid}M", until - n * timedelta(seconds=2), 0.01) for n in range(12)),
        meter_reading(f"{uid}M", datetime.now(UTC), 0.01),
    )
    after = client.get("/v1/analytics/now").json()["readingsPerS"]
    assert after - before == pytest.approx(12 / 60, abs=0.002)


def test_a_site_s_supply_is_what_its_meters_of_other_roles_metered(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(3)
    site = f"{uid}depot"
    for name, role in (("G", "site"), ("S1", "solar"), ("S2", "solar"), ("C", "charger")):
        client.patch(f"/v1/meters/{uid}{name}", json={"role": role, "site": site})
    post(
        client,
        *(
            meter_reading(f"{uid}{name}", start + n * MINUTE, kwh)
            for name, kwh in (("G", 0.5), ("S1", 0.25), ("C", 0.7))
            for n in range(1, 61)
        ),
    )
    window = {"from": rfc3339(start), "to": rfc3339(start + timedelta(hours=2))}
    found = client.get("/v1/analytics/supply", params=window).json()["items"]
    (supply,) = (each for each in found if each["site"] == site)
    assert supply == {
        **window,
        "site": site,
        "grid": {"meters": 1, "energyConsumedAc": 30.0, "coverage": 0.5},
        "solar": {"meters": 2, "energyConsumedAc": 15.0, "coverage": 0.25},
        "storage": None,
        "other": None,
    }
    pages = all_pages(client, "/v1/analytics/supply", limit=1, **window)
    assert pages == found


def test_an_answer_may_be_a_recent_one_if_the_request_says_so(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(5)
    window = {"from": rfc3339(start), "to": rfc3339(start + timedelta(hours=1)), "limit": "1"}

    def ask(**headers: str) -> httpx.Response:
        return client.get("/v1/analytics/fleet", params=window, headers=headers)

    lenient = {"cache-control": "max-age=60"}
    first = ask(**lenient)
    post(client, meter_reading(f"{uid}M", start + 30 * MINUTE, 5))
    again = ask(**lenient)
    assert (again.json(), "age" in again.headers) == (first.json(), True)
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    fresh = ask()
    ac = "totalEnergyConsumedAc"
    assert fresh.json()[ac] == (first.json()[ac] or 0) + 5
    assert "age" not in fresh.headers
    assert ask(**{"cache-control": "no-cache, max-age=0"}).json() == fresh.json()
