"""One vehicle or meter: what it did, and what may be done with it."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.conftest import Service, hours_ago, meter_reading, post, rfc3339, vehicle_reading
from tests.support.browser import Watched, open_view
from tests.support.depot import Depot

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]


def region(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def csv_of(page: Page, panel: Locator) -> list[str]:
    """The rows of a panel's CSV, without the names."""
    with page.expect_download() as download:
        panel.get_by_role("button", name="CSV").click()
    return download.value.path().read_text().splitlines()[1:]


@pytest.fixture
def charged(client: httpx.Client, uid: str) -> str:
    """The id of a vehicle that charged for an hour at the meter of the same name."""
    began = hours_ago(3).replace(minute=0, second=0, microsecond=0)
    minutes = [began + timedelta(minutes=n) for n in range(1, 61)]
    post(
        client,
        *(vehicle_reading(uid, at, 0.18, meterId=uid, soc=30 + n) for n, at in enumerate(minutes)),
        *(meter_reading(uid, at, 0.2) for at in minutes),
    )
    return uid


def busiest(service: Service) -> str:
    """The id of the vehicle that took the most in the last days: at weekends, some take nothing."""
    window = {"from": rfc3339(hours_ago(7 * 24)), "to": rfc3339(hours_ago(0))}
    fleet = httpx.get(f"{service.base_url}/v1/analytics/fleet", params=window, timeout=30).json()
    most = max(fleet["vehicles"]["items"], key=lambda each: each["energyDeliveredDc"] or 0)
    return str(most["vehicleId"])


def test_the_window_s_energy_is_what_the_api_answers(
    page: Page, service: Service, depot: Depot
) -> None:
    assert depot.fleet.vehicles
    vehicle = busiest(service)
    open_view(page, f"/vehicles/{vehicle}?range=7d")
    rows = csv_of(page, region(page, "AC and DC energy"))
    dc = sum(float(row.split(",")[2] or 0) for row in rows)
    region(page, "AC and DC energy").get_by_role("button", name="API").click()
    request = page.get_by_role("dialog").locator("pre").first.inner_text().removeprefix("GET ")
    items = httpx.get(service.base_url + request).json()["items"]
    assert dc == pytest.approx(sum(each["energyDeliveredDc"] for each in items))
    assert dc > 0
    page.keyboard.press("Escape")
    assert csv_of(page, region(page, "Charging sessions"))
    assert csv_of(page, region(page, "Efficiency by power"))


def test_a_meter_says_who_got_its_energy_and_what_was_left(page: Page, charged: str) -> None:
    open_view(page, f"/meters/{charged}")
    shares = region(page, "Where the energy went")
    expect(shares.get_by_role("row", name=re.compile(charged))).to_contain_text("90.0")
    expect(shares).to_contain_text("10.8")
    expect(page.locator(".tile").filter(has_text="Unattributed")).to_contain_text("0.0")


def test_what_was_not_measured_is_a_dash(page: Page, client: httpx.Client, uid: str) -> None:
    post(client, vehicle_reading(uid, datetime.now(UTC), 0))
    open_view(page, f"/vehicles/{uid}")
    expect(page.locator(".tile").filter(has_text="Odometer")).to_contain_text("–")
    expect(page.locator(".tile").filter(has_text="Efficiency")).to_contain_text("–")
    expect(page.get_by_text("vehicle readings belong to no meter")).to_be_visible()


def test_settings_are_changed_and_the_server_s_objection_stands_beside_the_field(
    page: Page, watched: Watched, charged: str
) -> None:
    watched.allow("400")
    open_view(page, f"/vehicles/{charged}")
    page.get_by_role("button", name="Settings").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Site").fill("not allowed")
    form.get_by_label("Label").fill("Van of the test")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("1 to 64 of the characters")
    expect(form.get_by_label("Site")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Site").fill("SITE-1")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Van of the test")
    expect(form).to_have_count(0)


