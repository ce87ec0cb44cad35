"""Browsers are told what not to do with answers."""

import re
from base64 import b64encode
from hashlib import sha256

import httpx
import pytest

pytestmark = pytest.mark.either


@pytest.mark.parametrize("path", ["/", "/v1/vehicles", "/nothing", "/docs", "/v1/ingest"])
def test_every_answer_restricts_browsers(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers={"Origin": "https://example.org"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_preflight_allows_nothing(client: httpx.Client) -> None:
    answer = client.options(
        "/v1/ingest",
        headers={"Origin": "https://example.org", "Access-Control-Request-Method": "POST"},
    )
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_the_api_reference_runs_no_script_but_its_own(client: httpx.Client) -> None:
    answer = client.get("/docs")
    policy = answer.headers["content-security-policy"]
    scripts = re.findall(r"<script(?![^>]*src=)[^>]*>(.*?)</script>", answer.text, re.DOTALL)
    assert scripts
    for script in scripts:
        assert b64encode(sha256(script.encode()).digest()).decode() in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]
    for source in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert source.startswith("/assets/swagger-ui/")


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://other.example"}, {"Host": "other.example:3000"}]
)
def test_without_keys_pages_of_other_sites_can_do_nothing(
    client: httpx.Client, headers: dict[str, str]
) -> None:
    plain = headers | {"Content-Type": "text/plain"}  # for which a browser does not ask before
    made = client.post("/v1/keys", content='{"name":"x","scopes":["admin"]}', headers=plain)
    for answer in (made, client.get("/v1/vehicles", headers=headers)):
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:fleetmeter:problem:not-own-machine"
    assert client.get("/health/live", headers=headers).status_code == 200
