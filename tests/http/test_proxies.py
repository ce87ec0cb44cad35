"""Behind a proxy: certificates and addresses are believed from listed proxies, and nobody else.

The proxy is 127.0.0.2, from which a client can send on Linux.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleetmeter.access.attempts import BURST
from tests.conftest import hours_ago, meter_reading, on_migrated, running_service
from tests.support.keys import headers, make_key
from tests.support.processes import fleetmeter

pytestmark = [
    pytest.mark.either,
    pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2"),
]

ADMIN = f"fm_abcdef0123_{'a' * 48}"
SUBJECT = "CN=gw-7,OU=Depots,O=Example"
HEADER = "X-Client-Subject"


@pytest.fixture(scope="module")
def base_url(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("behind")
    environ = on_migrated(database_url) | {
        "FLEETMETER_ADMIN_KEY": ADMIN,
        "FLEETMETER_PROXIES": "127.0.0.2, 10.1.0.0/16",
        "FLEETMETER_CLIENT_CERT_HEADER": HEADER,
    }
    with running_service(folder, environ) as service:
        yield service.base_url


def client_from(base_url: str, address: str) -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=base_url, timeout=30, transport=transport)


@pytest.fixture(scope="module")
def proxy(base_url: str) -> Iterator[httpx.Client]:
    with client_from(base_url, "127.0.0.2") as client:
        yield client


@pytest.fixture(scope="module")
def stranger(base_url: str) -> Iterator[httpx.Client]:
    with client_from(base_url, "127.0.0.1") as client:
        yield client


@pytest.fixture(scope="module")
def key(base_url: str) -> dict[str, Any]:
    """The key that the certificate stands for."""
    with httpx.Client(base_url=base_url, timeout=30, headers=headers(ADMIN)) as admin:
        return make_key(admin, "gw-7", "ingest", "operate", devices=["GW7*"], subject=SUBJECT)


def test_a_certificate_counts_from_a_listed_proxy_alone(
    proxy: httpx.Client, stranger: httpx.Client, key: dict[str, Any]
) -> None:
    assert key["subject"] == SUBJECT
    readings = [meter_reading(f"{name}", hours_ago(2)) for name in ("GW7-M1", "OTHER")]
    sent = {HEADER: SUBJECT}
    answer = proxy.post("/v1/ingest", json=readings, headers=sent)
    assert answer.status_code == 207, answer.text
    assert [each["code"] for each in answer.json()["rejected"]] == ["forbidden_device"]
    assert proxy.get("/v1/meters", headers=sent).status_code == 403
    for forwarded in ({}, {"X-Forwarded-For": "127.0.0.2"}, {"X-Forwarded-For": "10.1.0.1"}):
        refused = stranger.post("/v1/ingest", json=readings, headers=sent | forwarded)
        assert refused.status_code == 401


@pytest.mark.parametrize(
    "values",
    [
        ["CN=gw-7"],
        [f"{SUBJECT},DC=x"],
        [SUBJECT.lower()],
        [""],
        [SUBJECT, SUBJECT],
        ["CN=evil", SUBJECT],
        ["\xff"],
    ],
)
def test_another_subject_or_two_are_nobody(
    proxy: httpx.Client, key: dict[str, Any], values: list[str]
) -> None:
    sent = [(HEADER.encode(), value.encode("latin-1")) for value in values]
    assert key
    assert proxy.post("/v1/ingest", json=[], headers=sent).status_code == 401


def test_a_key_that_is_sent_counts_and_not_the_certificate(
    proxy: httpx.Client, key: dict[str, Any]
) -> None:
    sent = {HEADER: SUBJECT}
    wrong = headers(f"fm_abcdef_{'0' * 48}") | {"X-Forwarded-For": "192.0.2.1"}
    assert key
    assert proxy.get("/v1/meters", headers=sent | headers(ADMIN)).status_code == 200
    assert proxy.post("/v1/ingest", json=[], headers=sent | wrong).status_code == 401


def test_the_audit_log_has_the_subject_and_the_address_of_the_client(
    proxy: httpx.Client, stranger: httpx.Client, key: dict[str, Any]
) -> None:
    assert key
    from_client = {HEADER: SUBJECT, "X-Forwarded-For": "198.51.100.9, 203.0.113.5, 10.1.0.9"}
    changed = proxy.patch("/v1/meters/GW7-M1", json={"label": "one"}, headers=from_client)
    assert changed.status_code == 200, changed.text
    log = stranger.get("/v1/audit?object=meter GW7-M1", headers=headers(ADMIN)).json()["items"]
    assert (log[0]["who"], log[0]["address"]) == (f"cert:{SUBJECT}", "203.0.113.5")
    direct = headers(ADMIN) | {"X-Forwarded-For": "203.0.113.66"}
    assert stranger.patch("/v1/meters/GW7-M1", json={"label": "2"}, headers=direct).is_success
    log = stranger.get("/v1/audit?object=meter GW7-M1", headers=headers(ADMIN)).json()["items"]
    assert (log[0]["who"], log[0]["address"]) == ("key:admin", "127.0.0.1")


def test_wrong_keys_count_for_the_client_behind_the_proxy(proxy: httpx.Client) -> None:
    wrong = headers(f"fm_abcdef_{'0' * 48}")

    def status(forwarded: str) -> int:
        sent = wrong | {"X-Forwarded-For": forwarded}
        return proxy.get("/v1/meters", headers=sent).status_code

    # whatever the client itself says of others
    assert 429 in [status(f"192.0.2.{n}, 203.0.113.77") for n in range(BURST + 10)]
    assert status("203.0.113.78") == 401


def test_one_living_key_has_a_subject(
    stranger: httpx.Client, key: dict[str, Any], database_url: str, tmp_path: Path
) -> None:
    admin = headers(ADMIN)
    again = {"name": "again", "scopes": ["ingest"], "subject": SUBJECT}
    assert key
    assert stranger.post("/v1/keys", json=again, headers=admin).status_code == 409
    wrong = stranger.post("/v1/keys", json=again | {"subject": "é"}, headers=admin)
    assert wrong.json()["errors"][0]["path"] == "$.subject"
    environ = {"FLEETMETER_DATABASE_URL": database_url}
    made = fleetmeter(
        tmp_path, "key", "create", "gw-8", "--scope", "ingest", "--subject", "CN=gw-8", **environ
    )
    assert made.returncode == 0, made.stderr
    assert "certificate CN=gw-8" in fleetmeter(tmp_path, "key", "list", **environ).stdout


def test_a_revoked_key_takes_its_certificate_with_it(
    proxy: httpx.Client, stranger: httpx.Client
) -> None:
    admin, sent = headers(ADMIN), {HEADER: "CN=gw-9"}
    new = {"name": "gw-9", "scopes": ["ingest"], "subject": "CN=gw-9"}
    made = stranger.post("/v1/keys", json=new, headers=admin).json()
    assert proxy.post("/v1/ingest", json=[], headers=sent).status_code == 200
    assert stranger.delete(f"/v1/keys/{made['id']}", headers=admin).status_code == 204
    assert proxy.post("/v1/ingest", json=[], headers=sent).status_code == 401
    assert stranger.post("/v1/keys", json=new, headers=admin).status_code == 201


def test_behind_a_proxy_the_service_is_not_open_even_on_loopback(
    migrated_database_url: str, tmp_path: Path
) -> None:
    environ = on_migrated(migrated_database_url) | {
        "FLEETMETER_PROXIES": "127.0.0.1",
        "FLEETMETER_PORT": "0",
    }
    failed = fleetmeter(tmp_path, "serve", **environ)
    assert failed.returncode == 1
    assert "Error: FLEETMETER_PROXIES is set, where other machines" in failed.stderr
