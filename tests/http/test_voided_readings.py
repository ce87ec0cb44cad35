"""POST /v1/corrections with void: a reading no longer counts, and its values are kept."""

from datetime import datetime, timedelta
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
from tests.support.consistency import rollup_differences, unshared_energy
from tests.support.corrections import WHO, correct
from tests.support.pages import history
from tests.support.rollups import materialise

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)


def register(meter_id: str, at: datetime, total: float) -> dict[str, Any]:
    return {"meterId": meter_id, "timestamp": rfc3339(at), "kwhConsumedAcTotal": total}


def energies(client: httpx.Client, meter_id: str, start: datetime) -> list[Any]:
    return [item["kwhConsumedAc"] for item in history(client, f"/v1/meters/{meter_id}", start)]


@pytest.mark.parametrize("hours", [2, 24 * 40])
def test_a_voided_reading_counts_nowhere_and_is_kept_as_a_version(
    client: httpx.Client, db: Db, server: Server, uid: str, hours: float
) -> None:
    at, meter, vehicle = hours_ago(hours), f"{uid}M", f"{uid}EV"
    for n, kwh in enumerate((0.2, 73.5, 0.3)):
        post(client, meter_reading(meter, at + n * MINUTE, kwh))
        post(client, vehicle_reading(vehicle, at + n * MINUTE, kwh / 2, meterId=meter))
    materialise(db, server)
    if server.engine == "timescaledb":  # the oldest: in the columnstore
        db.fetch("select compress_chunk(c) from show_chunks('readings', interval '30 days') c")
    when = rfc3339(at + MINUTE)
    for device in ({"meterId": meter}, {"vehicleId": vehicle}):
        answer = correct(client, **device, timestamp=when, void=True)
        assert answer.json() == {"version": 2, "changed": True, "reading": None}, answer.text
        again = correct(client, **device, timestamp=when, void=True)
        assert again.json() == {"version": 2, "changed": False, "reading": None}
    window = {"from": rfc3339(at - MINUTE), "to": rfc3339(at + 3 * MINUTE)}
    answer = client.get(f"/v1/analytics/performance/{vehicle}", params=window).json()
    assert (answer["totalEnergyConsumedAc"], answer["totalEnergyDeliveredDc"]) == (0.5, 0.25)
    assert energies(client, meter, at) == [0.2, 0.3]
    kept = history(client, f"/v1/meters/{meter}", at, versions="all")
    assert [item.get("voided") for item in kept] == [None, True, None]
    (version,) = kept[1]["versions"]
    assert "kwhConsumedAc" not in kept[1]
    assert (version["kwhConsumedAc"], version["version"]) == (73.5, 1)
    assert (version["replacedBy"], version["reason"]) == (WHO["who"], WHO["reason"])
    eventually(lambda: rollup_differences(db, uid) == [], timeout_s=20)
    assert unshared_energy(db, uid) == []


def test_a_register_is_measured_past_a_voided_total(client: httpx.Client, uid: str) -> None:
    start, meter = hours_ago(3), f"{uid}M"
    for n, total in enumerate((500, 500.2, 917, 500.6, 500.8)):
        post(client, register(meter, start + n * MINUTE, total))
    assert energies(client, meter, start)[2:4] == [416.8, None]
    correct(client, meterId=meter, timestamp=rfc3339(start + 2 * MINUTE), void=True)
    assert energies(client, meter, start) == [None, 0.2, 0.4, 0.2]
    # the first one: the next one opens, and has no interval
    correct(client, meterId=meter, timestamp=rfc3339(start), void=True)
    assert energies(client, meter, start) == [None, 0.4, 0.2]
    # the newest one: what comes next goes by the one before
    correct(client, meterId=meter, timestamp=rfc3339(start + 4 * MINUTE), void=True)
    state = client.get(f"/v1/meters/{meter}").json()
    assert (state["timestamp"], state["kwhConsumedAcTotal"]) == (rfc3339(start + 3 * MINUTE), 500.6)
    post(client, register(meter, start + 5 * MINUTE, 501.1))
    assert energies(client, meter, start) == [None, 0.4, 0.5]


def test_live_state_goes_back_to_what_was_newest_before(client: httpx.Client, uid: str) -> None:
    at, vehicle = hours_ago(1), f"{uid}EV"
    post(client, {"vehicleId": vehicle, "timestamp": rfc3339(at - MINUTE), "odometerKm": 7})
    post(client, vehicle_reading(vehicle, at, 0.5, meterId=f"{uid}A") | {"soc": 40})
    wrong = vehicle_reading(vehicle, at + MINUTE, 9.5, meterId=f"{uid}B") | {"soc": 99}
    post(client, wrong | {"odometerKm": 999, "powerKw": 3})
    correct(client, vehicleId=vehicle, timestamp=rfc3339(at + MINUTE), void=True)
    state = client.get(f"/v1/vehicles/{vehicle}").json()
    assert (state["timestamp"], state["meterId"], state["soc"]) == (rfc3339(at), f"{uid}A", 40)
    assert (state["kwhDeliveredDc"], state["odometerKm"]) == (0.5, 7)
    assert state["asOf"] == {"odometerKm": rfc3339(at - MINUTE)}
    assert "powerKw" not in state
    # a reading from in between is the newest now
    between = at + timedelta(seconds=30)
    post(client, {"vehicleId": vehicle, "timestamp": rfc3339(between), "soc": 41})
    assert client.get(f"/v1/vehicles/{vehicle}").json()["timestamp"] == rfc3339(between)


