"""POST /v1/ingest against a running service: outcomes, limits, once and forward only."""

import gzip
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from tests.conftest import Db, hours_ago, meter_reading, post, rfc3339, vehicle_reading

pytestmark = pytest.mark.either

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MINUTE = timedelta(minutes=1)


def test_every_item_has_its_own_outcome(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    post(client, meter_reading(f"{uid}M", at))
    answer = client.post(
        "/v1/ingest",
        json=[
            vehicle_reading(f"{uid}EV", at),
            vehicle_reading(f"{uid}EV", at) | {"kwhDeliveredDc": -1},
            meter_reading(f"{uid}M", at),
            {"hello": "world"},
            vehicle_reading(f"{uid}EV", at),
            "garbage",
        ],
    )
    assert answer.status_code == 207
    body = answer.json()
    assert (body["accepted"], body["duplicates"]) == (1, 2)
    assert [(r["index"], r["code"]) for r in body["rejected"]] == [
        (1, "out_of_range"),
        (3, "unknown_kind"),
        (5, "not_an_object"),
    ]
    assert body["rejected"][0]["path"] == "$.kwhDeliveredDc"
    assert "from 0 to 240000" in body["rejected"][0]["detail"]


def test_an_impossible_value_beside_the_energy_is_left_out_with_a_warning(
    client: httpx.Client, uid: str
) -> None:
    at = hours_ago(1)
    answer = client.post(
        "/v1/ingest",
        json=[
            vehicle_reading(f"{uid}EV", at) | {"soc": 5838, "batteryTemp": 215},
            meter_reading(f"{uid}M", at) | {"voltage": 6553.5, "powerKw": 7},
            meter_reading(f"{uid}M-2", at),
            meter_reading(f"{uid}M-3", at, -1) | {"voltage": -1},
        ],
    )
    assert answer.status_code == 207
    outcome = answer.json()
    assert (outcome["accepted"], len(outcome["rejected"])) == (3, 1)
    warnings = [(each["index"], each["code"], each["path"]) for each in outcome["warnings"]]
    assert sorted(warnings) == [
        (0, "dropped_field", "$.batteryTemp"),
        (0, "dropped_field", "$.soc"),
        (1, "dropped_field", "$.voltage"),
    ]
    vehicle = client.get(f"/v1/vehicles/{uid}EV").json()
    assert (vehicle["kwhDeliveredDc"], vehicle.keys() & {"soc", "batteryTemp"}) == (1.2, set())
    meter = client.get(f"/v1/meters/{uid}M").json()
    assert (meter["kwhConsumedAc"], meter["powerKw"]) == (1.5, 7)
    assert "voltage" not in meter


def test_an_answer_without_warnings_has_no_warnings_field(client: httpx.Client, uid: str) -> None:
    assert "warnings" not in post(client, meter_reading(f"{uid}M", hours_ago(1)))


def test_when_all_are_rejected_it_is_422_with_the_outcomes(client: httpx.Client) -> None:
    answer = client.post("/v1/ingest", json=[{"vehicleId": "x"}, 5])
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["accepted"], body["duplicates"]) == (0, 0)
    assert [r["index"] for r in body["rejected"]] == [0, 1]
    assert body["type"] == "urn:fleetmeter:problem:all-rejected"


def test_a_reading_is_stored_once_however_often_it_is_sent(
    client: httpx.Client, db: Db, uid: str
) -> None:
    batch = [vehicle_reading(f"{uid}EV", hours_ago(3) + n * MINUTE) for n in range(50)]
    with ThreadPoolExecutor(6) as senders:
        outcomes = list(senders.map(lambda _: post(client, *batch), range(12)))
    assert sum(outcome["accepted"] for outcome in outcomes) == 50
    assert sum(outcome["duplicates"] for outcome in outcomes) == 11 * 50
    assert db.value("select count(*) from vehicle_readings where vehicle_id = $1", f"{uid}EV") == 50


