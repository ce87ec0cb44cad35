"""The fleet, its meters, sites and sessions: what the naive model's test does not ask."""

from datetime import UTC, datetime, timedelta
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
from tests.support.pages import all_pages
from tests.support.rollups import materialise

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def test_a_session_is_open_until_the_gap_has_passed(client: httpx.Client, uid: str) -> None:
    now = datetime.now(UTC)
    post(
        client,
        *(
            vehicle_reading(
                f"{uid}EV", now - n * MINUTE, 0.1, soc=max(60 - n, 20), meterId=f"{uid}M"
            )
            for n in (120, 119, 118, 10, 9, 8)
        ),
    )
    items = client.get(f"/v1/vehicles/{uid}EV/sessions").json()["items"]
    assert [item["open"] for item in items] == [True, False]
    assert [item["energyDeliveredDc"] for item in items] == [0.3, 0.3]
    assert items[0]["meanPower"] == pytest.approx(6, abs=0.01)
    assert items[0]["peakPower"] == pytest.approx(6, abs=0.01)
    assert (items[0]["socFrom"], items[0]["socTo"]) == (50, 52)


def test_another_meter_is_another_session(client: httpx.Client, uid: str) -> None:
    start = hours_ago(20)
    post(
        client,
        *(
            vehicle_reading(f"{uid}EV", start + n * MINUTE, 0.2, meterId=f"{uid}{'AB'[n // 5]}")
            for n in range(10)
        ),
        *(
            meter_reading(f"{uid}{m}", start + n * MINUTE, 0.25 * ("AB"[n // 5] == m))
            for n in range(10)
            for m in "AB"
        ),
    )
    items = client.get(f"/v1/vehicles/{uid}EV/sessions").json()["items"]
    assert [item["meterId"] for item in items] == [f"{uid}B", f"{uid}A"]
    assert [item["energyConsumedAc"] for item in items] == [1.25, 1.25]
    assert [item["efficiencyRatio"] for item in items] == [0.8, 0.8]
    assert items[0]["from"] == items[1]["to"] == rfc3339(start + 4 * MINUTE)


def test_a_vehicle_that_reports_rarely_has_sessions_too(client: httpx.Client, uid: str) -> None:
    start = hours_ago(20)
    jitter = timedelta(seconds=3)
    at = [start, start + 30 * MINUTE - jitter, start + 60 * MINUTE, start + 150 * MINUTE]
    post(client, *(vehicle_reading(f"{uid}EV", t, 2.0**n) for n, t in enumerate(at)))
    client.patch(f"/v1/vehicles/{uid}EV", json={"reportingIntervalS": 1800})
    items = client.get(f"/v1/vehicles/{uid}EV/sessions").json()["items"]
    assert [item["energyDeliveredDc"] for item in items] == [8, 7]
    assert items[1]["from"] == rfc3339(start - 30 * MINUTE)
    assert items[0]["from"] == rfc3339(start + 120 * MINUTE)


def test_sessions_never_overlap_and_count_each_reading_once(client: httpx.Client, uid: str) -> None:
    start = hours_ago(20)
    totals = (10, 15, 17, 20)
    readings = [
        vehicle_reading(
            f"{uid}EV",
            start + n * 5 * MINUTE + timedelta(milliseconds=900 if n < 2 else 400),
            kwhDeliveredDcTotal=total,
            meterId=f"{uid}{'AABB'[n]}",
        )
        for n, total in enumerate(totals)
    ]
    for reading in readings:
        del reading["kwhDeliveredDc"]
    post(client, *readings)
    items = client.get(f"/v1/vehicles/{uid}EV/sessions").json()["items"]
    assert [item["energyDeliveredDc"] for item in items] == [5, 5]
    assert items[0]["from"] == items[1]["to"]


def test_the_balance_of_a_meter_is_paged_in_one_window(client: httpx.Client, uid: str) -> None:
    at = hours_ago(3)
    post(client, meter_reading(f"{uid}M", at, 8))
    post(client, *(vehicle_reading(f"{uid}V{n}", at, 1, meterId=f"{uid}M") for n in range(5)))
    path = f"/v1/analytics/meters/{uid}M"
    items: list[Any] = []
    cursor: dict[str, str] = {}
    windows = set()
    # the rollups may have to follow
    eventually(lambda: client.get(path).json()["totalEnergyConsumedAc"])
    while True:
        answer = client.get(path, params={"limit": 2, **cursor}).json()
        items += answer["vehicles"]["items"]
        windows.add((answer["from"], answer["to"]))
        if answer["vehicles"]["nextCursor"] is None:
            break
        cursor = {"cursor": answer["vehicles"]["nextCursor"]}
    assert [item["vehicleId"] for item in items] == [f"{uid}V{n}" for n in range(5)]
    assert sum(item["energyConsumedAc"] for item in items) == 8
    assert len(windows) == 1
    assert answer["totalEnergyUnattributedAc"] == 0


def test_sites_are_paged_and_have_series(client: httpx.Client, uid: str) -> None:
    at = hours_ago(5)
    for n in range(3):
        post(client, meter_reading(f"{uid}M{n}", at, 1 + n))
        client.patch(f"/v1/meters/{uid}M{n}", json={"site": f"{uid}S{n}"})

    def has_energy(site: str) -> bool:
        return bool(client.get(f"/v1/analytics/sites/{site}/energy").json()["items"])

    for n in range(3):  # the rollups may have to follow
        eventually(has_energy, f"{uid}S{n}")
    found: dict[str, Any] = {}
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/v1/analytics/sites", params={"limit": 2, **cursor}).json()
        assert len(page["items"]) <= 2
        found |= {str(item["site"]): item for item in page["items"]}
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    mine = {site: item for site, item in found.items() if site.startswith(uid)}
    assert [item["energyConsumedAc"] for item in mine.values()] == [1, 2, 3]
    assert all(item["energyUnattributedAc"] == item["energyConsumedAc"] for item in mine.values())
    assert list(mine) == sorted(mine)
    series = client.get(f"/v1/analytics/sites/{uid}S2/energy").json()["items"]
    assert [item["energyConsumedAc"] for item in series] == [3]
    assert series[0]["quality"]["reasons"]


@pytest.mark.parametrize("hours", [3, 50, 24 * 40])
def test_every_series_has_quarter_hours(
    client: httpx.Client, db: Db, server: Server, uid: str, hours: float
) -> None:
    """Devices report every half hour; the energy of each reading is spread over two quarters."""
    start = hours_ago(hours).replace(minute=0)
    paths = {
        "vehicle": f"/v1/vehicles/{uid}EV/energy",
        "meter": f"/v1/meters/{uid}M/energy",
        "site": f"/v1/analytics/sites/{uid}S/energy",
        "fleet": "/v1/analytics/fleet/energy",
    }
    window = {"from": rfc3339(start), "to": rfc3339(start + 90 * MINUTE)}

    def series(path: str, bucket: str = "15min") -> dict[str, tuple[float, ...]]:
        items = all_pages(client, path, limit=4, bucket=bucket, **window)
        fields = ("energyConsumedAc", "energyDeliveredDc", "energyUnattributedAc")
        return {item["from"]: tuple(item.get(f) or 0 for f in fields) for item in items}

    others = series(paths["fleet"])
    for kind, name in (("meters", "M"), ("vehicles", "EV")):
        settings = {"reportingIntervalS": 1800, "site": f"{uid}S"}
        client.patch(f"/v1/{kind}/{uid}{name}", json=settings).raise_for_status()
    post(
        client,
        *(meter_reading(f"{uid}M", start + n * MINUTE, kwh) for n, kwh in ((30, 3), (60, 1))),
        # nobody is there in the last half hour
        meter_reading(f"{uid}M", start + 90 * MINUTE, 0.5),
        vehicle_reading(f"{uid}EV", start + 30 * MINUTE, 2.4, meterId=f"{uid}M"),
        vehicle_reading(f"{uid}EV", start + 60 * MINUTE, 0.8, meterId=f"{uid}M"),
    )
    materialise(db, server)
    quarters = [rfc3339(start + n * 15 * MINUTE) for n in range(6)]
    charged = [(1.5, 1.2, 0), (1.5, 1.2, 0), (0.5, 0.4, 0), (0.5, 0.4, 0)]
    expected = dict(zip(quarters, [*charged, (0.25, 0, 0.25), (0.25, 0, 0.25)], strict=True))

    def is_expected(of: str) -> bool:
        return series(paths[of]) == expected

    for of in ("meter", "site"):
        eventually(is_expected, of)
    eventually(lambda: series(paths["vehicle"]) == dict(zip(quarters, charged, strict=False)))

    def ours() -> dict[str, tuple[float, ...]]:
        fleet = series(paths["fleet"])
        nothing = (0.0, 0.0, 0.0)
        return {
            quarter: tuple(
                round(now - before, 6)
                for now, before in zip(
                    fleet.get(quarter, nothing), others.get(quarter, nothing), strict=True
                )
            )
            for quarter in quarters
        }

    eventually(lambda: ours() == expected)
    first = client.get(paths["vehicle"], params=window | {"bucket": "15min"}).json()["items"][0]
    assert first["quality"]["coverage"] == {"dc": 1, "ac": 1, "compared": 1, "charging": 1}
    assert first["quality"]["status"] == "complete"
    assert first["readings"] == 0, "it is stamped in the next"
    assert first["avgBatteryTemp"] is first["minSoc"] is None
    assert series(paths["meter"], "hour") == {
        rfc3339(start): (4, 3.2, 0),
        rfc3339(start + HOUR): (0.5, 0, 0.5),
    }


def test_a_window_within_an_interval_has_its_part(client: httpx.Client, uid: str) -> None:
    start = hours_ago(9)
    window = {"from": rfc3339(start + HOUR), "to": rfc3339(start + 3 * HOUR)}
    before = client.get("/v1/analytics/fleet", params=window).json()
    sent = {"kwhConsumedAc": None, "kwhDeliveredDc": None}
    for n, (ac, dc) in enumerate([(10, 7), (22, 16)]):
        at = start + n * 6 * HOUR
        readings = [
            meter_reading(f"{uid}M", at, kwhConsumedAcTotal=ac, **sent),
            vehicle_reading(f"{uid}EV", at, kwhDeliveredDcTotal=dc, meterId=f"{uid}M", **sent),
        ]
        post(client, *({k: v for k, v in r.items() if v is not None} for r in readings))
    answer = client.get(f"/v1/analytics/performance/{uid}EV", params=window).json()
    assert (answer["totalEnergyConsumedAc"], answer["totalEnergyDeliveredDc"]) == (4, 3)
    assert answer["efficiencyRatio"] == 0.75
    assert answer["avgBatteryTemp"] is answer["maxSoc"] is None
    assert answer["quality"] == {
        "status": "complete",
        "coverage": {"dc": 1, "ac": 1, "compared": 1, "charging": 1},
        "reasons": [],
    }
    balance = client.get(f"/v1/analytics/meters/{uid}M", params=window).json()
    assert balance["totalEnergyConsumedAc"] == 4
    assert balance["quality"]["status"] == "complete"
    fleet = client.get("/v1/analytics/fleet", params=window).json()
    assert fleet["vehiclesReporting"] == before["vehiclesReporting"] + 1
    assert fleet["metersReporting"] == before["metersReporting"] + 1


@pytest.mark.parametrize(
    "path", ["/v1/analytics/meters/{}", "/v1/analytics/sites/{}/energy", "/v1/vehicles/{}/sessions"]
)
def test_an_unknown_device_or_site_is_404(client: httpx.Client, uid: str, path: str) -> None:
    answer = client.get(path.format(f"{uid}nobody"))
    assert answer.status_code == 404
    assert answer.json()["type"].startswith("urn:fleetmeter:problem:unknown-")


@pytest.mark.parametrize(
    ("path", "params", "named"),
    [
        ("/v1/analytics/fleet", {"sort": "beauty"}, "sort"),
        ("/v1/analytics/fleet", {"cursor": "WyJ4Il0"}, "cursor"),
        ("/v1/analytics/fleet", {"limit": 0}, "limit"),
        ("/v1/analytics/sites", {"cursor": "WyJ4Il0"}, "cursor"),
        ("/v1/analytics/fleet/energy", {"bucket": "week"}, "bucket"),
        ("/v1/vehicles/V/sessions", {"cursor": "IngiCg"}, "cursor"),
    ],
)
def test_an_invalid_parameter_is_named(
    client: httpx.Client, path: str, params: dict[str, Any], named: str
) -> None:
    answer = client.get(path, params=params)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["path"] == named
