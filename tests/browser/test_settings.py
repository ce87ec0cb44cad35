"""Settings: keys that are shown once, rules with thresholds of their own, and the log of both."""

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Service
from tests.support.browser import Watched, browser_context, open_view
from tests.support.depot import Depot
from tests.support.keys import headers, make_key

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]


def test_thresholds_of_a_device_come_from_where_they_are_set(
    page: Page, service: Service, watched: Watched, depot: Depot
) -> None:
    watched.allow("400")
    vehicle = depot.fleet.vehicles[0].vehicle_id
    open_view(page, f"/settings/rules/battery_hot?scope=vehicle&target={vehicle}")
    page.get_by_role("button", name="Change").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("openC").fill("41")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("clearC must not exceed openC")
    dialog.get_by_label("clearC").fill("40")
    dialog.get_by_label("Note").fill("an old battery")
    dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name="openC")
    expect(row).to_contain_text(f"41 °CVehicle {vehicle}45 °C")
    expect(page.get_by_role("region", name="Changes")).to_contain_text("an old battery")
    place = {"scope": "vehicle", "target": vehicle}
    rule = httpx.get(f"{service.base_url}/v1/rules/battery_hot", params=place).json()
    assert rule["overrides"][0]["parameters"] == {"openC": 41.0, "clearC": 40.0}

    open_view(page, "/settings/audit?action=set-rule")
    page.get_by_role("row", name=vehicle).click()
    expect(page.get_by_role("dialog")).to_contain_text('"openC": 41')


def test_a_german_page_explains_rules_and_what_is_wrong_in_german(
    browser: Browser, service: Service, watched: Watched
) -> None:
    with browser_context(browser, service.base_url, watched, locale="de-DE") as context:
        page = context.new_page()
        open_view(page, "/settings/rules/standby_loss")
        expect(page.get_by_text("obwohl dort kein Fahrzeug lud")).to_be_visible()
        expect(page.get_by_text("Endet unter dieser mittleren Leistung, W.")).to_be_visible()
        watched.allow(r"400 \(Bad Request\)")
        page.get_by_role("button", name="Ändern").click()
        page.get_by_role("dialog").get_by_label("clearW", exact=True).fill("500")
        page.get_by_role("dialog").get_by_role("button", name="Speichern").click()
        expect(page.get_by_role("dialog")).to_contain_text("clearW darf nicht über openW")


def test_the_first_key_is_shown_once_and_limits_what_is_offered(
    page: Page, service: Service, watched: Watched
) -> None:
    """The last test of the module, since the service asks for a key afterwards."""
    watched.allow("401")
    open_view(page, "/settings/keys")
    page.get_by_role("button", name="Create key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("depot-7")
    dialog.get_by_label("admin").check()
    dialog.get_by_role("button", name="Create key").click()
    text = dialog.locator("pre").inner_text()
    with httpx.Client(base_url=service.base_url, headers=headers(text)) as admin:
        (key,) = admin.get("/v1/keys").json()["items"]
        read = make_key(admin, "wallboard", "read")["key"]
    assert sorted(key["scopes"]) == ["admin", "read"]
    dialog.get_by_role("button", name="I have copied it").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    page.get_by_label("Access key").fill(read)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="You may not see this")).to_be_visible()
    navigation = page.get_by_role("navigation", name="Main")
    expect(navigation.get_by_role("link", name="Settings")).to_have_count(0)
    open_view(page, "/settings/rules/battery_hot")
    expect(page.get_by_role("row", name="openC")).to_be_visible()
    expect(page.get_by_role("button", name="Change")).to_have_count(0)
    navigation.get_by_role("link", name="Anomalies").click()
    page.get_by_role("main").get_by_role("link", name="Voltage out of range").first.click()
    expect(page.get_by_role("heading", name="Thresholds")).to_be_visible()
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
