"""GET /v1/rejections, and readings stamped by their arrival."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import (
    Db,
    eventually,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    vehicle_reading,
)
from tests.support.consistency import rollup_differences
from tests.support.corrections import correct

pytestmark = pytest.mark.either

MINUTE = timedelta(minutes=1)
YEAR = timedelta(days=365)


def send(client: httpx.Client, *readings: dict[str, Any]) -> dict[str, Any]:
    """Send readings of which some are refused."""
    answer: dict[str, Any] = client.post("/v1/ingest", json=readings).json()
    return answer


def rejections(client: httpx.Client, device_id: str, **params: str) -> list[dict[str, Any]]:
    answer = client.get("/v1/rejections", params={"deviceId": device_id} | params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def counts(client: httpx.Client, device_id: str) -> dict[str, int]:
    return {item["code"]: item["count"] for item in rejections(client, device_id)}


def test_rejections_are_counted_by_device_and_code(
    client: httpx.Client, replica: httpx.Client, uid: str
) -> None:
    now, meter = datetime.now(UTC), f"{uid}M"
    ahead = [meter_reading(meter, now + n * MINUTE) for n in (6, 7, 8)]
    send(client, *ahead, meter_reading(meter, now, -0.5), meter_reading(meter, now, 1))
    eventually(lambda: counts(client, meter) == {"in_future": 3, "out_of_range": 1}, timeout_s=10)
    # of another service
    send(replica, ahead[0])
    send(replica, ahead[0] | {"kwhConsumedAc": "1"})
    both = {"in_future": 4, "invalid_type": 1, "out_of_range": 1}
    eventually(lambda: counts(client, meter) == both, timeout_s=10)
    (item,) = rejections(client, meter, code="in_future", kind="meter")
    assert (item["deviceId"], item["kind"]) == (meter, "meter")
    first, last = (datetime.fromisoformat(item[name]) for name in ("firstAt", "lastAt"))
    assert now <= first < last < now + MINUTE
    assert item["since"] == item["firstAt"]
    assert "more than 5 minutes ahead" in item["example"]["detail"]
    assert item["example"]["path"] == "$.timestamp"
    assert f'"meterId":"{meter}"' in item["example"]["reading"]
    assert rejections(client, meter, kind="vehicle") == []
    assert rejections(client, meter, code="conflict") == []


def test_conflicts_and_ids_that_never_fit_are_counted(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    post(client, vehicle_reading(f"{uid}EV", at, 1))
    send(client, vehicle_reading(f"{uid}EV", at, 2))
    send(client, meter_reading(f"{uid}Zähler", at), {"timestamp": rfc3339(at), "soc": 4})
    eventually(lambda: counts(client, f"{uid}EV") == {"conflict": 1}, timeout_s=10)
    eventually(lambda: counts(client, f"{uid}Z\\xe4hler") == {"invalid_id": 1}, timeout_s=10)
    items = client.get("/v1/rejections", params={"code": "unknown_kind"}).json()["items"]
    assert [(item["deviceId"], item["kind"]) for item in items] == [(None, None)]


def test_pages_continue_after_a_device_and_a_code(client: httpx.Client, uid: str) -> None:
    ids = [f"{uid}M{n}" for n in range(5)]
    future = datetime.now(UTC) + YEAR
    for _ in range(2):
        readings = [meter_reading(id_, future) for id_ in ids]
        send(client, *readings, *(meter_reading(id_, hours_ago(1), -1) for id_ in ids))
    eventually(lambda: counts(client, ids[-1]) == {"in_future": 2, "out_of_range": 2}, timeout_s=10)
    found: list[tuple[str, str]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = client.get("/v1/rejections", params={"limit": "3"} | cursor).json()
        found += [(item["deviceId"] or "", item["code"]) for item in answer["items"]]
        if answer["nextCursor"] is None:
            break
        cursor = {"cursor": answer["nextCursor"]}
    assert found == sorted(found)
    mine = [each for each in found if each[0].startswith(uid)]
    assert mine == [(id_, code) for id_ in ids for code in ("in_future", "out_of_range")]


@pytest.mark.parametrize(
    "params", [{"kind": "site"}, {"deviceId": "x" * 65}, {"cursor": "x"}, {"id": "M"}]
)
def test_an_invalid_filter_is_refused(client: httpx.Client, params: dict[str, str]) -> None:
    assert client.get("/v1/rejections", params=params).status_code == 400


@pytest.mark.slow
def test_made_up_ids_do_not_crowd_out_real_devices(client: httpx.Client, db: Db, uid: str) -> None:
    at = hours_ago(1)
    post(client, meter_reading(f"{uid}M", at))
    send(client, *(meter_reading(f"{uid}-{n}", at, -1) for n in range(1500)))
    eventually(lambda: db.value("select count(*) from rejections") > 900, timeout_s=10)
    send(client, meter_reading(f"{uid}M", at, -1), meter_reading(f"{uid}-more", at, -1))
    eventually(lambda: counts(client, f"{uid}M") == {"out_of_range": 1}, timeout_s=10)
    kept = "select count(*) from rejections where not is_known"
    assert 900 <= db.value(kept) <= 1020
    # those are forgotten that nobody has seen for a day
    db.fetch("update rejections set last_at = last_at - interval '25 hours' where not is_known")
    send(client, meter_reading(f"{uid}-new", at, -1))
    eventually(lambda: counts(client, f"{uid}-new") == {"out_of_range": 1}, timeout_s=10)
    assert db.value(kept) < 20


def by_arrival(client: httpx.Client, device: str, on: bool | None = True) -> None:
    answer = client.patch(f"/v1/{device}", json={"stampByArrival": on})
    assert answer.json()["stampByArrival"] is on


def test_readings_of_a_wrong_clock_are_stamped_by_their_arrival(
    client: httpx.Client, db: Db, uid: str
) -> None:
    meter = f"{uid}M"
    by_arrival(client, f"meters/{meter}")
    clock = datetime.now(UTC).replace(microsecond=0) + YEAR
    sent = [meter_reading(meter, clock + n * MINUTE, 0.5 + n) for n in range(3)]
    before = datetime.now(UTC)
    wrong = meter_reading(meter, clock - MINUTE, -1)
    answer = send(client, sent[1], sent[0], sent[2], wrong)
    assert (answer["accepted"], len(answer["rejected"])) == (3, 1)
    assert [(each["index"], each["code"]) for each in answer["warnings"]] == [
        (n, "stamped_by_arrival") for n in range(3)
    ]
    items = client.get(f"/v1/meters/{meter}/readings").json()["items"]
    assert [item["kwhConsumedAc"] for item in items] == [0.5, 1.5, 2.5]
    assert [item["sentTimestamp"] for item in items] == [each["timestamp"] for each in sent]
    times = [datetime.fromisoformat(item["timestamp"]) for item in items]
    assert before <= times[2] <= datetime.now(UTC)
    assert [time - times[0] for time in times] == [n * MINUTE for n in range(3)]
    state = client.get(f"/v1/meters/{meter}").json()
    assert (state["sentTimestamp"], state["timestamp"]) == (
        sent[2]["timestamp"],
        items[2]["timestamp"],
    )
    # no answer came: it is sent again
    again = send(client, *sent)
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 3, [])
    # a clock that was set goes by itself
    right = meter_reading(meter, times[2] + MINUTE)
    assert "warnings" not in post(client, right)
    window = {"from": rfc3339(times[0]), "to": rfc3339(times[2] + 2 * MINUTE)}
    shown = client.get(f"/v1/meters/{meter}/readings", params=window).json()["items"][-1]
    assert "sentTimestamp" not in shown
    text = client.get("/v1/export", params=window | {"meterId": meter}).text
    exported = [line["sentTimestamp"] for line in csv.DictReader(io.StringIO(text))]
    assert exported == [*(each["timestamp"] for each in sent), ""]
    corrected = correct(client, meterId=meter, timestamp=items[0]["timestamp"], kwhConsumedAc=9)
    assert corrected.json()["reading"]["sentTimestamp"] == sent[0]["timestamp"]
    eventually(lambda: rollup_differences(db, uid) == [], timeout_s=20)
    eventually(lambda: counts(client, meter) == {"out_of_range": 1}, timeout_s=10)


def test_a_clock_that_restarts_or_stops_does_not_lose_readings(
    client: httpx.Client, db: Db, uid: str
) -> None:
    meter = f"{uid}M"
    by_arrival(client, f"meters/{meter}")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for total in (5, 6, 8):
        reading = {"meterId": meter, "timestamp": rfc3339(epoch), "kwhConsumedAcTotal": total}
        assert send(client, reading)["accepted"] == 1
    # the same again, after its ten minutes
    assert send(client, reading)["duplicates"] == 1
    db.fetch(
        "update arrival_stamps set time = time - interval '11 minutes'"
        " where device = device_of('meter', $1)",
        meter,
    )
    assert send(client, reading)["accepted"] == 1
    items = client.get(f"/v1/meters/{meter}/readings").json()["items"]
    assert [item["kwhConsumedAc"] for item in items] == [None, 1, 2, 0]


def test_only_devices_set_so_are_stamped_by_arrival(client: httpx.Client, uid: str) -> None:
    by_arrival(client, f"vehicles/{uid}EV")
    future = datetime.now(UTC) + YEAR
    interval = {"intervalStart": rfc3339(future - 30 * MINUTE)}
    answer = send(
        client,
        vehicle_reading(f"{uid}EV", future, 3, **interval),
        vehicle_reading(f"{uid}EV-2", future),
        meter_reading(f"{uid}EV", future),
    )
    assert answer["accepted"] == 1
    assert [(each["index"], each["code"]) for each in answer["rejected"]] == [
        (1, "in_future"),
        (2, "in_future"),
    ]
    (item,) = client.get(f"/v1/vehicles/{uid}EV/readings").json()["items"]
    times = (item["timestamp"], item["intervalStart"])
    ends, starts = (datetime.fromisoformat(time) for time in times)
    assert ends - starts == 30 * MINUTE
    # what is set otherwise holds within seconds
    by_arrival(client, f"vehicles/{uid}EV", None)

    def is_refused() -> bool:
        return send(client, vehicle_reading(f"{uid}EV", future + MINUTE)).get("accepted") == 0

    eventually(is_refused, timeout_s=10, pause_s=1)
