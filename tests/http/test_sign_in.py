"""People sign in with a browser at an OIDC issuer, on the way through HTTP."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.conftest import Db, free_port, on_migrated, running_service
from tests.support.issuer import AUDIENCE, CLIENT, CLIENT_SECRET, IssuerProcess, running_issuer
from tests.support.keys import headers
from tests.support.processes import fleetmeter

pytestmark = pytest.mark.either

ANNA: dict[str, Any] = {"roles": ["boss"], "sites": "north", "preferred_username": "anna"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerProcess]:
    with running_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def base_url(
    issuer: IssuerProcess, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A service at which people sign in."""
    folder: Path = tmp_path_factory.mktemp("sign-in")
    port = free_port()
    (folder / "secret").write_text(CLIENT_SECRET)
    environ = on_migrated(database_url) | {
        "FLEETMETER_PORT": str(port),
        "FLEETMETER_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "FLEETMETER_OIDC_ISSUER": issuer.url,
        "FLEETMETER_OIDC_AUDIENCE": AUDIENCE,
        "FLEETMETER_OIDC_SCOPES": "boss=read+operate+admin,driver=read",
        "FLEETMETER_OIDC_SITES_CLAIM": "sites",
        "FLEETMETER_OIDC_CLIENT_ID": CLIENT,
        "FLEETMETER_OIDC_CLIENT_SECRET_FILE": str(folder / "secret"),
        "FLEETMETER_SIGN_IN_IDLE_S": "3600",
    }
    with running_service(folder, environ) as service:
        assert service.base_url == f"http://127.0.0.1:{port}"
        yield service.base_url


@pytest.fixture
def browser(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=30) as client:
        yield client


def to_issuer_and_back(browser: httpx.Client) -> httpx.URL:
    """Go to the issuer, and return where it sends the browser back to."""
    begun = browser.get("/sign-in")
    assert begun.status_code == 303
    return httpx.get(begun.headers["location"]).next_request.url  # type: ignore[union-attr]


def test_a_person_signs_in_and_out(
    browser: httpx.Client, issuer: IssuerProcess, db: Db, uid: str
) -> None:
    assert browser.get("/v1/session").json()["signIn"] == {"key": True, "oidc": True}
    issuer.sign_in_as(**ANNA)
    begun = browser.get("/sign-in")
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert asked["response_type"] == ["code"]
    flags = {each.strip().lower() for each in begun.headers["set-cookie"].split(";")[1:]}
    assert flags == {"httponly", "samesite=lax", "path=/", "max-age=600"}
    back = httpx.get(begun.headers["location"]).headers["location"]
    done = browser.get(back)
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert set(browser.cookies) == {"fleetmeter"}
    said = browser.get("/v1/session").json()
    assert (said["name"], said["scopes"], said["sites"]) == (
        "oidc:anna",
        ["read", "operate"],  # admin is for those who reach everything
        ["north"],
    )
    browser.headers["X-CSRF-Token"] = said["csrfToken"]
    meter = f"/v1/meters/{uid}M"
    boss = headers(issuer.token(**ANNA | {"sites": "*", "preferred_username": "boss"}))
    assert browser.patch(meter, json={"label": "x"}).status_code == 404
    assert browser.patch(meter, json={"site": "north"}, headers=boss).is_success
    assert browser.patch(meter, json={"site": "south"}).status_code == 403
    assert browser.patch(meter, json={"label": "x"}).is_success
    ends = "select extract(epoch from longest_until) from browser_sessions where holder = $1"
    assert float(db.value(ends, "oidc:anna")) == pytest.approx(time.time() + 630, abs=60)
    assert browser.delete("/v1/session").status_code == 204
    assert browser.get("/v1/session").status_code == 401
    assert browser.get(back).status_code == 403  # its state was for once
    logged = browser.get(f"/v1/audit?object=meter {uid}M", headers=boss).json()["items"]
    assert [each["who"] for each in logged] == ["oidc:anna", "oidc:boss"]


