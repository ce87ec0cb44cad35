"""The audit log: every change with who made it, from where, and what was before."""

import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from fleetmeter.access.principal import SCOPES
from tests.conftest import Db, Service, hours_ago, meter_reading, post, rfc3339
from tests.support.keys import make_key, with_key

pytestmark = pytest.mark.either


@pytest.fixture(scope="module")
def anna(service: Service, db: Db) -> Iterator[httpx.Client]:
    """A client with a key for everything; the first change, which is in the log, makes it."""
    with httpx.Client(base_url=service.base_url, timeout=30) as anybody:
        before = meter_reading("AUDIT-OPEN", hours_ago(3))
        post(anybody, before)
        said = before | {"kwhConsumedAc": 9, "who": "otto", "reason": "it was open"}
        assert anybody.post("/v1/corrections", json=said).status_code == 200
        del said["who"]
        assert anybody.post("/v1/corrections", json=said | {"kwhConsumedAc": 8}).status_code == 200
        key = make_key(anybody, "anna", *SCOPES)["key"]
    with with_key(anybody, key) as client:
        yield client


def entries(client: httpx.Client, **filters: Any) -> list[dict[str, Any]]:
    """The entries that match, newest first."""
    answer = client.get("/v1/audit", params=filters)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_without_any_key_who_is_what_the_body_says(anna: httpx.Client, db: Db) -> None:
    versions = "select replaced_by from replaced_readings as r join devices as d using (device)"
    found = db.fetch(f"{versions} where d.id = 'AUDIT-OPEN' order by version")
    assert [row["replaced_by"] for row in found] == ["otto", "local"]
    logged = entries(anna, object="meter AUDIT-OPEN")
    assert [(each["who"], each["action"]) for each in logged] == [("local", "correct")] * 2
    made = entries(anna, action="create-key")[-1]
    assert made["who"] == "local"
    assert made["after"]["name"] == "anna"


def test_every_change_is_logged_with_who_and_what_was_before(
    anna: httpx.Client, db: Db, uid: str
) -> None:
    at = hours_ago(2)
    vehicle, meter = f"{uid}EV", f"{uid}M"
    post(anna, meter_reading(meter, at))
    anna.patch(f"/v1/meters/{meter}", json={"site": "north"})
    anna.patch(f"/v1/meters/{meter}", json={"site": "south", "label": None})
    anna.patch(f"/v1/meters/{meter}", json={"site": "south"})  # changes nothing
    assignment = {"meterId": meter, "since": rfc3339(at)}
    for _ in range(2):  # the second one changes nothing
        assert anna.put(f"/v1/vehicles/{vehicle}/meter", json=assignment).status_code == 200
    reading = {"meterId": meter, "timestamp": rfc3339(at), "reason": "wrong"}
    for change in (
        {"kwhConsumedAc": 2},
        {"kwhConsumedAc": 2},  # changes nothing
        {"void": True, "who": "bert"},
        {"void": False},
    ):
        assert anna.post("/v1/corrections", json=reading | change).status_code == 200
    exchange = {"at": rfc3339(at), "lastKwh": 5, "firstKwh": 0}
    anna.post(f"/v1/meters/{meter}/exchanges", json=exchange)
    anna.delete(f"/v1/meters/{meter}/exchanges", params={"at": rfc3339(at)})
    anna.delete(f"/v1/meters/{meter}")
    logged = entries(anna, object=f"meter {meter}")
    assert [each["action"] for each in reversed(logged)] == [
        *("set", "set", "correct", "void", "restore", "exchange", "withdraw-exchange", "remove")
    ]
    assert {each["who"] for each in logged} == {"key:anna"}
    assert {each["address"] for each in logged} == {"127.0.0.1"}
    by_action = {each["action"]: each for each in reversed(logged)}
    assert by_action["set"]["before"] == {"site": "north"}
    assert by_action["set"]["after"] == {"site": "south"}
    assert by_action["correct"]["before"]["energy_mwh"] == 1_500_000
    assert by_action["correct"]["after"]["energy_mwh"] == 2_000_000
    assert by_action["void"]["before"]["energy_mwh"] == 2_000_000
    (assigned,) = entries(anna, object=f"vehicle {vehicle}")
    assert assigned["after"]["meter_id"] == meter
    versions = anna.get(f"/v1/meters/{meter}/readings", params={"versions": "all"}).json()
    replaced = [each["replacedBy"] for each in versions["items"][0]["versions"]]
    assert replaced == ["key:anna", "key:anna (bert)", "key:anna"]


