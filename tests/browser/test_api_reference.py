"""The API reference at /docs, in a browser: it works offline and under its own policy."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]


def test_the_api_reference_shows_endpoints(page: Page) -> None:
    page.goto("/docs")
    expect(page.locator("#operations-Ingest-postReadings, .opblock").first).to_be_visible()