def test_scopes_are_in_the_access_token_if_it_is_one_for_this_service(
    browser: httpx.Client, issuer: IssuerProcess
) -> None:
    driver = {"roles": ["driver"], "sites": "*"}
    for access, scopes in (
        (driver, ["read"]),
        (driver | {"aud": "another"}, ["read", "operate"]),
        (driver | {"sub": "another"}, ["read", "operate"]),
    ):
        issuer.sign_in_as(access=access, **ANNA)
        assert browser.get(to_issuer_and_back(browser)).status_code == 303
        assert browser.get("/v1/session").json()["scopes"] == scopes


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"azp": "another"},
        {"iss": "https://other.example"},
        {"exp": 5},
        {"sub": ""},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_sign_in_is_refused(
    browser: httpx.Client, issuer: IssuerProcess, claims: dict[str, Any]
) -> None:
    issuer.sign_in_as(**ANNA | claims)
    refused = browser.get(to_issuer_and_back(browser))
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:fleetmeter:problem:sign-in-failed"
    assert browser.get("/v1/session").status_code == 401


def test_only_the_browser_that_began_can_finish(
    base_url: str, browser: httpx.Client, issuer: IssuerProcess
) -> None:
    issuer.sign_in_as(**ANNA)
    back = to_issuer_and_back(browser)
    with httpx.Client(base_url=base_url) as other:
        theirs = to_issuer_and_back(other)
        for url in (
            back,  # another browser's
            theirs.copy_set_param("state", "x"),
            theirs.copy_remove_param("state"),
            theirs.copy_set_param("iss", "https://other.example"),
            theirs.copy_remove_param("iss"),
            theirs.copy_remove_param("code"),
            theirs.copy_set_param("code", back.params["code"]),  # which has another PKCE
        ):
            assert other.get(url).status_code == 403
        assert other.get("/v1/session").status_code == 401
    with httpx.Client(base_url=base_url) as stranger:
        assert stranger.get(to_issuer_and_back(browser)).status_code == 403
    assert browser.get(to_issuer_and_back(browser)).status_code == 303


def test_a_browser_is_led_to_the_page_with_the_reason(
    base_url: str, browser: httpx.Client, issuer: IssuerProcess
) -> None:
    issuer.sign_in_as(**ANNA)
    back = to_issuer_and_back(browser)
    cancelled = back.copy_remove_param("code").copy_set_param("error", "access_denied")
    refused = back.copy_set_param("iss", "https://other.example")
    with httpx.Client(base_url=base_url, headers={"Accept": "text/html,*/*;q=0.8"}) as stranger:
        begun = stranger.get(back)
        assert (begun.status_code, begun.headers["location"]) == (303, "/?signIn=expired")
        assert begun.headers["vary"] == "Accept"
        assert not stranger.cookies
    browser.headers["Accept"] = "text/html,*/*;q=0.8"
    for url, reason in ((cancelled, "cancelled"), (refused, "refused")):
        answer = browser.get(url)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/?signIn={reason}")
    assert browser.get(back).headers["location"] == "/"


def test_a_client_needs_an_issuer_and_https(database_url: str, tmp_path: Path) -> None:
    for settings, said in (
        ({}, "FLEETMETER_OIDC_CLIENT_ID: set FLEETMETER_OIDC_ISSUER"),
        (
            {
                "FLEETMETER_OIDC_ISSUER": "https://id.example",
                "FLEETMETER_OIDC_AUDIENCE": "fleetmeter",
                "FLEETMETER_PUBLIC_URL": "http://fleet.example",
            },
            "FLEETMETER_PUBLIC_URL: people can sign in at https://",
        ),
    ):
        environ = on_migrated(database_url) | {"FLEETMETER_PORT": "0"} | settings
        failed = fleetmeter(tmp_path, "serve", **environ, FLEETMETER_OIDC_CLIENT_ID="x")
        assert failed.returncode == 1
        assert said in failed.stderr
