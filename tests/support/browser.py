"""What tests in a real browser share: the browser, and pages that report what goes wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
)

Width = Literal["desktop", "phone"]
Theme = Literal["light", "dark"]
SIZES: dict[Width, tuple[int, int]] = {"desktop": (1280, 900), "phone": (390, 844)}

SERIOUS = ("serious", "critical")
"""The impacts of axe's violations that no view may have."""

_ALLOWED = ("/v1/session",)
"""Asked by the page to find out whether anybody is signed in: an error is an answer."""


@contextmanager
def running_browser(executable: str) -> Iterator[Browser]:
    """Run a headless browser.

    While it runs, this thread has an event loop that counts as running, so `asyncio.run` fails: end
    it with the module that needs it.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """Notes what goes wrong in the pages of a test: errors, failed and external requests."""

    def __init__(self, base_url: str) -> None:
        self._origin = urlsplit(base_url)[:2]
        self._allowed = [re.compile(pattern) for pattern in _ALLOWED]
        self._found: list[str] = []

    def allow(self, *patterns: str) -> None:
        """Do not count what contains one of these regular expressions as a problem."""
        self._allowed += map(re.compile, patterns)

    @property
    def problems(self) -> list[str]:
        """What went wrong so far, and was not allowed."""
        return [
            found
            for found in self._found
            if not any(pattern.search(found) for pattern in self._allowed)
        ]

    def watch(self, context: BrowserContext) -> None:
        """Listen to all pages of a context."""
        context.on(
            "console",
            lambda message: self._note(
                message.type in ("error", "warning"),
                f"{message.type} in the console: {message.text} {message.location.get('url', '')}",
            ),
        )
        context.on("weberror", lambda error: self._note(True, f"exception: {error.error}"))
        context.on("request", self._requested)
        context.on("requestfailed", self._failed)

    def _requested(self, request: Request) -> None:
        url = urlsplit(request.url)
        external = url.scheme not in ("data", "blob") and url[:2] != self._origin
        self._note(external, f"external request: {request.url}")

    def _failed(self, request: Request) -> None:
        why = request.failure or ""
        # a page that is left, or a stream that it closes, ends requests itself
        self._note("ERR_ABORTED" not in why, f"{request.method} {request.url} failed: {why}")

    def _note(self, is_problem: bool, text: str) -> None:
        if is_problem:
            self._found.append(text)


@contextmanager
def browser_context(
    browser: Browser,
    base_url: str,
    watched: Watched,
    *,
    width: Width = "desktop",
    theme: Theme = "light",
    **options: Any,
) -> Iterator[BrowserContext]:
    """Open a context of its own, without cookies: English, in Berlin, without animations."""
    settings: dict[str, Any] = {
        "base_url": base_url,
        "locale": "en-GB",
        "timezone_id": "Europe/Berlin",
        "color_scheme": theme,
        "reduced_motion": "reduce",
        "viewport": dict(zip(("width", "height"), SIZES[width], strict=True)),
        "has_touch": width == "phone",
        "is_mobile": width == "phone",
        "device_scale_factor": 2 if width == "phone" else 1,
    }
    context = browser.new_context(**settings | options)
    context.set_default_timeout(10_000)
    watched.watch(context)
    try:
        yield context
    finally:
        context.close()


def open_view(page: Page, path: str) -> None:
    """Open a view by the path in its address, such as `/vehicles`, and wait until it has loaded."""
    page.goto(f"/#{path}")
    loaded(page)


def loaded(page: Page) -> None:
    """Wait until nothing in the page is loading any more."""
    expect(page.get_by_role("main")).to_be_visible()
    expect(page.locator("[aria-busy=true], .skeleton")).to_have_count(0)


def serious_violations(page: Page) -> list[str]:
    """What axe finds serious in a page: rule, what it is about, and where."""
    found = Axe().run(page, options={"resultTypes": ["violations"]})
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: "
        + "; ".join(str(node["target"]) for node in each["nodes"][:5])
        for each in found.response["violations"]
        if each["impact"] in SERIOUS
    ]


_CUT = """
[...document.querySelectorAll('.table-scroll')]
  .filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => each.querySelector('table').ariaLabel ?? each.innerText.slice(0, 40))
"""


def cut_tables(page: Page) -> list[str]:
    """Return the tables that are wider than their frames, by their labels or first words."""
    cut: list[str] = page.evaluate(_CUT)
    return cut


def overflow_px(page: Page) -> int:
    """By how much a page is wider than its window, so that it would scroll sideways."""
    wider: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wider
