"""The page in a browser, in brief: what `make test` looks at. The rest is in `make browser`."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import loaded, open_view, serious_violations

pytestmark = [pytest.mark.browser, pytest.mark.either]


def test_the_navigation_leads_to_every_view_without_an_error(page: Page) -> None:
    open_view(page, "/")
    names = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
    assert [name.strip() for name in names] == [
        *("Now", "Vehicles", "Meters", "Anomalies", "Load", "Settings")
    ]
    for name in ("Vehicles", "Meters", "Anomalies", "Load", "Settings", "Now"):
        link = page.get_by_role("navigation").get_by_role("link", name=name)
        link.click()
        expect(link).to_have_attribute("aria-current", "page")
        expect(page).to_have_title(f"{name} · FleetMeter")
        loaded(page)
    assert serious_violations(page) == []
