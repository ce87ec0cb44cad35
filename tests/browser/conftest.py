"""A real browser, and pages on a real service that fail the test when anything goes wrong."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import Service, eventually
from tests.support.browser import Watched, browser_context, running_browser
from tests.support.chromium import NO_CHROMIUM, chromium
from tests.support.depot import Depot, load_depot


@pytest.fixture(scope="module")
def browser(service: Service) -> Iterator[Browser]:
    """A browser for the tests of a module; started after the service, and ended before it."""
    executable = chromium()
    if executable is None:
        pytest.skip(NO_CHROMIUM)
    with running_browser(executable) as running:
        yield running


@pytest.fixture
def watched(service: Service) -> Iterator[Watched]:
    """What goes wrong in the pages of the test; use `allow` for what should."""
    watched = Watched(service.base_url)
    yield watched
    assert not watched.problems


@pytest.fixture
def page(browser: Browser, service: Service, watched: Watched) -> Iterator[Page]:
    """A page of its own on the service, 1280 pixels wide and light."""
    with browser_context(browser, service.base_url, watched) as context:
        yield context.new_page()


@pytest.fixture
def phone(browser: Browser, service: Service, watched: Watched) -> Iterator[Page]:
    """A page of its own on the service, as on a phone: 390 pixels wide, touched."""
    with browser_context(browser, service.base_url, watched, width="phone") as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def depot(service: Service) -> Depot:
    """A small fleet with two days of history and an open anomaly, loaded once for the module."""
    loaded = load_depot(service.base_url)
    found = f"{service.base_url}/v1/anomalies?status=open"
    eventually(lambda: httpx.get(found).json()["items"], timeout_s=60, pause_s=0.2)
    return loaded
