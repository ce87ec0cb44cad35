"""People with tokens of an OIDC issuer, on the way through HTTP."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import on_migrated, running_service
from tests.support.issuer import AUDIENCE, IssuerProcess, running_issuer
from tests.support.keys import headers
from tests.support.processes import fleetmeter

pytestmark = pytest.mark.either

BOSS: dict[str, Any] = {
    "realm_access": {"roles": ["boss"]},
    "sites": ["*"],
    "preferred_username": "anna",
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerProcess]:
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def client(
    issuer: IssuerProcess, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a service without keys, which listens to other machines, too."""
    folder: Path = tmp_path_factory.mktemp("people")
    environ = on_migrated(database_url) | {
        "FLEETMETER_HOST": "0.0.0.0",  # noqa: S104
        "FLEETMETER_OIDC_ISSUER": issuer.url,
        "FLEETMETER_OIDC_AUDIENCE": AUDIENCE,
        "FLEETMETER_OIDC_SCOPES_CLAIM": "realm_access.roles",
        "FLEETMETER_OIDC_SCOPES": "boss=read+operate+admin,driver=read",
        "FLEETMETER_OIDC_SITES_CLAIM": "sites",
    }
    with (
        running_service(folder, environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as http,
    ):
        yield http


def test_a_token_lets_in_for_what_its_claims_say(
    client: httpx.Client, issuer: IssuerProcess
) -> None:
    for alg in ("ES256", "RS256", "EdDSA"):
        boss = headers(issuer.token(alg=alg, **BOSS))
        assert client.get("/v1/meters", headers=boss).status_code == 200
        assert client.post("/v1/ingest", json=[], headers=boss).status_code == 403
    driver = headers(issuer.token(realm_access={"roles": ["driver"]}, sites="*"))
    assert client.get("/v1/meters", headers=driver).status_code == 200
    assert client.patch("/v1/meters/M", json={}, headers=driver).status_code == 403
    nobody = headers(issuer.token())
    refused = client.get("/v1/meters", headers=nobody)
    assert refused.status_code == 403
    assert refused.json()["scope"] == "read"


def test_a_token_that_is_not_for_this_service_is_refused_like_a_wrong_key(
    client: httpx.Client, issuer: IssuerProcess
) -> None:
    now = int(time.time())
    good = issuer.token(**BOSS)
    head, claims, signature = good.split(".")
    other = issuer.token(sub="other", **BOSS).split(".")
    bad = [
        issuer.token(exp=now - 60, **BOSS),
        issuer.token(exp=None, **BOSS),
        issuer.token(nbf=now + 600, **BOSS),
        issuer.token(aud="another", **BOSS),
        issuer.token(aud=None, **BOSS),
        issuer.token(iss="https://other.example", **BOSS),
        issuer.token(sub=None, **BOSS),
        issuer.token(alg="none", **BOSS),
        issuer.token(alg="HS256", **BOSS),
        issuer.token(kid="unknown", **BOSS),
        issuer.token(kid="RS256-1", **BOSS),  # signed with the other key
        f"{head}.{other[1]}.{signature}",
        f"{other[0]}.{claims}.{other[2]}",
        f"{head}.{claims}.{signature[:-4]}AAAA",
        f"{head}.{claims}",
        "a.b.c",
    ]
    answers = [client.get("/v1/meters", headers=headers(token)) for token in bad]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert client.get("/v1/meters").status_code == 401
    assert client.get("/v1/meters", headers=headers(good)).status_code == 200


def test_sites_of_a_token_are_its_reach(
    client: httpx.Client, issuer: IssuerProcess, uid: str
) -> None:
    boss = headers(issuer.token(**BOSS))
    for name, site in (("n", "north"), ("s", "south")):
        set_to = {"site": site}
        assert client.patch(f"/v1/meters/{uid}{name}", json=set_to, headers=boss).is_success
    north = headers(issuer.token(**BOSS | {"sites": ["north"]}))
    assert client.patch(f"/v1/meters/{uid}n", json={"label": "x"}, headers=north).is_success
    beyond = client.patch(f"/v1/meters/{uid}s", json={"label": "x"}, headers=north)
    assert beyond.status_code in (403, 404)
    assert client.get("/v1/audit", headers=north).status_code == 403
    without = headers(issuer.token(**BOSS | {"sites": None}))
    assert client.get("/v1/meters", headers=without).status_code == 403
    log = client.get(f"/v1/audit?object=meter {uid}n", headers=boss).json()["items"]
    assert {each["who"] for each in log} == {"oidc:anna"}


def test_keys_work_beside_tokens(client: httpx.Client, issuer: IssuerProcess) -> None:
    boss = headers(issuer.token(**BOSS))
    made = client.post("/v1/keys", json={"name": "depot", "scopes": ["read"]}, headers=boss).json()
    assert made["createdBy"] == "oidc:anna"
    assert client.get("/v1/meters", headers=headers(made["key"])).status_code == 200


def test_an_issuer_needs_an_audience(database_url: str, tmp_path: Path) -> None:
    environ = on_migrated(database_url) | {
        "FLEETMETER_PORT": "0",
        "FLEETMETER_OIDC_ISSUER": "https://id.example",
    }
    failed = fleetmeter(tmp_path, "serve", **environ)
    assert failed.returncode == 1
    assert "FLEETMETER_OIDC_AUDIENCE: set both" in failed.stderr
