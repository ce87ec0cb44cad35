"""The lists of vehicles and meters: found, sorted, filtered, live, and by keyboard."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import post, vehicle_reading
from tests.support.browser import loaded, open_view
from tests.support.depot import Depot

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]


def names(page: Page) -> list[str]:
    """The ids of the rows that are drawn, from the top."""
    ids: list[str] = page.locator("tbody tr .device-name").evaluate_all(
        "links => links.map(link => link.querySelector('span')?.innerText ?? link.innerText)"
    )
    return ids


def test_a_list_is_searched_filtered_and_sorted_and_keeps_that_in_its_address(
    page: Page, depot: Depot
) -> None:
    open_view(page, "/vehicles")
    page.get_by_role("searchbox").fill("parcel")
    page.get_by_label("Site").select_option("Harbour")
    page.get_by_role("button", name="Odometer").click()
    for _ in range(2):
        expect(page.get_by_role("row", name=re.compile("Pool car"))).to_have_count(0)
        expect(page.locator("th[aria-sort=descending]")).to_have_text("Odometer")
        found = names(page)
        assert len(found) >= 2
        assert all(name.startswith("HAR-EV-") for name in found)
        page.reload()
        loaded(page)
    page.get_by_role("searchbox").fill("nowhere")
    page.get_by_role("button", name="Clear search and filters").click()
    expect(page.get_by_role("searchbox")).to_have_value("")
    expect(page.locator("tbody tr .device-name").first).to_be_visible()


def test_a_row_is_opened_by_keyboard(page: Page, depot: Depot) -> None:
    open_view(page, "/meters")
    page.locator("tbody tr[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    second = page.locator("tbody tr[aria-rowindex='3']")
    expect(second).to_be_focused()
    name = second.locator("b").inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def test_a_row_follows_the_stream_and_a_new_device_appears(
    page: Page, client: httpx.Client, uid: str
) -> None:
    now = datetime.now(UTC)
    post(client, vehicle_reading(f"{uid}A", now - timedelta(seconds=20), 0.0, soc=40))
    open_view(page, f"/vehicles?q={uid}")
    row = page.get_by_role("row", name=re.compile(f"{uid}A"))
    expect(row).to_contain_text("40")
    expect(page.locator(".connection")).to_have_text("Live")
    later = vehicle_reading(f"{uid}A", now, 0.2, soc=41), vehicle_reading(f"{uid}B", now, 0, soc=7)
    post(client, *later)
    expect(row).to_contain_text("41")
    expect(row).to_contain_text("Charging")
    expect(page.get_by_role("row", name=re.compile(f"{uid}B"))).to_contain_text("7")
    page.get_by_role("button", name="Charging").click()
    expect(page.locator("tbody tr .device-name")).to_have_text([f"{uid}A"])


def test_a_long_list_draws_only_what_is_in_sight_and_is_whole(
    page: Page, client: httpx.Client, uid: str
) -> None:
    """1,100 devices are more than a page of the API."""
    now = datetime.now(UTC)
    post(client, *(vehicle_reading(f"{uid}{n:04}", now, 0, soc=50) for n in range(1100)))
    open_view(page, f"/vehicles?q={uid}&order=-name")
    expect(page.get_by_role("heading", name=re.compile("1,100 of"))).to_be_visible()
    assert names(page)[0] == f"{uid}1099"
    page.locator("tbody tr[tabindex='0']").focus()
    page.keyboard.press("End")
    expect(page.locator("tbody tr[aria-rowindex='1101']")).to_contain_text(f"{uid}0000")
    assert page.locator("tbody tr").count() < 60
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 1101
