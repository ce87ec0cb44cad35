"""What is around every view: language, appearance, keyboard, phone, and the connection."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Server, migrated_database, on_migrated, running_service
from tests.support.browser import Watched, browser_context, loaded, open_view, overflow_px
from tests.support.processes import Forked

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]

BACKGROUND = "getComputedStyle(document.body).backgroundColor"


def menu(page: Page) -> None:
    """Open the menu of account and display."""
    page.get_by_role("button", name=re.compile("Account and display|Konto und Anzeige")).click()


def test_the_language_is_chosen_once(page: Page) -> None:
    open_view(page, "/vehicles")
    menu(page)
    page.get_by_text("Deutsch", exact=True).click()
    for _ in range(2):
        expect(page.get_by_role("link", name="Fahrzeuge")).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", "de")
        page.reload()
        loaded(page)


@pytest.mark.parametrize(("language", "word"), [("de-AT", "Fahrzeuge"), ("fr-FR", "Vehicles")])
def test_the_language_is_the_browsers_at_first(
    browser: Browser, page: Page, watched: Watched, language: str, word: str
) -> None:
    page.goto("/")
    with browser_context(browser, page.url, watched, locale=language) as context:
        own = context.new_page()
        open_view(own, "/")
        expect(own.get_by_role("link", name=word)).to_be_visible()


def test_the_appearance_is_chosen_once_and_there_before_the_first_paint(page: Page) -> None:
    open_view(page, "/")
    light = page.evaluate(BACKGROUND)
    menu(page)
    page.get_by_text("Dark", exact=True).click()
    page.wait_for_function(f"{BACKGROUND} !== '{light}'")
    page.reload(wait_until="domcontentloaded")
    assert page.evaluate(BACKGROUND) != light


def test_the_keyboard_skips_the_navigation(page: Page) -> None:
    open_view(page, "/vehicles")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_the_keyboard_leads_through_the_navigation_and_the_menu(page: Page) -> None:
    open_view(page, "/")
    page.get_by_role("link", name="Vehicles").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#/vehicles$"))
    page.get_by_role("button", name="Account and display").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Deutsch", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Deutsch", exact=True)).to_be_hidden()


def test_a_phone_shows_the_navigation_within_its_width(phone: Page) -> None:
    open_view(phone, "/")
    phone.get_by_role("link", name="Anomalies").tap()
    expect(phone).to_have_url(re.compile("#/anomalies$"))
    assert overflow_px(phone) == 0


def test_an_address_that_does_not_exist_says_so_and_leads_home(page: Page) -> None:
    page.goto("/#/nowhere")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="To the overview").click()
    expect(page).to_have_url(re.compile("#/$"))


def test_an_empty_database_is_no_error(page: Page) -> None:
    for path in ("/", "/vehicles", "/meters", "/anomalies", "/load", "/settings"):
        open_view(page, path)
        expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".connection")).to_have_text("Live")


def test_the_page_reconnects_by_itself_when_the_service_is_back(
    browser: Browser, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("restarted")
    with (
        migrated_database(server, jobs=False) as url,
        running_service(folder, on_migrated(url)) as service,
    ):
        watched = Watched(service.base_url)
        watched.allow("/v1/")  # nobody answers for a while
        with browser_context(browser, service.base_url, watched) as context:
            page = context.new_page()
            open_view(page, "/")
            state = page.locator(".connection")
            expect(state).to_have_text("Live")
            service.process.terminate()
            service.process.wait(timeout=30)
            expect(state).to_have_text(re.compile("Reconnecting|Offline"))
            expect(page.get_by_text("it reconnects by itself")).to_be_visible()
            environ = on_migrated(url) | {"FLEETMETER_PORT": service.base_url.rpartition(":")[2]}
            again = Forked(["serve"], environ, folder, folder / "again.log")
            try:
                expect(state).to_have_text("Live", timeout=40_000)
                expect(page.get_by_text("it reconnects by itself")).to_be_hidden()
            finally:
                page.close()
                again.terminate()
                again.wait(timeout=30)
        assert watched.problems == []
