"""The first view: what it says of a depot, and that it is alive."""

import re
from datetime import UTC, datetime

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Service, meter_reading, post, vehicle_reading
from tests.support.browser import loaded, open_view, overflow_px
from tests.support.depot import Depot

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]


def test_the_flow_of_energy_has_what_the_api_answers(
    page: Page, service: Service, depot: Depot
) -> None:
    open_view(page, "/?range=7d")
    flow = page.get_by_role("region", name="Where the energy went")
    for name in ("Grid", "Solar", "Chargers", "Batteries", "Loss"):
        expect(flow.locator("dt").filter(has_text=name)).to_have_count(1)
    with page.expect_download() as download:
        flow.get_by_role("button", name="CSV").click()
    rows = download.value.path().read_text().splitlines()
    from_chargers = sum(float(row.split(",")[2]) for row in rows if row.startswith("chargers,"))
    flow.get_by_role("button", name="API").click()
    request = page.get_by_role("dialog").locator("pre").first.inner_text().removeprefix("GET ")
    fleet = httpx.get(service.base_url + request).json()
    assert from_chargers == pytest.approx(fleet["totalEnergyConsumedAc"], abs=0.01)


def test_the_period_stays_in_the_address_and_over_a_reload(page: Page, depot: Depot) -> None:
    open_view(page, "/")
    period = page.get_by_role("group", name="Period").first
    period.get_by_role("button", name="7 days").click()
    expect(page).to_have_url(re.compile(r"#/\?range=7d$"))
    page.reload()
    loaded(page)
    expect(period.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")


def test_a_reading_shows_up_by_itself_and_leads_to_its_device(
    page: Page, client: httpx.Client, depot: Depot, uid: str
) -> None:
    open_view(page, "/")
    expect(page.locator(".connection")).to_have_text("Live")
    post(client, vehicle_reading(f"{uid}EV", datetime.now(UTC), 0.5, soc=61))
    panel = page.get_by_role("region", name="Just in")
    newest = panel.get_by_role("link", name=f"{uid}EV")
    expect(newest).to_contain_text("61")
    with page.expect_download() as download:
        panel.get_by_role("button", name="CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert any(f",vehicle,{uid}EV,61,36,0.5," in line for line in lines), lines
    newest.click()
    expect(page).to_have_url(re.compile(f"#/vehicles/{uid}EV$"))


def test_what_is_wrong_is_linked(page: Page, depot: Depot) -> None:
    open_view(page, "/")
    anomalies = page.get_by_role("region", name="Open anomalies")
    anomalies.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(r"#/anomalies/\d+$"))


def test_a_phone_has_the_figures_of_the_flow_below_it(phone: Page, depot: Depot) -> None:
    open_view(phone, "/")
    expect(phone.locator(".sankey-figures")).to_contain_text("Batteries")
    assert overflow_px(phone) == 0


def test_devices_without_energy_are_no_zero(page: Page, client: httpx.Client, uid: str) -> None:
    """An empty period says so, and an efficiency that nobody measured is no figure."""
    post(client, meter_reading(f"{uid}M", datetime.now(UTC), 0))
    open_view(page, "/?range=2020-01-01..2020-01-02")
    expect(page.get_by_role("heading", name="No energy in this period")).to_be_visible()
    expect(page.locator(".tile").filter(has_text="Efficiency")).to_contain_text("–")
