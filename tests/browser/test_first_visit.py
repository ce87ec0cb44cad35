"""An empty database: how the page greets, and how it comes alive."""

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Service
from tests.support.browser import Watched, open_view, overflow_px, serious_violations

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]


def test_the_greeting_has_what_to_paste_for_this_service(page: Page, service: Service) -> None:
    open_view(page, "/")
    expect(page.get_by_role("heading", name="Welcome to FleetMeter")).to_be_visible()
    curl = page.get_by_role("region", name="Send a reading").locator("pre")
    expect(curl).to_contain_text(f"{service.base_url}/v1/ingest")
    expect(page.get_by_text("make demo")).to_be_visible()
    assert serious_violations(page) == []


def test_the_greeting_fits_on_a_phone(phone: Page) -> None:
    open_view(phone, "/")
    expect(phone.get_by_role("heading", name="Welcome to FleetMeter")).to_be_visible()
    assert overflow_px(phone) == 0


def test_readings_can_be_tried_until_the_first_is_stored_and_the_page_comes_alive(
    page: Page, watched: Watched
) -> None:
    watched.allow("422")  # the browser reports the answer by itself
    open_view(page, "/")
    text = page.get_by_label("Readings as JSON")
    valid = text.input_value()
    text.fill("[{]")
    page.get_by_role("button", name="Post").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not valid JSON")
    text.fill('[{"vehicleId": "EV-1"}]')
    page.get_by_role("button", name="Post").click()
    expect(page.locator(".first-outcomes")).to_contain_text("timestamp is missing")
    text.fill(valid)
    page.get_by_role("button", name="Post").click()
    expect(page.get_by_text("2 readings are stored")).to_be_visible()
    flow = page.get_by_role("region", name="Where the energy went")
    expect(flow.locator("dl")).to_contain_text("Batteries1.20 kWh")
