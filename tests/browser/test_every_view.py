"""Every view, light and dark, on a desktop and a phone: nothing fails, and everybody can use it.

With FLEETMETER_SCREENSHOTS, each is kept there as a picture (`make screenshots`).
"""

import os
import re
from pathlib import Path
from typing import get_args

import pytest
from playwright.sync_api import Browser

from tests.conftest import Service
from tests.support.browser import (
    Theme,
    Watched,
    Width,
    browser_context,
    cut_tables,
    open_view,
    overflow_px,
    serious_violations,
)
from tests.support.depot import Depot
from tests.support.views import VIEWS, address, patterns

pytestmark = [pytest.mark.browser, pytest.mark.either, pytest.mark.slow]

SCREENSHOTS = os.environ.get("FLEETMETER_SCREENSHOTS")


def test_every_view_is_looked_at() -> None:
    assert {re.sub(r":\w+", ":id", path) for path in VIEWS.values()} == patterns()


@pytest.mark.parametrize("theme", get_args(Theme))
@pytest.mark.parametrize("width", get_args(Width))
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_whole_and_accessible(
    browser: Browser,
    service: Service,
    watched: Watched,
    depot: Depot,
    view: str,
    width: Width,
    theme: Theme,
) -> None:
    with browser_context(browser, service.base_url, watched, width=width, theme=theme) as context:
        page = context.new_page()
        open_view(page, address(view, service.base_url, depot))
        if SCREENSHOTS:
            path = Path(SCREENSHOTS) / f"{view}-{width}-{theme}.png"
            page.screenshot(path=path, full_page=True)
        assert page.get_by_role("alert").count() == 0
        assert overflow_px(page) == 0
        assert width == "desktop" or cut_tables(page) == []
        assert serious_violations(page) == []
