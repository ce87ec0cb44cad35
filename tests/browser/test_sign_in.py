"""Signing in with a key, and out; what is shown to whom; coming back to where one was."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import (
    Server,
    Service,
    free_port,
    migrated_database,
    on_migrated,
    running_service,
)
from tests.support.browser import Watched, browser_context, loaded, serious_violations
from tests.support.issuer import AUDIENCE, CLIENT, CLIENT_SECRET, running_issuer
from tests.support.keys import headers, make_key

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]

ADMIN = f"fm_admin0_{'A1' * 24}"


@pytest.fixture(scope="module")
def service(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with keys in force."""
    with (
        migrated_database(server, jobs=False) as url,
        running_service(
            tmp_path_factory.mktemp("keys"), on_migrated(url) | {"FLEETMETER_ADMIN_KEY": ADMIN}
        ) as service,
    ):
        yield service


@pytest.fixture
def page(browser: Browser, service: Service, watched: Watched) -> Iterator[Page]:
    """A page whose console may report that the service wants to know who asks."""
    watched.allow("401")
    with browser_context(browser, service.base_url, watched) as context:
        yield context.new_page()


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("Access key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def open_signed_in(page: Page, path: str, key: str) -> None:
    page.goto(f"/#{path}")
    sign_in(page, key)
    expect(page.get_by_role("navigation")).to_be_visible()
    loaded(page)


def test_one_signs_in_with_a_key_and_is_at_the_view_one_asked_for(page: Page) -> None:
    page.goto("/#/meters")
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()
    assert serious_violations(page) == []
    sign_in(page, f"fm_abcdef_{'0' * 48}")
    expect(page.get_by_role("alert")).to_have_text("This key is not valid, or has expired.")
    sign_in(page, ADMIN)
    expect(page.get_by_role("heading", name="Meters", level=1)).to_be_visible()
    expect(page.locator(".connection")).to_have_text("Live")
    page.reload()
    loaded(page)
    expect(page.get_by_role("heading", name="Meters", level=1)).to_be_visible()


def test_once_signed_out_nothing_is_readable(page: Page) -> None:
    open_signed_in(page, "/", ADMIN)
    page.get_by_role("button", name="Account and display").click()
    expect(page.get_by_text("Signed in as")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()
    assert page.evaluate("fetch('/v1/vehicles').then((answer) => answer.status)") == 401
    page.reload()
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()


def test_a_session_that_ends_asks_again_and_leads_back(page: Page, service: Service) -> None:
    with httpx.Client(base_url=service.base_url, headers=headers(ADMIN)) as client:
        made = make_key(client, "short-lived", "read")
        open_signed_in(page, "/vehicles?q=EV", made["key"])
        assert client.delete(f"/v1/keys/{made['id']}").is_success
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible(timeout=30_000)
    expect(page).to_have_url(re.compile(r"#/vehicles\?q=EV$"))
    sign_in(page, ADMIN)
    expect(page.get_by_role("heading", name="Vehicles", level=1)).to_be_visible()
    expect(page).to_have_url(re.compile(r"#/vehicles\?q=EV$"))


def test_who_may_only_read_is_shown_no_settings(page: Page, service: Service) -> None:
    with httpx.Client(base_url=service.base_url, headers=headers(ADMIN)) as client:
        made = make_key(client, "wallboard", "read")
    open_signed_in(page, "/", made["key"])
    names = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
    assert "Settings" not in " ".join(names)
    expect(page.get_by_text("sign in with a key that has the scope “ingest”")).to_be_visible()


def test_one_comes_back_from_the_issuer_to_the_view_one_asked_for(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "secret").write_text(CLIENT_SECRET)
    with running_issuer() as issuer, migrated_database(server, jobs=False) as url:
        environ = on_migrated(url) | {
            "FLEETMETER_PORT": str(port),
            "FLEETMETER_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "FLEETMETER_OIDC_ISSUER": issuer.url,
            "FLEETMETER_OIDC_AUDIENCE": AUDIENCE,
            "FLEETMETER_OIDC_SCOPES": "boss=read+operate+admin",
            "FLEETMETER_OIDC_CLIENT_ID": CLIENT,
            "FLEETMETER_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret"),
        }
        issuer.sign_in_as(roles=["boss"], preferred_username="anna")
        with running_service(tmp_path, environ) as service:
            watched = Watched(service.base_url)
            watched.allow("401", f"external request: {issuer.url}")
            with browser_context(browser, service.base_url, watched) as context:
                page = context.new_page()
                page.goto("/#/vehicles?q=EV")
                page.get_by_role("link", name="Sign in with your organisation").click()
                expect(page.get_by_role("heading", name="Vehicles", level=1)).to_be_visible()
                expect(page).to_have_url(re.compile(r"#/vehicles\?q=EV$"))
                page.get_by_role("button", name="Account and display").click()
                expect(page.get_by_text("Signed in as oidc:anna")).to_be_visible()
            assert watched.problems == []


def test_a_failed_sign_in_at_the_issuer_is_explained_once(page: Page) -> None:
    page.goto("/?signIn=cancelled#/meters")
    expect(page.get_by_role("alert")).to_contain_text("the sign-in was cancelled")
    expect(page).to_have_url(re.compile(r"/#/meters$"))
    assert serious_violations(page) == []
    sign_in(page, ADMIN)
    expect(page.get_by_role("heading", name="Meters", level=1)).to_be_visible()


def test_the_greeting_names_the_header_for_the_key(page: Page) -> None:
    open_signed_in(page, "/", ADMIN)
    expect(page.locator("pre").first).to_contain_text("Authorization: Bearer <key>")
