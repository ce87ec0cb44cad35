"""Whatever goes wrong is a problem document (RFC 9457), without traces or SQL."""

import re
from typing import Any

import httpx
import pytest

from tests.conftest import hours_ago, meter_reading, post

pytestmark = pytest.mark.either


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing/here", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/docs/nothing", 404, "not-found"),
        ("GET", "/assets/swagger-ui/nothing.js", 404, "not-found"),
        ("GET", "/v1/ingest", 405, "method-not-allowed"),
        ("DELETE", "/v1/vehicles", 405, "method-not-allowed"),
    ],
)
def test_routing_errors_are_problems(
    client: httpx.Client, method: str, path: str, status: int, kind: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:fleetmeter:problem:{kind}"
    assert answer.json()["title"]
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"meterId": "MR "}, "$.meterId"),
        ({"meterId": "M\n"}, "$.meterId"),
        ({"meterId": 5}, "$.meterId"),
        ({"meterId": "M", "since": "2026-02-09T10:00:00"}, "$.since"),
        ({"meterId": "M", "since": "soon"}, "$.since"),
        ({"meterId": "M", "from": "2026-02-09T10:00:00Z"}, "$"),
        ({}, "$"),
        ([], "$"),
    ],
)
def test_an_invalid_body_is_named_by_its_json_path(
    client: httpx.Client, uid: str, body: Any, path: str
) -> None:
    answer = client.put(f"/v1/vehicles/{uid}EV/meter", json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["path"] == path
    assert client.get(f"/v1/vehicles/{uid}EV/assignments").status_code == 404


def test_a_missing_body_is_named(client: httpx.Client) -> None:
    answer = client.put("/v1/vehicles/EV/meter")
    assert answer.status_code == 400
    assert "the body is missing" in answer.json()["detail"]


def test_malformed_json_is_400(client: httpx.Client) -> None:
    answer = client.put(
        "/v1/vehicles/EV/meter",
        content=b'{"meterId":',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:fleetmeter:problem:malformed-body"


def test_an_id_with_a_newline_is_never_stored(client: httpx.Client, uid: str) -> None:
    answer = client.put(f"/v1/vehicles/{uid}EV%0A/meter", json={"meterId": "M"})
    assert answer.status_code == 400


def test_the_root_names_the_service(client: httpx.Client) -> None:
    body = client.get("/").json()
    assert body["message"] == "FleetMeter is running"
    for link in body["links"].values():
        assert client.get(link).status_code == 200
    assert client.get("/health/live").json() == {"status": "alive"}
    assert client.get("/health/ready").json() == {"status": "ready"}


def test_the_api_reference_needs_no_internet(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.findall(r"""(?:src|href)=["']?https?://""", page.text)
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "swagger-ui-standalone-preset.js"):
        assert f"/assets/swagger-ui/{asset}" in page.text
        assert client.get(f"/assets/swagger-ui/{asset}").status_code == 200


def test_the_openapi_document_describes_both_kinds_of_reading(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    body = document["paths"]["/v1/ingest"]["post"]["requestBody"]["content"]["application/json"]
    one, many = body["schema"]["oneOf"]
    assert many["items"] == one
    schemas = [
        document["components"]["schemas"][option["$ref"].rpartition("/")[2]]
        for option in one["oneOf"]
    ]
    assert set(schemas[0]["required"]) == {"vehicleId", "timestamp"}
    assert set(schemas[1]["required"]) == {"meterId", "timestamp"}
    assert schemas[0]["properties"]["soc"]["maximum"] == 100
    for schema, energy in zip(schemas, ("kwhDeliveredDc", "kwhConsumedAc"), strict=True):
        assert {energy, f"{energy}Total"} < set(schema["properties"])


def test_answers_have_no_body_in_the_log(client: httpx.Client, service: Any, uid: str) -> None:
    post(client, meter_reading(f"{uid}SECRET", hours_ago(1)))
    client.post("/v1/ingest", json={"meterId": f"{uid}SECRET", "voltage": "x"})
    assert uid not in service.log.read_text()


@pytest.mark.parametrize(
    "name", ["a%00b", "a" * 5000, "%2e%2e%2fpasswd", "%ff", "sub/swagger-ui.css", "", "%", "%252e"]
)
def test_a_file_that_cannot_be_is_not_found(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/assets/swagger-ui/{name}")
    assert answer.status_code in {400, 404}
    assert answer.headers["content-type"] == "application/problem+json"