def test_a_device_whose_only_reading_was_voided_returns_with_its_next_reading(
    client: httpx.Client, uid: str
) -> None:
    at, meter = hours_ago(1), f"{uid}M"
    post(client, register(meter, at, 5))
    correct(client, meterId=meter, timestamp=rfc3339(at), void=True)
    assert client.get(f"/v1/meters/{meter}").status_code == 404
    assert history(client, f"/v1/meters/{meter}", at) == []
    # it may be one from before, and with another kind of energy
    earlier = at - MINUTE
    assert post(client, meter_reading(meter, earlier))["accepted"] == 1
    assert client.get(f"/v1/meters/{meter}").json()["timestamp"] == rfc3339(earlier)
    assert post(client, meter_reading(meter, at + MINUTE))["accepted"] == 1
    assert energies(client, meter, earlier) == [1.5, 1.5]


@pytest.mark.parametrize("newest", [False, True])
def test_a_voided_reading_that_is_sent_again_stays_out(
    client: httpx.Client, uid: str, newest: bool
) -> None:
    at, meter = hours_ago(1), f"{uid}M"
    sent = meter_reading(meter, at, 73.5)
    post(client, meter_reading(meter, at - MINUTE), sent)
    if not newest:
        post(client, meter_reading(meter, at + MINUTE))
    before = client.get(f"/v1/meters/{meter}/readings").json()["items"]
    correct(client, meterId=meter, timestamp=rfc3339(at), void=True)
    assert post(client, sent)["duplicates"] == 1
    answer = client.post("/v1/ingest", json=sent | {"kwhConsumedAc": 1})
    assert [each["code"] for each in answer.json()["rejected"]] == ["conflict"]
    left = [item for item in before if item["timestamp"] != sent["timestamp"]]
    assert client.get(f"/v1/meters/{meter}/readings").json()["items"] == left
    # in one request with readings that are new
    more = [meter_reading(meter, at + n * MINUTE) for n in (2, 3)]
    answer = client.post("/v1/ingest", json=[more[0], sent, more[1]]).json()
    assert (answer["accepted"], answer["duplicates"]) == (2, 1)


def test_a_voided_reading_can_be_brought_back(client: httpx.Client, db: Db, uid: str) -> None:
    start, meter = hours_ago(3), f"{uid}M"
    for n, total in enumerate((500, 501, 503)):
        post(client, register(meter, start + n * MINUTE, total) | {"voltage": 230})
    when = {"meterId": meter, "timestamp": rfc3339(start + MINUTE)}
    correct(client, **when, void=True)
    refused = correct(client, **when, kwhConsumedAcTotal=502)
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("voided-reading")
    assert "void: false" in refused.json()["detail"]
    answer = correct(client, **when, void=False, kwhConsumedAcTotal=502).json()
    assert (answer["version"], answer["reading"]["voltage"]) == (3, 230)
    assert energies(client, meter, start) == [None, 2, 1]
    (item,) = history(client, f"/v1/meters/{meter}", start, versions="all")[1:2]
    assert "voided" not in item
    assert [each.get("kwhConsumedAcTotal") for each in item["versions"]] == [501, None]
    # the newest one
    when = {"meterId": meter, "timestamp": rfc3339(start + 2 * MINUTE)}
    correct(client, **when, void=True)
    assert correct(client, **when, void=False).json()["changed"]
    state = client.get(f"/v1/meters/{meter}").json()
    assert (state["timestamp"], state["kwhConsumedAcTotal"]) == (when["timestamp"], 503)
    post(client, register(meter, start + 3 * MINUTE, 503.5))
    assert energies(client, meter, start) == [None, 2, 1, 0.5]
    assert not correct(client, **when, void=False).json()["changed"]
    eventually(lambda: rollup_differences(db, uid) == [], timeout_s=20)


def test_history_with_versions_pages_through_voided_readings(
    client: httpx.Client, uid: str
) -> None:
    start, meter = hours_ago(5), f"{uid}M"
    post(client, *(meter_reading(meter, start + n * MINUTE, n) for n in range(12)))
    for n in (0, 3, 4, 11):
        correct(client, meterId=meter, timestamp=rfc3339(start + n * MINUTE), void=True)
    params = {"from": rfc3339(start), "to": rfc3339(start + 20 * MINUTE), "limit": "5"}
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        path = f"/v1/meters/{meter}/readings"
        answer = client.get(path, params=params | cursor | {"versions": "all"}).json()
        items += answer["items"]
        if answer["nextCursor"] is None:
            break
        cursor = {"cursor": answer["nextCursor"]}
    assert [item["timestamp"] for item in items] == [rfc3339(start + n * MINUTE) for n in range(12)]
    assert [n for n, item in enumerate(items) if item.get("voided")] == [0, 3, 4, 11]


def test_void_takes_no_values(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    post(client, meter_reading(f"{uid}M", at))
    answer = correct(client, meterId=f"{uid}M", timestamp=rfc3339(at), void=True, voltage=5)
    assert answer.status_code == 400
    assert "without values" in answer.json()["detail"]
    assert energies(client, f"{uid}M", at) == [1.5]
