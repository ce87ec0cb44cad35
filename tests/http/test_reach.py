"""What a key with a limited reach is shown and may change: nothing outside, on any route."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest
from litestar.routes import HTTPRoute

from fleetmeter.app import create_app
from fleetmeter.settings import Settings
from tests.conftest import Db, rfc3339, settled
from tests.support.reach import HEADER, MINUTE, REACHES, fill, told_service


class Place(NamedTuple):
    """A service on the filled database, and since when there are readings."""

    client: httpx.Client
    since: datetime


@pytest.fixture(scope="module")
def place(database_url: str, db: Db) -> Iterator[Place]:
    with told_service(database_url) as client:
        since = fill(client, db)
        settled(db)
        yield Place(client, since)


class Ask(NamedTuple):
    """How to ask a route. Ids and sites in paths are put in by the test, by their kind."""

    params: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    body: Any = None
    shows: str = ""
    """What its answer about a device within reach has, at least."""

    only: str = ""
    """The only device within reach that is asked about."""


WHO = {"who": "w"}
RULE = {"scope": "vehicle", "target": "{vehicle_id}", "parameters": {}, "who": "w"}
EXCHANGE = {"at": "{since}", "lastKwh": 2, "firstKwh": 0, "register": "kwhExportedAcTotal"}
CORRECTION = {"timestamp": "{at}", "powerKw": 8, "who": "w", "reason": "r"}

ASKED: dict[str, list[Ask]] = {
    "GET /v1/vehicles": [Ask(shows="IN-V1"), Ask({"limit": "1"}, shows="IN-V1")],
    "GET /v1/vehicles/{vehicle_id}": [Ask(shows="{vehicle_id}")],
    "PATCH /v1/vehicles/{vehicle_id}": [Ask(body={"label": "new"}, shows="new")],
    "GET /v1/vehicles/{vehicle_id}/readings": [
        Ask(shows="{vehicle_id}"),
        Ask({"versions": "all"}, shows="{vehicle_id}"),
    ],
    "GET /v1/vehicles/{vehicle_id}/energy": [
        Ask(shows="energyDeliveredDc"),
        Ask({"bucket": "day"}, shows="energyDeliveredDc"),
    ],
    "GET /v1/vehicles/{vehicle_id}/sessions": [Ask(shows="energyDeliveredDc")],
    "GET /v1/vehicles/{vehicle_id}/assignments": [Ask(shows="items")],
    "PUT /v1/vehicles/{vehicle_id}/meter": [
        Ask(body={"meterId": "IN-M2", "since": "{since}"}, shows="IN-M2")
    ],
    "GET /v1/meters": [Ask(shows="IN-M1"), Ask({"limit": "1"}, shows="IN-M1")],
    "GET /v1/meters/{meter_id}": [Ask(shows="{meter_id}")],
    "PATCH /v1/meters/{meter_id}": [Ask(body={"label": "new"}, shows="new")],
    "GET /v1/meters/{meter_id}/readings": [
        Ask(shows="{meter_id}"),
        Ask({"versions": "all"}, shows="{meter_id}"),
    ],
    "GET /v1/meters/{meter_id}/energy": [Ask(shows="energyConsumedAc")],
    "GET /v1/meters/{meter_id}/exchanges": [Ask(shows="items")],
    "POST /v1/meters/{meter_id}/exchanges": [Ask(body=EXCHANGE, shows="{meter_id}")],
    "DELETE /v1/meters/{meter_id}/exchanges": [
        Ask({"at": "{since}", "register": "kwhExportedAcTotal"})
    ],
    "GET /v1/transactions": [
        Ask(shows="IN-V1"),
        Ask({"meterId": "{meter_id}"}, shows="IN-V1"),
        Ask({"vehicleId": "{vehicle_id}"}),
        Ask({"limit": "1"}),
    ],
    "GET /v1/tokens": [Ask(shows="IN-V1"), Ask({"vehicleId": "{vehicle_id}"})],
    "GET /v1/analytics/performance/{vehicle_id}": [Ask(shows="{vehicle_id}")],
    "GET /v1/analytics/meters/{meter_id}": [Ask(shows="{meter_id}")],
    "GET /v1/analytics/fleet": [
        Ask(shows="IN-V1"),
        Ask({"limit": "1"}),
        Ask({"sort": "vehicleId"}),
    ],
    "GET /v1/analytics/sites": [Ask(shows="north")],
    "GET /v1/analytics/now": [Ask(shows='"known":')],
    "GET /v1/analytics/supply": [Ask(shows="items")],
    "GET /v1/analytics/load": [
        Ask(shows="buckets"),
        Ask({"site": "{site}", "bucket": "hour"}),
        Ask({"meterId": "{meter_id}", "bucket": "day"}),
    ],
    "GET /v1/analytics/fleet/energy": [Ask(shows="energyDeliveredDc")],
    "GET /v1/analytics/sites/{site}/energy": [Ask(shows="energyConsumedAc")],
    "GET /v1/export": [
        Ask(shows="IN-V1"),
        Ask({"vehicleId": "{vehicle_id}"}, shows="{vehicle_id}"),
        Ask({"meterId": "{meter_id}"}, shows="{meter_id}"),
    ],
    "POST /v1/corrections": [
        Ask(body=CORRECTION | {"vehicleId": "{vehicle_id}"}, shows="{vehicle_id}"),
        Ask(body=CORRECTION | {"meterId": "{meter_id}"}, shows="{meter_id}"),
        Ask(body=CORRECTION | {"vehicleId": "{vehicle_id}", "void": False}, shows="{vehicle_id}"),
        Ask(body=[CORRECTION | {"vehicleId": "{vehicle_id}"}], shows='"version":2'),
    ],
    "GET /v1/anomalies": [
        Ask(shows="IN-V1 is hot"),
        Ask({"deviceId": "{vehicle_id}"}),
        Ask({"site": "{site}"}),
        Ask({"kind": "site_silent"}),
    ],
    "GET /v1/anomalies/{anomaly_id}": [Ask(shows="startedAt")],
    "POST /v1/anomalies/{anomaly_id}/acknowledge": [Ask(body=WHO, shows="acknowledged")],
    "POST /v1/anomalies/{anomaly_id}/resolve": [Ask(body=WHO, shows="resolved")],
    "GET /v1/rules": [Ask(shows="vehicle_silent")],
    "GET /v1/rules/{kind}": [
        Ask(shows='"enabled":true'),
        Ask({"scope": "vehicle", "target": "{vehicle_id}"}, shows="{vehicle_id}"),
    ],
    "PUT /v1/rules/{kind}": [
        Ask(body=RULE, shows="{vehicle_id}"),
        Ask(body=RULE | {"parameters": {"enabled": True}}, shows="{vehicle_id}"),
    ],
    "GET /v1/rules/{kind}/overrides": [Ask(shows="IN-V1")],
    "GET /v1/rules/{kind}/changes": [Ask(shows="IN-V1")],
    "GET /v1/rejections": [Ask(shows="IN-M1"), Ask({"deviceId": "{vehicle_id}"})],
    # last, since they no longer show in lists
    "DELETE /v1/vehicles/{vehicle_id}": [Ask(only="IN-V3")],
    "DELETE /v1/meters/{meter_id}": [Ask(only="IN-M2")],
}
"""Every route that shows or changes something of devices, in the order in which they are asked."""

OTHERWISE = {
    "/v1/ingest": "its keys are checked item by item",
    "/api/v2/write": "as /v1/ingest",
    "/api/v3/write_lp": "as /v1/ingest",
    "/write": "as /v1/ingest",
    "GET /query": "the same for all",
    "POST /query": "the same for all",
    "GET /ping": "the same for all",
    "HEAD /ping": "the same for all",
    "GET /health": "the same for all",
    "GET /ocpp/{charge_point_id}": "its keys are checked at the door, and reading by reading",
    "GET /v1/inputs": "for admins",
    "GET /v1/transactions/{number}": "below",
    "GET /v1/tokens/{token}": "below",
    "PUT /v1/tokens/{token}": "below",
    "DELETE /v1/tokens/{token}": "below",
    "GET /v1/stream": "below",
    "GET /v1/audit": "for admins, whose reach is never limited",
    "GET /v1/keys": "for admins",
    "POST /v1/keys": "for admins",
    "DELETE /v1/keys/{key_id}": "for admins",
    "POST /v1/keys/{key_id}/rotate": "for admins",
    "GET /v1/session": "says what its key is",
    "POST /v1/session": "says what its key is",
    "DELETE /v1/session": "of its own cookie",
    "GET /sign-in": "leads to the issuer",
    "GET /sign-in/callback": "leads back from the issuer",
    "GET /v1/webhooks": "for admins",
    "POST /v1/webhooks": "for admins",
    "DELETE /v1/webhooks/{webhook_id}": "for admins",
    "POST /v1/webhooks/{webhook_id}/enable": "for admins",
    "POST /v1/webhooks/{webhook_id}/test": "for admins",
    "GET /": "the same for all",
    "GET /health/live": "the same for all",
    "GET /health/ready": "the same for all",
    "GET /metrics": "counts of the whole service, without ids",
    "GET /openapi.json": "the same for all",
    "GET /docs": "the same for all",
    "GET /docs/{path}": "the same for all",
    "GET /docs/openapi.json": "the same for all",
    "GET /docs/oauth2-redirect.html": "the same for all",
    "GET /assets/swagger-ui/{file_path}": "the same for all",
    "GET /assets/{version}/{file_path}": "the same for all",
    "HEAD /assets/swagger-ui/{file_path}": "the same for all",
}
"""Routes that are not asked here, and why."""

WITHIN = {"vehicle_id": ["IN-V1", "IN-V2", "IN-V3"], "meter_id": ["IN-M1"], "site": ["north"]}
BEYOND = {"vehicle_id": "OUTSIDE-V2", "meter_id": "OUTSIDE-M1", "site": "OUTSIDE-site"}
UNKNOWN = {"vehicle_id": "OUTSIDE-V9", "meter_id": "OUTSIDE-M9", "site": "OUTSIDE-none"}


def routes() -> set[str]:
    """Every method and path of the application."""
    found = set()
    for route in create_app("postgresql://nowhere/nothing", Settings()).routes:
        if isinstance(route, HTTPRoute):
            found |= {f"{method} {route.path_format}" for method in route.route_handler_map}
        else:  # plain ASGI, a WebSocket
            found.add(route.path_format)
    return {each for each in found if not each.startswith("OPTIONS ")}


def test_every_route_is_known_here() -> None:
    assert routes() == ASKED.keys() | OTHERWISE.keys(), "say what a limited reach is shown"


@pytest.mark.either
def test_a_limited_reach_is_shown_nothing_outside(place: Place) -> None:
    """All reaches at once, so that what changes things is asked last by all."""
    seen: dict[str, set[str]] = {route: set() for route in ASKED}
    for route, asks in ASKED.items():
        for reach in REACHES:
            ids = [str(item["id"]) for item in listed(place, reach, "/v1/anomalies")]
            for ask in asks:
                for values in filled(place, route, ask, ids):
                    answer = asked(place, reach, route, ask, values)
                    what = f"{reach}: {route} {ask} of {values}: {answer.text}"
                    if answer.is_success:
                        seen[route].add(reach)
                        assert ask.shows.format(**values) in answer.text, what
                    assert "OUTSIDE" not in answer.text, what
    mere = {"PUT /v1/rules/{kind}", "DELETE /v1/meters/{meter_id}/exchanges"}
    for route, reaches in seen.items():
        assert reaches == REACHES.keys() or (route in mere and reaches), route


@pytest.mark.either
@pytest.mark.parametrize("reach", REACHES)
def test_what_is_outside_is_as_unknown(place: Place, reach: str) -> None:
    everything = [str(item["id"]) for item in listed(place, "", "/v1/anomalies")]
    within = [str(item["id"]) for item in listed(place, reach, "/v1/anomalies")]
    (beyond, *_) = set(everything) - set(within)
    for route, asks in ASKED.items():
        for ask in asks:
            names = re.findall(r"\{(vehicle_id|meter_id|site|anomaly_id)\}", f"{route}{ask}")
            if not names:
                continue
            common = {"since": rfc3339(place.since), "at": rfc3339(place.since + MINUTE)}
            outside = common | BEYOND | {"kind": "vehicle_silent", "anomaly_id": beyond}
            unknown = common | UNKNOWN | {"kind": "vehicle_silent", "anomaly_id": "987654"}
            answers = [asked(place, reach, route, ask, each) for each in (outside, unknown)]
            # as a word: an anomaly's id may be part of another number
            texts = [
                re.sub(rf"\b{re.escape(values[name])}\b", name, answer.text)
                for answer, values in zip(answers, (outside, unknown), strict=True)
                for name in names[:1]
            ]
            assert answers[0].status_code == answers[1].status_code, (route, ask, texts)
            assert texts[0] == texts[1], (route, ask)
            assert answers[0].status_code in (200, 404, 422), (route, ask, texts)
            if answers[0].status_code == 200:
                assert answers[0].json()["items"] == [], (route, ask)


@pytest.mark.either
@pytest.mark.parametrize("reach", REACHES)
def test_what_would_reach_outside_is_refused(place: Place, reach: str) -> None:
    client, headers = place.client, {HEADER: reach}
    at = rfc3339(place.since + MINUTE)
    correction = {"vehicleId": "IN-V1", "timestamp": at, "who": "w", "reason": "r"}
    refused = [
        client.put("/v1/vehicles/IN-V1/meter", json={"meterId": "OUTSIDE-M1"}, headers=headers),
        client.post(
            "/v1/corrections", json=correction | {"meterId": "OUTSIDE-M1"}, headers=headers
        ),
        client.put(
            "/v1/rules/vehicle_silent",
            json={"scope": "fleet", "parameters": {"enabled": False}, "who": "w"},
            headers=headers,
        ),
        *(
            client.put(f"/v1/tokens/{token}", json={"vehicleId": "IN-V1"}, headers=headers)
            for token in ("card-1", "OUTSIDE-card", "new")
        ),
        *(
            client.delete(f"/v1/tokens/{token}", headers=headers)
            for token in ("card-1", "OUTSIDE-card", "new")
        ),
    ]
    if REACHES[reach].sites:
        for site in ("OUTSIDE-site", None):
            body = {"site": site}
            refused.append(client.patch("/v1/vehicles/IN-V1", json=body, headers=headers))
    for answer in refused:
        assert answer.status_code == 403, answer.text
        assert answer.json()["type"] == "urn:fleetmeter:problem:out-of-reach"
    some = client.post(
        "/v1/corrections", json=[correction | {"meterId": "OUTSIDE-M1"}], headers=headers
    )
    assert [each["code"] for each in some.json()["rejected"]] == ["forbidden_device"]
    vehicle = client.get("/v1/vehicles/IN-V1").json()
    assert vehicle["settings"]["site"] == "north"
    rule = client.get("/v1/rules/vehicle_silent").json()
    assert rule["parameters"]["enabled"] is True


@pytest.mark.either
@pytest.mark.parametrize("reach", REACHES)
def test_one_transaction_or_token_is_shown_as_its_list_does(place: Place, reach: str) -> None:
    for path, key in (("/v1/transactions", "number"), ("/v1/tokens", "token")):
        within = {item[key]: item for item in listed(place, reach, path)}
        everything = [item[key] for item in listed(place, "", path)]
        assert 0 < len(within) < len(everything)
        for one in everything:
            answer = place.client.get(f"{path}/{one}", headers={HEADER: reach})
            assert answer.status_code == (200 if one in within else 404)
            if one in within:
                assert answer.json() == within[one]
            assert "OUTSIDE" not in answer.text.replace(str(one), "")


@pytest.mark.either
@pytest.mark.parametrize("reach", REACHES)
def test_a_transaction_is_shown_by_either_end_without_the_other(place: Place, reach: str) -> None:
    shown = ("stationId", "connector", "meterId", "meterStart", "vehicleId", "driver", "token")
    found = {
        tuple(item[name] for name in shown): item["energy"]
        for item in listed(place, reach, "/v1/transactions")
    }
    assert found == {
        ("IN-S", 0, "IN-M1", 5.0, "IN-V1", "driver", "card-1"): 4.0,
        ("IN-S", 1, "IN-M1", 5.0, None, None, None): 4.0,
        (None, None, None, None, "IN-V2", "driver", "card-2"): 4.0,
        ("IN-S", 4, "IN-M2", 5.0, None, None, None): 4.0,
    }


@pytest.mark.parametrize("reach", REACHES)
def test_a_site_as_a_whole_is_within_a_reach_without_ids(place: Place, reach: str) -> None:
    silent = listed(place, reach, "/v1/anomalies", kind="site_silent")
    at_site = {"scope": "site", "target": "north"}
    rule = place.client.get("/v1/rules/vehicle_silent", params=at_site, headers={HEADER: reach})
    if REACHES[reach].devices:
        assert silent == []
        assert rule.status_code == 404
    else:
        assert [each["deviceId"] for each in silent] == ["north"]
        assert silent[0]["evidence"] == {"silentDevices": 2, "examples": ["IN-V1"]}
        assert silent[0]["summary"].endswith("with a device that is not within your reach")
        assert rule.status_code == 200


@pytest.mark.either
@pytest.mark.parametrize("reach", REACHES)
def test_pages_of_a_limited_reach_are_full(place: Place, reach: str) -> None:
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        answer = place.client.get("/v1/vehicles", params=params, headers={HEADER: reach}).json()
        found += [item["vehicleId"] for item in answer["items"]]
        assert len(answer["items"]) == 2 or answer["nextCursor"] is None
        cursor = answer["nextCursor"]
    whole = [item["vehicleId"] for item in listed(place, "", "/v1/vehicles")]
    assert found == [id_ for id_ in whole if id_.startswith("IN-")]


def filled(place: Place, route: str, ask: Ask, anomaly_ids: list[str]) -> list[dict[str, str]]:
    """Everything within reach that a question can be about."""
    common = {"since": rfc3339(place.since), "at": rfc3339(place.since + MINUTE)}
    common |= {"kind": "vehicle_silent"}
    found = [common]
    for name, values in (WITHIN | {"anomaly_id": anomaly_ids}).items():
        if f"{{{name}}}" in f"{route}{ask}":
            values = [ask.only] if ask.only else values
            found = [each | {name: value} for each in found for value in values]
    return found


def asked(place: Place, reach: str, route: str, ask: Ask, values: dict[str, str]) -> httpx.Response:
    """Ask a route for the devices that `values` name."""
    method, path = route.split(" ")
    window = {"from": rfc3339(place.since - timedelta(hours=1))}
    windows = r"readings|energy|sessions$|analytics/(?!now)|export"
    takes_window = method == "GET" and re.search(windows, path)
    params = (window if takes_window else {}) | {
        name: value.format(**values) for name, value in ask.params.items()
    }
    content = None
    if ask.body is not None:
        content = re.sub(r"\{(\w+)\}", lambda m: values[m[1]], json.dumps(ask.body))
    return place.client.request(
        method,
        path.format(**values),
        params=params,
        content=content,
        headers={HEADER: reach, "content-type": "application/json"},
    )


def listed(place: Place, reach: str, path: str, **params: str) -> list[dict[str, Any]]:
    answer = place.client.get(path, params=params, headers={HEADER: reach})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items
