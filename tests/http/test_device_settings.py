"""Settings of devices, and their effect on stored readings."""

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
from tests.support.consistency import rollup_differences
from tests.support.rollups import materialise

pytestmark = pytest.mark.either

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
        "reports": None,
        "timeZone": None,
        "batteryCapacityKwh": 77.4,
        "stampByArrival": None,
        "register": None,
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
        ("vehicles", {"reports": "sometimes"}, "$.reports"),
        ("meters", {"ratedPowerKw": "eleven"}, "$.ratedPowerKw"),
        ("meters", {"registerRolloverKwh": 0}, "$.registerRolloverKwh"),
    ],
)
def test_an_invalid_setting_is_named_and_nothing_is_set(
    client: httpx.Client, uid: str, kind: str, body: dict[str, Any], named: str
) -> None:
    reading = vehicle_reading if kind == "vehicles" else meter_reading
    post(client, reading(f"{uid}D", hours_ago(0.1)))
    answer = client.patch(f"/v1/{kind}/{uid}D", json={"label": "kept out"} | body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["path"] == named
    assert "settings" not in client.get(f"/v1/{kind}/{uid}D").json()


@pytest.mark.parametrize("body", [b'{"label": "\xff"}', b"[" * 100_000, b"{", b""])
def test_a_body_that_is_not_json_is_400(client: httpx.Client, uid: str, body: bytes) -> None:
    post(client, vehicle_reading(f"{uid}EV", hours_ago(0.1)))
    for method, path in (("PATCH", ""), ("PUT", "/meter")):
        answer = client.request(
            method,
            f"/v1/vehicles/{uid}EV{path}",
            content=body,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    ("kind", "reading"), [("vehicles", vehicle_reading), ("meters", meter_reading)]
)
def test_settings_may_come_before_the_first_reading(
    client: httpx.Client, uid: str, kind: str, reading: Any
) -> None:
    path = f"/v1/{kind}/{uid}new"
    for body in ({"label": "x", "site": f"{uid}S"}, {"reportingIntervalS": 300, "label": None}):
        answer = client.patch(path, json=body)
        assert answer.status_code == 200, answer.text
    expected = {"label": None, "site": f"{uid}S", "reportingIntervalS": 300}
    assert answer.json().items() >= expected.items()
    # it has not reported for that
    for page in ("", "/readings", "/energy"):
        assert client.get(f"{path}{page}").status_code == 404
    assert client.delete(path).status_code == 404
    post(client, reading(f"{uid}new", hours_ago(0.1)))
    assert client.get(path).json()["settings"] == answer.json()


@pytest.mark.parametrize(
    ("kind", "name", "reading"),
    [("vehicles", "kwhDeliveredDc", vehicle_reading), ("meters", "kwhConsumedAc", meter_reading)],
)
def test_a_register_turns_over_as_was_set_before_it_reported_and_after(
    client: httpx.Client, uid: str, kind: str, name: str, reading: Any
) -> None:
    path, start = f"/v1/{kind}/{uid}R", hours_ago(1)

    def register(n: int, total: float) -> dict[str, Any]:
        sent: dict[str, Any] = reading(f"{uid}R", start + n * MINUTE) | {f"{name}Total": total}
        del sent[name]
        return sent

    client.patch(path, json={"registerRolloverKwh": 1000}).raise_for_status()
    post(client, register(0, 999), register(1, 2))
    assert client.get(path).json()[name] == 3
    client.patch(path, json={"registerRolloverKwh": 100}).raise_for_status()
    post(client, register(2, 98), register(3, 1.5))
    assert client.get(path).json()[name] == 3.5


def test_coverage_goes_by_the_reporting_interval(client: httpx.Client, uid: str) -> None:
    end = hours_ago(40).replace(minute=0)
    at = [end - n * 15 * MINUTE for n in range(8)]
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
    assert quality()["coverage"] == {"dc": 0.0667, "ac": 0.0667, "compared": 0.0667, "charging": 1}
    for kind, device in (("vehicles", "EV"), ("meters", "M")):
        client.patch(f"/v1/{kind}/{uid}{device}", json={"reportingIntervalS": 900})
    complete = {
        "status": "complete",
        "coverage": {"dc": 1, "ac": 1, "compared": 1, "charging": 1},
        "reasons": [],
    }
    eventually(lambda: quality() == complete)


def intervals(db: Db, device: str) -> list[tuple[int, bool]]:
    """Return the length of each interval of a device, seconds, and whether it is spread."""
    rows = db.fetch(
        "select span_ms / 1000, spread from readings where device = device_of('meter', $1)"
        " order by time",
        device,
    )
    return [tuple(row) for row in rows]


def pieces(db: Db, device: str) -> int:
    """Return the number of pieces that the device's energy is in."""
    count: int = db.value(
        "select count(*) from spread_energy where device = device_of('meter', $1)", device
    )
    return count


@pytest.mark.parametrize("hours", [6, 24 * 40])
def test_another_reporting_interval_gives_stored_readings_other_intervals(
    client: httpx.Client, db: Db, server: Server, uid: str, hours: float
) -> None:
    start = hours_ago(hours).replace(minute=0)
    hour = timedelta(hours=1)
    path = f"/v1/meters/{uid}M"
    post(client, *(meter_reading(f"{uid}M", start + n * hour, n) for n in (1, 2, 4)))
    materialise(db, server)
    if server.engine == "timescaledb":  # the oldest: in the columnstore
        db.fetch("select compress_chunk(c) from show_chunks('readings', interval '30 days') c")
    window = {"from": rfc3339(start), "to": rfc3339(start + 4 * hour)}

    def energies(bucket: str = "hour") -> list[float]:
        answer = client.get(f"{path}/energy", params=window | {"bucket": bucket, "limit": 1000})
        return [item["energyConsumedAc"] for item in answer.json()["items"]]

    def coverage() -> float:
        answer = client.get(f"/v1/analytics/meters/{uid}M", params=window).json()
        found: float = answer["quality"]["coverage"]["ac"]
        return found

    eventually(lambda: energies("15min") == [1, 2, 4])
    assert intervals(db, f"{uid}M") == [(60, False)] * 3
    assert coverage() == 0.0125  # three minutes of four hours

    client.patch(path, json={"reportingIntervalS": 3600}).raise_for_status()
    assert intervals(db, f"{uid}M") == [(3600, True)] * 3, "when the answer comes"
    eventually(lambda: rollup_differences(db, uid) == [])
    assert energies("15min") == [0.25] * 4 + [0.5] * 4 + [1] * 4
    assert energies() == [1, 2, 4]
    assert coverage() == 0.75

    # never before the reading before it
    client.patch(path, json={"reportingIntervalS": 3 * 3600}).raise_for_status()
    assert intervals(db, f"{uid}M") == [(3 * 3600, True), (3600, True), (2 * 3600, True)]
    eventually(lambda: rollup_differences(db, uid) == [])
    assert [round(kwh, 6) for kwh in energies()] == [0.333334, 2, 2, 2]
    assert coverage() == 1

    client.patch(path, json={"reportingIntervalS": None}).raise_for_status()
    assert intervals(db, f"{uid}M") == [(60, False)] * 3
    assert pieces(db, f"{uid}M") == 0
    eventually(lambda: rollup_differences(db, uid) == [])
    assert energies("15min") == [1, 2, 4]
    assert client.get(f"{path}/readings", params=window).json()["items"][0]["kwhConsumedAc"] == 1


def test_registers_and_given_intervals_do_not_go_by_the_reporting_interval(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(5)
    register = {"kwhConsumedAc": None, "voltage": 230}
    post(
        client,
        *(
            {k: v for k, v in r.items() if v is not None}
            for n, total in ((0, 7), (90, 10))
            for r in [
                meter_reading(f"{uid}R", start + n * MINUTE, kwhConsumedAcTotal=total, **register)
            ]
        ),
        meter_reading(f"{uid}S", start + 90 * MINUTE, 3, intervalStart=rfc3339(start)),
    )
    before = {name: (intervals(db, f"{uid}{name}"), pieces(db, f"{uid}{name}")) for name in "RS"}
    assert before["R"][0] == [(None, False), (5400, True)]
    assert before["S"][0] == [(5400, True)]
    for name in "RS":
        path = f"/v1/meters/{uid}{name}"
        client.patch(path, json={"reportingIntervalS": 600}).raise_for_status()
        assert (intervals(db, f"{uid}{name}"), pieces(db, f"{uid}{name}")) == before[name]


@pytest.mark.parametrize(
    ("energy", "settings", "derives"),
    [
        ({"kwhConsumedAcTotal": 7}, {}, False),
        ({"kwhConsumedAcTotal": 7}, {"register": "session"}, True),
        ({"kwhConsumedAc": 7}, {}, True),
    ],
)
def test_history_is_derived_again_only_where_the_reporting_interval_matters(
    client: httpx.Client,
    db: Db,
    uid: str,
    energy: dict[str, float],
    settings: dict[str, str],
    derives: bool,
) -> None:
    post(client, {"meterId": f"{uid}M", "timestamp": rfc3339(hours_ago(5)), **energy})
    client.patch(f"/v1/meters/{uid}M", json=settings).raise_for_status()
    change = "select (set_device('meter', $1, '{\"reporting_interval_s\": 600}')).derive_since"
    assert (db.value(change, f"{uid}M") is not None) == derives


def test_intervals_that_were_being_derived_when_the_service_stopped_are_finished(
    client: httpx.Client, db: Db, uid: str
) -> None:
    start = hours_ago(24 * 6).replace(minute=0)
    days = [start + n * timedelta(days=1) for n in range(5)]
    post(client, *(meter_reading(f"{uid}M", at, 1) for at in days))
    # as if it had been stopped before the fourth day
    db.run(
        f"select set_device('meter', '{uid}M', '{{\"reporting_interval_s\": 1800}}');"
        f" update devices set derive_since = '{days[3]}' where id = '{uid}M'"
    )
    eventually(
        lambda: db.value("select derive_since from devices where id = $1", f"{uid}M") is None
    )
    assert intervals(db, f"{uid}M") == [(60, False)] * 3 + [(1800, True)] * 2
    assert pieces(db, f"{uid}M") == 4
    eventually(lambda: rollup_differences(db, uid) == [])


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
def test_an_unknown_time_zone_is_named(
    client: httpx.Client, params: dict[str, str], named: str
) -> None:
    for path in ("/v1/vehicles/V/energy", "/v1/meters/M/energy", "/v1/analytics/fleet/energy"):
        answer = client.get(path, params=params)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["path"] == named
