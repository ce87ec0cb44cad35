"""Measures the page: how soon it shows, what it costs the browser, and what open pages cost ingest.

    make page-speed                # all of it
    make page-speed PART=loads     # or browser, or ingest

It starts a service with 10,000 devices and a day of readings on an embedded PostgreSQL in a
temporary folder, and prints a table. docs/performance.md has the figures. Everything shares this
machine, the browser too: run it while nothing else does, and read ratios rather than rates.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from statistics import median

import httpx
import psutil
from playwright.async_api import Browser, async_playwright, expect

from tests.support.browser import ARGUMENTS
from tests.support.chromium import NO_CHROMIUM, chromium
from tests.support.page_load import (
    DAY,
    DEVICES,
    PAGES,
    Running,
    pages_open,
    reading_bodies,
    send,
    service,
    synthetic_stream,
)

EVERY = timedelta(minutes=15)
LOADS = 5
"""Loads of the page, each in a new browser context; the table has their medians."""

PARTS = ["loads", "browser", "ingest"]
VIEWS = ("/", "/vehicles")

TURN_S = 15.0

MINUTE_S = 60.0
"""How often open pages have the fleet's answers computed."""

IDLE_CORES = 0.05


def main() -> None:
    """Measure everything, and print it."""
    executable = chromium()
    if executable is None:
        sys.exit(NO_CHROMIUM)
    with (
        tempfile.TemporaryDirectory(prefix="fleetmeter-page-") as folder,
        service(folder) as running,
    ):
        asyncio.run(measure(running, executable, sys.argv[1:] or PARTS))


async def measure(running: Running, executable: str, parts: list[str]) -> None:
    """Measure one thing after another."""
    bodies = list(reading_bodies())
    began = datetime.now(UTC) - DAY
    url = running.url
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        for step in range(1, int(DAY / EVERY) + 1):
            await send(client, bodies, began + step * EVERY)
        await _accounted(client)
        await _idle(running)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
            if "loads" in parts:
                for view in VIEWS:
                    await _show_loads(browser, url, view)
            if "browser" in parts:
                await _show_browser_cpu(browser, client, url, bodies)
            await browser.close()
        if "ingest" in parts:
            await _show_cost_of_pages(running, client, bodies)


async def _accounted(client: httpx.AsyncClient) -> None:
    """Wait until the day is accounted for, so that answers are as fast as they become."""
    took_s = [float("inf")]
    ends = time.monotonic() + 300
    while time.monotonic() < ends:
        start = time.monotonic()
        answer = await client.get("/v1/analytics/fleet?limit=1")
        if answer.is_success:
            took_s.append(time.monotonic() - start)
            if took_s[-1] > 0.9 * took_s[-2]:
                break
        await asyncio.sleep(15)
    print(f"GET /v1/analytics/fleet, 24 h of {DEVICES:,} devices: {min(took_s) * 1000:.0f} ms")


async def _idle(running: Running) -> None:
    """Wait until the service has evaluated the day, and rests."""
    ends = time.monotonic() + 300
    while await _cpu_cores(running, lambda: asyncio.sleep(5)) > IDLE_CORES:
        if time.monotonic() > ends:
            print("the service did not come to rest within five minutes")
            return


async def _show_loads(browser: Browser, url: str, view: str) -> None:
    loads = [await _load(browser, f"{url}/#{view}") for _ in range(LOADS)]
    for name in loads[0]:
        values = sorted(each[name] for each in loads)
        print(f"{view}, {name}: {median(values):.0f} ms ({values[0]:.0f}–{values[-1]:.0f})")


async def _load(browser: Browser, address: str) -> dict[str, float]:
    """Return milliseconds from the request of a page, with nothing cached."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    before_s = _chromium_cpu_s()
    await page.goto(address, wait_until="commit")
    await page.wait_for_selector(".recency-bar i, tbody tr, .view .state", timeout=60_000)
    usable: float = await page.evaluate("performance.now()")
    await expect(page.locator("[aria-busy=true], .skeleton")).to_have_count(0, timeout=60_000)
    whole: float = await page.evaluate("performance.now()")
    paint: float = await page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )
    cpu = (_chromium_cpu_s() - before_s) * 1000
    await context.close()
    return {
        "first paint": paint,
        "usable": usable,
        "every figure": whole,
        "CPU of the browser": cpu,
    }


async def _at_one_hertz(
    client: httpx.AsyncClient, bodies: list[bytes], turn_s: float = TURN_S
) -> None:
    """Have each device report once a second for a turn, as far as the machine keeps up."""
    ends = time.monotonic() + turn_s
    while (now := time.monotonic()) < ends:
        await send(client, bodies, datetime.now(UTC))
        await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - now)))


async def _show_browser_cpu(
    browser: Browser, client: httpx.AsyncClient, url: str, bodies: list[bytes]
) -> None:
    sampled = await _browser_cpu(browser, url, lambda: _at_one_hertz(client, bodies))
    print(f"browser, {DEVICES:,} readings/s ingested, states sampled: {sampled:.0%} of a core")
    async with synthetic_stream(url) as proxied:
        for view in VIEWS:
            every = await _browser_cpu(browser, f"{proxied}/#{view}", lambda: asyncio.sleep(TURN_S))
            print(f"browser, {view}, {DEVICES:,} states/s streamed: {every:.0%} of a core")


async def _browser_cpu(
    browser: Browser, address: str, work: Callable[[], Awaitable[object]]
) -> float:
    """Return the CPU of all processes of the browser during some work, in cores."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await page.goto(address)
    await asyncio.sleep(3)
    before, start = _chromium_cpu_s(), time.monotonic()
    await work()
    used = (_chromium_cpu_s() - before) / (time.monotonic() - start)
    await context.close()
    return used


def _chromium_cpu_s() -> float:
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "chrom" in process.name():
                times = process.cpu_times()
                total += times.user + times.system
    return total


async def _show_cost_of_pages(
    running: Running, client: httpx.AsyncClient, bodies: list[bytes]
) -> None:
    """Show what open pages take of service and database beside some ingest.

    In CPU time: unlike rates, it depends little on what else is running. docs/performance.md has
    the CPU that ingest at full speed takes.
    """
    alone = await _cpu_cores(running, lambda: _at_one_hertz(client, bodies[:1], MINUTE_S))
    async with pages_open(running.url) as stats:
        beside = await _cpu_cores(running, lambda: _at_one_hertz(client, bodies[:1], MINUTE_S))
    each_s = stats["bytes"] / MINUTE_S / PAGES
    print(f"{PAGES} open pages take {beside - alone:.3f} cores, and each gets {each_s:,.0f} B/s")


async def _cpu_cores(running: Running, work: Callable[[], Awaitable[object]]) -> float:
    """Return the CPU that service and database take during some work, in cores."""
    before, start = running.cpu_s(), time.monotonic()
    await work()
    return (running.cpu_s() - before) / (time.monotonic() - start)


if __name__ == "__main__":
    main()