def test_a_resent_reading_with_other_values_is_a_conflict_and_changes_nothing(
    client: httpx.Client, uid: str
) -> None:
    at = hours_ago(1)
    vehicle = vehicle_reading(f"{uid}EV", at)
    post(client, meter_reading(f"{uid}M", at, 1.5), vehicle)
    others = [
        meter_reading(f"{uid}M", at, 1.500001),
        meter_reading(f"{uid}M", at, 1.5, voltage=230.001),
        vehicle | {"kwhDeliveredDc": 1.3},
        vehicle | {"soc": 72.01},
        vehicle | {"batteryTemp": 36.01},
        vehicle,
        vehicle | {"soc": 72.001},  # rounded to the unit it is stored in, the same
        meter_reading(f"{uid}M", at - MINUTE, 1.5),
    ]
    answer = client.post("/v1/ingest", json=others)
    assert answer.status_code == 207
    outcome = answer.json()
    assert (outcome["accepted"], outcome["duplicates"]) == (1, 2)
    assert [(item["index"], item["code"]) for item in outcome["rejected"]] == [
        (index, "conflict") for index in range(5)
    ]
    declared = vehicle | {"vehicleId": f"{uid}EV-2", "meterId": f"{uid}M"}
    post(client, declared)
    for alone in (*others[:5], declared | {"meterId": f"{uid}M-2"}):
        assert client.post("/v1/ingest", json=alone).json()["rejected"][0]["code"] == "conflict"
    del declared["meterId"]  # says nothing else
    assert post(client, declared)["duplicates"] == 1
    assert f"{uid}EV has a reading of {rfc3339(at)}" in outcome["rejected"][2]["detail"]
    assert "/v1/corrections" in outcome["rejected"][2]["detail"]
    assert client.get(f"/v1/meters/{uid}M").json()["kwhConsumedAc"] == 1.5
    assert client.get(f"/v1/vehicles/{uid}EV").json()["soc"] == 72


