"""The load of a site or meter: its quarter hours are those of the API."""

import re
from datetime import timedelta

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Service
from tests.support.browser import loaded, open_view
from tests.support.depot import Depot

START = "(day) => new Date(`${day}T00:00`).toISOString()"
"""The midnight that begins a day where the page is looked at."""

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]


def test_the_highest_quarter_hour_is_marked_and_named(
    page: Page, service: Service, depot: Depot
) -> None:
    meter = depot.fleet.meters[0].meter_id
    day = depot.began.date() + timedelta(days=1)
    open_view(page, f"/load?of=meter&id={meter}&day={day}")
    panel = page.get_by_role("region", name=f"Load of {meter}")
    expect(panel.locator("canvas")).to_be_visible()
    panel.get_by_role("button", name="API").click()
    request = page.get_by_role("dialog").locator("pre").first.inner_text().splitlines()[0]
    page.keyboard.press("Escape")
    quarters = httpx.get(service.base_url + request.removeprefix("GET ")).json()["buckets"]
    metered = [each for each in quarters if each["from"] >= page.evaluate(START, str(day))]
    highest = max(metered, key=lambda each: each["energyConsumedAc"])
    with page.expect_download() as download:
        panel.get_by_role("button", name="CSV").click()
    rows = [line.split(",") for line in download.value.path().read_text().splitlines()[1:]]
    powers = {time: float(power) for time, power, _ in rows if power}
    assert len(rows) in (92, 96, 100)
    assert len(powers) == len(metered)
    assert max(powers.values()) == pytest.approx(4 * highest["energyConsumedAc"])
    tile = page.locator(".tile", has_text="Highest quarter hour")
    peak = max(powers.values())
    expect(tile).to_contain_text(f"{peak if peak >= 0.1 else peak * 1000:.3g}"[:3])
    expect(tile).to_contain_text(re.compile(r"\d\d:\d\d–\d\d:\d\d"))


def test_a_site_with_a_grid_meter_and_no_charger_can_be_chosen(
    page: Page, service: Service, depot: Depot
) -> None:
    site = "Office"
    settings = {"site": site, "role": "site"}
    at = depot.until.isoformat()
    with httpx.Client(base_url=service.base_url) as client:
        reading = {"meterId": "OFFICE-GRID", "kwhConsumedAc": 4.5, "timestamp": at}
        client.patch("/v1/meters/OFFICE-GRID", json=settings).raise_for_status()
        client.post("/v1/ingest", json=[reading]).raise_for_status()
    open_view(page, f"/load?day={depot.until.date()}")
    page.get_by_role("combobox", name="Site").select_option(site)
    energy = page.locator(".tile", has_text="Energy")
    expect(energy).to_contain_text("Grid connection")


def test_a_site_s_load_is_at_its_grid_connection_or_its_chargers(page: Page, depot: Depot) -> None:
    (grid,) = (each for each in depot.fleet.meters if each.role == "site")
    day = depot.began.date() + timedelta(days=1)
    open_view(page, f"/load?id={grid.depot.site}&day={day}")
    energy = page.locator(".tile", has_text="Energy")
    expect(energy).to_contain_text("Grid connection")
    metered_at = page.get_by_role("group", name="Metered at")
    metered_at.get_by_role("button", name="Chargers").click()
    expect(energy).to_contain_text("Chargers")
    expect(page).to_have_url(re.compile(r"measured=chargers"))
    loaded(page)
    metered_at.get_by_role("button", name="Grid connection").click()
    expect(energy).to_contain_text("Grid connection")
