"""The fixtures of these tests notice what they are there to notice."""

import httpx
import pytest
from playwright.sync_api import Page

from tests.conftest import Service
from tests.support.browser import Watched, overflow_px, serious_violations
from tests.support.depot import Depot

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("console.error('broken')", "error in the console: broken"),
        ("setTimeout(() => { throw new Error('uncaught') })", "exception: .*uncaught"),
        ("fetch('/nowhere')", "404"),
        ("fetch('http://127.0.0.2:9/').catch(() => null)", "external request: http://127.0.0.2:9/"),
        ("fetch('http://127.0.0.2:9/').catch(() => null)", "failed: net::ERR"),
    ],
)
def test_a_problem_in_a_page_is_noticed(
    page: Page, watched: Watched, script: str, problem: str
) -> None:
    page.goto("/health/live")
    page.evaluate(f"() => {{ {script} }}")
    page.wait_for_timeout(300)
    found = watched.problems
    watched.allow(problem)
    assert len(watched.problems) < len(found), found
    watched.allow("")


def test_a_page_that_axe_or_a_phone_cannot_use_is_noticed(phone: Page) -> None:
    phone.goto("/health/live")
    phone.set_content(
        "<meta name=viewport content='width=device-width'>"
        "<main style='width: 900px'><button></button></main>"
    )
    assert any(each.startswith("button-name (critical)") for each in serious_violations(phone))
    assert overflow_px(phone) > 0


def test_the_depot_has_live_state_up_to_now_and_something_wrong(
    service: Service, depot: Depot
) -> None:
    with httpx.Client(base_url=service.base_url) as client:
        vehicles = client.get("/v1/vehicles").json()["items"]
        anomalies = client.get("/v1/anomalies").json()["items"]
    assert len(vehicles) == len(depot.fleet.vehicles)
    assert {each["settings"]["label"] for each in vehicles} >= {"Parcel van 1", "Pool car 2"}
    assert {each["kind"] for each in anomalies} == {"voltage_out_of_range"}
