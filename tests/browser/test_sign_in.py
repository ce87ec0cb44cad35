"""Signing in with a key, and out; what is shown to whom; coming back to where one was."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Server, Service, migrated_database, on_migrated, running_service
from tests.support.browser import Watched, browser_context, loaded, serious_violations
from tests.support.keys import headers, make_key

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]

ADMIN = "fm_admin_0123456789abcdefghijklmnopqrstuvwxyzABCDEF"


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
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert serious_violations(page) == []
    sign_in(page, "fm_wrong_0123456789abcdefghijklmnopqrstuvwxyzABCDEF")
    expect(page.get_by_role("alert")).to_have_text("This key is not valid, or has expired.")
    sign_in(page, ADMIN)
    expect(page.get_by_role("heading", name="Meters")).to_be_visible()
    expect(page.locator(".connection")).to_have_text("Live")
    page.reload()
    loaded(page)
    expect(page.get_by_role("heading", name="Meters")).to_be_visible()


def test_once_signed_out_nothing_is_readable(page: Page) -> None:
    open_signed_in(page, "/", ADMIN)
    page.get_by_role("button", name="Account and display").click()
    expect(page.get_by_text("Signed in as")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("fetch('/v1/vehicles').then((answer) => answer.status)") == 401
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_session_that_ends_asks_again_and_leads_back(page: Page, service: Service) -> None:
    with httpx.Client(base_url=service.base_url, headers=headers(ADMIN)) as client:
        made = make_key(client, "short-lived", "read")
        open_signed_in(page, "/vehicles?q=EV", made["key"])
        assert client.delete(f"/v1/keys/{made['id']}").is_success
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=30_000)
    expect(page).to_have_url(re.compile(r"#/vehicles\?q=EV$"))
    sign_in(page, ADMIN)
    expect(page.get_by_role("heading", name="Vehicles")).to_be_visible()
    expect(page).to_have_url(re.compile(r"#/vehicles\?q=EV$"))


def test_who_may_only_read_is_shown_no_settings(page: Page, service: Service) -> None:
    with httpx.Client(base_url=service.base_url, headers=headers(ADMIN)) as client:
        made = make_key(client, "wallboard", "read")
    open_signed_in(page, "/", made["key"])
    names = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
    assert "Settings" not in " ".join(names)
    expect(page.get_by_text("sign in with a key that has the scope “ingest”")).to_be_visible()


def test_the_view_asked_for_is_kept_while_the_browser_is_at_the_issuer(
    page: Page, service: Service
) -> None:
    """The issuer's part is played by a route: what counts is what the page keeps and takes up."""
    signed_out = {
        "status": 401,
        "type": "about:blank",
        "title": "Unauthorized",
        "signIn": {"key": True, "oidc": True},
    }
    page.route(
        "**/v1/session",
        lambda route: route.fulfill(
            status=401, content_type="application/problem+json", json=signed_out
        ),
    )
    page.route("**/sign-in", lambda route: route.fulfill(status=303, headers={"Location": "/"}))
    page.goto("/#/load?site=north")
    page.get_by_role("link", name="Sign in with your organisation").click()
    expect(page).to_have_url(re.compile(r"/#/load\?site=north$"))
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page).to_have_url(re.compile("/$"))


def test_the_greeting_names_the_header_for_the_key(page: Page) -> None:
    open_signed_in(page, "/", ADMIN)
    expect(page.locator("pre").first).to_contain_text("Authorization: Bearer <key>")
