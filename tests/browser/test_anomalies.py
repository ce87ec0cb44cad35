"""The inbox of anomalies: what it lists, how evidence is drawn, and what people do about them."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Service
from tests.support.browser import Watched, open_view
from tests.support.depot import Depot

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]

KIND = "Voltage out of range"


def test_an_anomaly_is_found_looked_at_and_acknowledged(
    page: Page, service: Service, depot: Depot
) -> None:
    open_view(page, "/anomalies?kind=voltage_out_of_range")
    page.get_by_role("link", name=KIND).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(KIND)
    evidence = page.get_by_role("region", name="Evidence")
    expect(evidence.locator("canvas")).to_be_visible()
    evidence.get_by_text("Show as table").click()
    expect(evidence.get_by_role("columnheader", name="Lower limit")).to_be_visible()
    figures = page.get_by_role("region", name="Deciding figures")
    expect(figures.get_by_role("row", name=re.compile(r"^Nominal voltage \d+ V"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^tolerance 0.1 Default"))).to_be_visible()

    page.get_by_role("button", name="Acknowledge").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill("the electrician comes on Friday")
    dialog.get_by_role("button", name="Acknowledge").click()
    happened = page.get_by_role("region", name="What happened")
    expect(happened.get_by_role("listitem").first).to_contain_text("electrician")
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    found = httpx.get(f"{service.base_url}/v1/anomalies/{page.url.rsplit('/', 1)[1]}").json()
    assert found["status"] == "acknowledged"
    assert found["events"]["items"][0]["note"] == "the electrician comes on Friday"


def test_what_was_found_is_said_in_german(page: Page, depot: Depot) -> None:
    page.add_init_script("localStorage.setItem('fleetmeter.language', 'de')")
    open_view(page, "/anomalies?kind=voltage_out_of_range&status=all")
    page.get_by_role("link", name="Spannung außerhalb des Bereichs").first.click()
    said = page.locator(".lead-text")
    expect(said).to_have_text(
        re.compile(r"hatte im Mittel von zehn Minuten [\d,]+\sV, außerhalb von [\d,]+\sV bis")
    )
    expect(said.locator("[lang=en]")).to_have_count(0)


def test_a_problem_is_said_in_german_and_the_service_s_own_words_follow(
    page: Page, service: Service, depot: Depot, watched: Watched
) -> None:
    watched.allow("400")
    page.add_init_script("localStorage.setItem('fleetmeter.language', 'de')")
    open_view(page, "/load?of=meter&id=M&measured=grid")
    failed = page.get_by_role("alert").first
    expect(failed).to_contain_text("Eine Angabe ist ungültig:")
    expect(failed.locator("[lang=en]")).to_have_text("measured: is not allowed beside meterId")


def test_the_inbox_changes_by_itself(page: Page, service: Service, depot: Depot) -> None:
    open_view(page, "/anomalies?kind=voltage_out_of_range")
    rows = page.get_by_role("table").locator("tbody tr")
    expect(rows).not_to_have_count(0)
    count = rows.count()
    active = {"status": "active", "kind": "voltage_out_of_range"}
    first = httpx.get(f"{service.base_url}/v1/anomalies", params=active).json()["items"][0]
    httpx.post(f"{service.base_url}/v1/anomalies/{first['id']}/resolve", json={}).raise_for_status()
    expect(rows).to_have_count(count - 1)