def test_when_an_interval_began_is_a_value_of_its_reading(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    plain = meter_reading(f"{uid}M", at, 1.5)
    given = plain | {"meterId": f"{uid}S", "intervalStart": rfc3339(at - 90 * MINUTE)}
    post(client, plain, given)
    assert post(client, plain, given)["duplicates"] == 2
    others = [
        plain | {"intervalStart": rfc3339(at - MINUTE)},
        given | {"intervalStart": rfc3339(at - 91 * MINUTE)},
        given | {"intervalStart": None},
    ]
    outcome = client.post("/v1/ingest", json=others).json()
    assert [(item["index"], item["code"]) for item in outcome["rejected"]] == [(1, "conflict")]
    assert (outcome["accepted"], outcome["duplicates"]) == (1, 1), "what was absent is completed"
    completed = client.get(f"/v1/meters/{uid}M").json()
    assert completed["intervalStart"] == rfc3339(at - MINUTE)
    path = f"/v1/meters/{uid}S"
    assert client.get(path).json()["intervalStart"] == given["intervalStart"]
    window = {"from": rfc3339(at), "to": rfc3339(at + MINUTE)}
    assert client.get(f"{path}/readings", params=window).json()["items"] == [given]


def test_two_values_of_a_reading_in_one_batch_conflict_whether_it_is_new_or_not(
    client: httpx.Client, uid: str
) -> None:
    at = hours_ago(1)
    values = [meter_reading(f"{uid}M", at, kwh) for kwh in (1, 2, 1, 3)]
    for accepted in (1, 0):
        outcome = client.post("/v1/ingest", json=values).json()
        assert (outcome["accepted"], outcome["duplicates"]) == (accepted, 2 - accepted)
        assert [item["index"] for item in outcome["rejected"]] == [1, 3]
    # what is stored is not what comes first
    outcome = client.post("/v1/ingest", json=values[1:]).json()
    assert (outcome["accepted"], outcome["duplicates"]) == (0, 1)
    assert [item["index"] for item in outcome["rejected"]] == [0, 2]


def test_a_late_reading_never_moves_live_state_back(client: httpx.Client, uid: str) -> None:
    at = hours_ago(1)
    post(client, vehicle_reading(f"{uid}EV", at, soc=80))
    before = client.get(f"/v1/vehicles/{uid}EV").json()
    post(client, vehicle_reading(f"{uid}EV", at - MINUTE, soc=10))
    assert client.get(f"/v1/vehicles/{uid}EV").json() == before


def test_live_state_never_moves_back_between_concurrent_senders(
    client: httpx.Client, uid: str
) -> None:
    start = hours_ago(3)
    batches = [
        [
            reading
            for n in range(10)
            for reading in (
                vehicle_reading(f"{uid}EV-{n}", start + minute * MINUTE, minute / 100),
                meter_reading(f"{uid}M-{n}", start + minute * MINUTE, minute / 100),
            )
        ]
        for minute in range(40)
    ]
    with ThreadPoolExecutor(8) as senders:
        list(senders.map(lambda batch: post(client, *batch), reversed(batches)))
    for n in range(10):
        assert client.get(f"/v1/vehicles/{uid}EV-{n}").json()["kwhDeliveredDc"] == 0.39
        assert client.get(f"/v1/meters/{uid}M-{n}").json()["kwhConsumedAc"] == 0.39


def test_5000_readings_with_one_bad_store_4999(client: httpx.Client, db: Db, uid: str) -> None:
    batch: list[Any] = [
        meter_reading(f"{uid}M-{n % 100}", hours_ago(3) + (n // 100) * MINUTE) for n in range(5000)
    ]
    batch[1234] = batch[1234] | {"voltage": "high"}
    answer = client.post("/v1/ingest", json=batch)
    assert answer.status_code == 207
    assert answer.json()["accepted"] == 4999
    assert answer.json()["rejected"] == [
        {
            "index": 1234,
            "code": "invalid_type",
            "detail": "voltage: Expected `float`, got `str`",
            "path": "$.voltage",
        }
    ]
    stored = "select count(*) from meter_readings where starts_with(meter_id, $1)"
    assert db.value(stored, uid) == 4999


def test_an_empty_array_is_fine(client: httpx.Client) -> None:
    assert post(client) == {"accepted": 0, "duplicates": 0, "rejected": []}


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        (b"", {}, 400, "malformed-body"),
        (b'{"vehicleId": ', {}, 400, "malformed-body"),
        (b"[" * 100_000, {}, 400, "malformed-body"),
        (b"{}", {"content-type": "text/csv"}, 415, "unsupported-media-type"),
        (b"{}", {"content-encoding": "br"}, 415, "unsupported-encoding"),
        (b"{}", {"content-encoding": "gzip"}, 400, "malformed-body"),
        (gzip.compress(b"[{}]", mtime=0)[:-4], {"content-encoding": "gzip"}, 400, "malformed-body"),
        (gzip.compress(bytes(1 << 25), mtime=0), {"content-encoding": "gzip"}, 413, "too-large"),
        (b"\xc1", {"content-type": "application/msgpack"}, 400, "malformed-body"),
        (b"[" + b"1," * 1_700_000 + b"1]", {}, 413, "batch-too-large"),
        (b" " * (16 * 1024 * 1024 + 1), {}, 413, "too-large"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_clear_4xx(
    client: httpx.Client, body: bytes, headers: dict[str, str], status: int, kind: str
) -> None:
    answer = client.post(
        "/v1/ingest", content=body, headers={"content-type": "application/json"} | headers
    )
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:fleetmeter:problem:{kind}"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


def test_a_long_body_without_a_length_is_refused_too(client: httpx.Client) -> None:
    def chunks() -> Any:
        for _ in range(20):
            yield b" " * 1024 * 1024

    try:
        answer = client.post(
            "/v1/ingest", content=chunks(), headers={"content-type": "application/json"}
        )
    except httpx.TransportError:
        pass  # the service closed the connection before all of it was sent
    else:
        assert answer.status_code == 413
    assert client.get("/health/ready").status_code == 200


def test_a_body_of_just_the_limit_is_taken(client: httpx.Client, uid: str) -> None:
    reading = json.dumps(meter_reading(f"{uid}M", hours_ago(1))).encode()
    body = reading + b" " * (16 * 1024 * 1024 - len(reading))
    answer = client.post("/v1/ingest", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
@pytest.mark.parametrize(
    "format_", ["application/json", "application/x-ndjson", "application/msgpack"]
)
def test_every_format_and_encoding_has_the_same_outcomes(
    client: httpx.Client, db: Db, uid: str, format_: str, encoding: str
) -> None:
    at = hours_ago(1)
    items: list[Any] = [meter_reading(f"{uid}M-{n}", at) for n in range(1000)]
    items[6] = items[6] | {"voltage": -1}
    items[7] = items[7] | {"kwhConsumedAc": -1}
    items[8] = items[9]
    body = {
        "application/json": msgspec.json.encode,
        "application/x-ndjson": msgspec.json.Encoder().encode_lines,
        "application/msgpack": msgspec.msgpack.encode,
    }[format_](items)
    packs: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gzip": gzip.compress,
        "zstd": zstd.compress,
    }
    answer = client.post(
        "/v1/ingest",
        content=packs[encoding](body),
        headers={"content-type": format_, "content-encoding": encoding},
    )
    assert answer.status_code == 207, answer.text
    outcome = answer.json()
    assert (outcome["accepted"], outcome["duplicates"]) == (998, 1)
    assert [(r["index"], r["code"]) for r in outcome["rejected"]] == [(7, "out_of_range")]
    assert [(r["index"], r["code"]) for r in outcome["warnings"]] == [(6, "dropped_field")]
    stored = "select count(*) from meter_readings where starts_with(meter_id, $1)"
    assert db.value(stored, uid) == 998