def test_rules_are_set_by_who_it_is(anna: httpx.Client, uid: str) -> None:
    post(anna, meter_reading(f"{uid}M", hours_ago(2)))
    change = {"scope": "meter", "target": f"{uid}M", "parameters": {"enabled": False}}
    path = "/v1/rules/voltage_out_of_range"
    assert anna.put(path, json=change | {"who": "carl"}).status_code == 200
    assert anna.put(path, json=change).status_code == 200  # changes nothing
    (changed,) = (
        item for item in anna.get(f"{path}/changes").json()["items"] if item["target"] == f"{uid}M"
    )
    assert changed["changedBy"] == "key:anna (carl)"
    (logged,) = entries(anna, object=f"rule voltage_out_of_range for the meter {uid}M")
    assert (logged["before"], logged["after"]) == (None, {"enabled": False})


def test_keys_are_logged_without_their_secrets(anna: httpx.Client) -> None:
    made = make_key(anna, "logged", "read", devices=["EV-*"])
    rotated = anna.post(f"/v1/keys/{made['id']}/rotate", json={}).json()
    anna.delete(f"/v1/keys/{made['id']}")
    logged = entries(anna, object=f"key {made['id']}")
    assert [each["action"] for each in logged] == ["revoke-key", "rotate-key", "create-key"]
    assert logged[2]["after"]["devices"] == ["EV-*"]
    for key in (made["key"], rotated["key"]):
        assert key.rpartition("_")[2] not in str(logged)


def test_the_log_is_read_page_by_page_and_by_time(anna: httpx.Client, uid: str) -> None:
    for number in range(5):
        anna.patch(f"/v1/meters/{uid}M", json={"label": f"label {number}"})
    found, cursor = [], None
    while True:
        query = {"object": f"meter {uid}M", "limit": "2"} | ({"cursor": cursor} if cursor else {})
        answer = anna.get("/v1/audit", params=query).json()
        found += answer["items"]
        if (cursor := answer["nextCursor"]) is None:
            break
    assert [each["after"]["label"] for each in found] == [f"label {n}" for n in (4, 3, 2, 1, 0)]
    assert not entries(anna, object=f"meter {uid}M", to=rfc3339(hours_ago(1)))
    assert len(entries(anna, object=f"meter {uid}M", **{"from": rfc3339(hours_ago(1))})) == 5
    assert len(entries(anna, object=f"meter {uid}M", who="key:anna")) == 5
    assert not entries(anna, object=f"meter {uid}M", who="anna")


def test_the_log_only_grows(anna: httpx.Client, db: Db) -> None:
    for statement in (
        "update audit_log set who = 'nobody'",
        "delete from audit_log",
        "truncate audit_log",
    ):
        with pytest.raises(asyncpg.RaiseError, match="only grows"):
            db.fetch(statement)


def test_a_request_keeps_its_id_or_is_given_one(anna: httpx.Client, uid: str) -> None:
    sent = anna.patch(
        f"/v1/meters/{uid}M", json={"label": "x"}, headers={"X-Request-Id": "trace/1"}
    )
    assert sent.headers["x-request-id"] == "trace/1"
    (logged,) = entries(anna, object=f"meter {uid}M")
    assert logged["requestId"] == "trace/1"
    all_made = set()
    for path in ("/v1/meters", "/nothing", "/health/live", "/v1/meters?nonsense=1"):
        for wrong in ("", "x" * 65, "a b"):
            made = anna.get(path, headers={"X-Request-Id": wrong}).headers["x-request-id"]
            assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", made), path
            all_made.add(made)
    assert len(all_made) == 12
    answer = anna.post("/v1/ingest", json=[], headers={"X-Request-Id": "bulk"})
    assert answer.headers["x-request-id"] == "bulk"