def test_a_vehicle_is_assigned_from_a_time_on(page: Page, client: httpx.Client, uid: str) -> None:
    at = datetime.now(UTC)
    post(client, vehicle_reading(uid, at, 0.1), meter_reading(f"{uid}M", at, 0.1))
    open_view(page, f"/vehicles/{uid}?tab=setup")
    expect(page.get_by_text("Never assigned")).to_be_visible()
    page.get_by_role("button", name="Assign a meter").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Meter").fill(f"{uid}M")
    form.get_by_label("Since").fill("2026-01-05T08:00:00")
    form.get_by_role("button", name="Assign").click()
    row = region(page, "Assignments").get_by_role("row", name=re.compile(f"{uid}M"))
    expect(row).to_contain_text("In force")
    (assigned,) = client.get(f"/v1/vehicles/{uid}/assignments").json()["items"]
    assert assigned["since"] == "2026-01-05T07:00:00Z", "local time: Berlin"


def test_a_reading_is_corrected_voided_and_restored(
    page: Page, client: httpx.Client, watched: Watched, charged: str
) -> None:
    watched.allow("400")

    def act(row: Locator, button: str, **values: str) -> None:
        row.get_by_role("button", name="Correct").click()
        form = page.get_by_role("dialog")
        for label, value in values.items():
            form.get_by_label(label).fill(value)
        form.get_by_label("Reason").fill("the test says so")
        form.get_by_role("button", name=button).click()

    open_view(page, f"/vehicles/{charged}?tab=readings")
    row = region(page, "Readings").locator("tbody tr").first
    act(row, "Correct", State="172")
    form = page.get_by_role("dialog")
    expect(form.get_by_role("alert")).to_have_text("must be from 0 to 100")
    form.get_by_label("State").fill("33")
    form.get_by_role("button", name="Correct").click()
    expect(row).to_contain_text("Corrected")
    act(row, "Void this reading")
    expect(row).to_contain_text("Voided")
    act(row, "Restore")
    expect(row).not_to_contain_text("Voided")
    expect(row).to_contain_text("33.0")
    last = client.get(f"/v1/vehicles/{charged}/readings?versions=all&limit=1000").json()["items"][
        -1
    ]
    assert {each["reason"] for each in last["versions"]} == {"the test says so"}


def test_an_exchange_is_recorded_and_deleted(page: Page, client: httpx.Client, uid: str) -> None:
    post(client, {"meterId": uid, "kwhConsumedAcTotal": 100, "timestamp": hours_ago(1).isoformat()})
    open_view(page, f"/meters/{uid}?tab=setup")
    panel = region(page, "Meter exchanges")
    panel.get_by_role("button", name="Record an exchange").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Last register").fill("123.4")
    form.get_by_role("button", name="Save").click()
    expect(panel.get_by_role("row", name=re.compile("123.4"))).to_be_visible()
    panel.get_by_role("button", name="Delete the exchange").click()
    form.get_by_role("button", name="Delete the exchange").click()
    expect(panel.get_by_text("No exchange recorded")).to_be_visible()


def test_a_device_is_removed_after_a_question(page: Page, charged: str) -> None:
    open_view(page, f"/vehicles/{charged}")
    page.get_by_role("button", name="Remove from lists").click()
    form = page.get_by_role("dialog")
    expect(form).to_contain_text("its history and settings stay")
    form.get_by_role("button", name="Remove from lists").click()
    expect(page).to_have_url(re.compile("#/vehicles$"))
    expect(page.get_by_role("link", name=charged)).to_have_count(0)


def test_who_may_only_read_is_offered_nothing_else(page: Page, charged: str) -> None:
    def only_read(route: Any) -> None:
        who = {"name": "reader", "scopes": ["read"], "devices": None, "sites": None}
        more = {"csrfToken": None, "expiresAt": None, "open": False}
        route.fulfill(status=200, content_type="application/json", body=json.dumps(who | more))

    page.route("**/v1/session", only_read)
    open_view(page, f"/vehicles/{charged}?tab=readings")
    expect(region(page, "Readings").locator("tbody tr").first).to_be_visible()
    for name in ("Assign a meter", "Settings", "Remove from lists", "Correct"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


def test_a_device_that_does_not_exist_is_said_to(page: Page, watched: Watched, uid: str) -> None:
    watched.allow("404")
    open_view(page, f"/vehicles/{uid}")
    expect(page.get_by_role("heading", name=f"There is no vehicle {uid}")).to_be_visible()
    expect(page.get_by_role("link", name="All vehicles")).to_be_visible()
