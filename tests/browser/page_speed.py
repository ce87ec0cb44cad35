"""Measures the page: how soon it shows, what it costs the browser, and what open pages cost ingest.

    make page-speed

It starts a service with 10,000 devices and a day of readings on an embedded PostgreSQL in a
temporary folder, and prints a table. docs/performance.md has the figures. Everything shares this
machine, the browser too: run it while nothing else does, and read ratios rather than rates.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import msgspec
import psutil
from playwright.async_api import Browser, async_playwright

from tests.conftest import free_port
from tests.support.browser import ARGUMENTS
from tests.support.chromium import NO_CHROMIUM, chromium

DEVICES = 10_000
HISTORY = timedelta(hours=24)
EVERY = timedelta(minutes=15)
LOADS = 5
"""Loads of the page, each in a new browser context; the table has their medians."""

PAGES = 200
TURN_S = 20.0
ROUNDS = 3
BATCH = 2500

REQUESTS: dict[str, float] = {
    "/v1/analytics/now": 10.0,
    "/v1/analytics/fleet?from={from}&to={to}&limit=1": 60.0,
    "/v1/analytics/supply?from={from}&to={to}&limit=1000": 60.0,
    "/v1/analytics/fleet/energy?from={from}&to={to}&bucket=hour&limit=1000": 60.0,
}
"""What an open page asks for, and how often, seconds (views/now.js)."""

_TIME = b"2026-01-01T00:00:00.000Z"
"""What stands for the time in a body, of the same length."""


def main() -> None:
    """Measure everything, and print it."""
    executable = chromium()
    if executable is None:
        sys.exit(NO_CHROMIUM)
    with tempfile.TemporaryDirectory(prefix="fleetmeter-page-") as folder, service(folder) as url:
        asyncio.run(measure(url, executable))


@contextmanager
def service(folder: str) -> Iterator[str]:
    """Run a service; its URL."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    environ = {
        "FLEETMETER_PORT": str(port),
        "FLEETMETER_DATA_DIR": str(Path(folder) / "data"),
        "FLEETMETER_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "fleetmeter", "serve"]
    with subprocess.Popen(command, env=os.environ | environ) as process:
        try:
            deadline = time.monotonic() + 120
            while not _is_ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit("the service did not start")
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _is_ready(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/health/ready").is_success
    return False


async def measure(url: str, executable: str) -> None:
    """Measure one thing after another."""
    bodies = list(_bodies())
    began = datetime.now(UTC) - HISTORY
    for step in range(1, int(HISTORY / EVERY) + 1):
        await _send(url, bodies, began + step * EVERY)
    await _accounted(url)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        for view in ("/", "/vehicles"):
            await _show_loads(browser, url, view)
        sampled = await _browser_cpu(browser, url, lambda: _at_one_hertz(url, bodies))
        print(f"browser CPU, 10,000 readings/s ingested, states sampled: {sampled:.0%} of a core")
        async with synthetic_stream(url) as proxied:
            for view in ("/", "/vehicles"):
                every = await _browser_cpu(
                    browser, f"{proxied}/#{view}", lambda: asyncio.sleep(TURN_S)
                )
                print(f"browser CPU, {view}, 10,000 states/s in the stream: {every:.0%} of a core")
        await browser.close()
    await _show_cost_of_pages(url, bodies)


def _bodies() -> Iterator[bytes]:
    """Yield MessagePack bodies, one reading of every device in all, with `_TIME` for the time."""
    half = DEVICES // 2
    at = _TIME.decode()
    readings = [
        *(
            {"vehicleId": f"EV-{n}", "soc": 50, "kwhDeliveredDc": 0.1, "timestamp": at}
            for n in range(half)
        ),
        *({"meterId": f"MTR-{n}", "kwhConsumedAc": 0.11, "timestamp": at} for n in range(half)),
    ]
    for first in range(0, DEVICES, BATCH):
        yield msgspec.msgpack.encode(readings[first : first + BATCH])


async def _send(url: str, bodies: list[bytes], at: datetime) -> None:
    """Send a reading of each device."""
    text = at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3].encode() + b"Z"
    async with httpx.AsyncClient(timeout=60) as client:
        for body in bodies:
            answer = await client.post(
                f"{url}/v1/ingest",
                content=body.replace(_TIME, text),
                headers={"Content-Type": "application/msgpack"},
            )
            answer.raise_for_status()


async def _accounted(url: str) -> None:
    """Wait until answers about the day are as fast as they become."""
    async with httpx.AsyncClient(timeout=120) as client:
        before = float("inf")
        for _ in range(30):
            start = time.monotonic()
            await client.get(f"{url}/v1/analytics/fleet?limit=1")
            took = time.monotonic() - start
            if took > 0.9 * before:
                break
            before = took
            await asyncio.sleep(10)
    print(f"GET /v1/analytics/fleet, 24 h of 10,000 devices: {took * 1000:.0f} ms")


async def _show_loads(browser: Browser, url: str, view: str) -> None:
    loads = [await _load(browser, f"{url}/#{view}") for _ in range(LOADS)]
    for name in loads[0]:
        values = sorted(each[name] for each in loads)
        print(f"{view}, {name}: {median(values):.0f} ms ({values[0]:.0f}–{values[-1]:.0f})")


async def _load(browser: Browser, address: str) -> dict[str, float]:
    """Return milliseconds from the request of a page, with nothing cached."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await page.goto(address, wait_until="commit")
    await page.wait_for_selector(".recency-bar i, tbody tr, .view .state", timeout=60_000)
    usable: float = await page.evaluate("performance.now()")
    await page.wait_for_function(
        "!document.querySelector('[aria-busy=true], .skeleton')", timeout=60_000
    )
    whole: float = await page.evaluate("performance.now()")
    paint: float = await page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )
    await context.close()
    return {"first paint": paint, "usable": usable, "every figure": whole}


async def _at_one_hertz(url: str, bodies: list[bytes]) -> None:
    """Have each device report once a second for a turn, as far as the machine keeps up."""
    ends = time.monotonic() + TURN_S
    while (now := time.monotonic()) < ends:
        await _send(url, bodies, datetime.now(UTC))
        await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - now)))


async def _browser_cpu(
    browser: Browser, address: str, work: Callable[[], Awaitable[None]]
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


@asynccontextmanager
async def synthetic_stream(url: str) -> AsyncIterator[str]:
    """Serve the same with a stream of its own, in which every device changes each second."""
    target = url.rpartition(":")[2]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /v1/stream"):
                await _stream(writer)
            else:
                from_service, to_service = await asyncio.open_connection("127.0.0.1", int(target))
                to_service.write(head.replace(b"keep-alive", b"close"))
                while piece := await from_service.read(1 << 16):
                    writer.write(piece)
                    await writer.drain()
                to_service.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _stream(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    steps = 20
    while True:
        for step in range(steps):
            at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            some = range(step, DEVICES, steps)
            writer.write(b"".join(_event(number, at) for number in some))
            await writer.drain()
            await asyncio.sleep(1 / steps)


def _event(number: int, at: str) -> bytes:
    kind, key, energy = (
        ("vehicle", "vehicleId", "kwhDeliveredDc")
        if number % 2
        else ("meter", "meterId", "kwhConsumedAc")
    )
    name = f"{'EV' if number % 2 else 'MTR'}-{number // 2}"
    state = f'{{"{key}":"{name}","soc":50,"{energy}":0.1,"timestamp":"{at}","lastSeen":"{at}"}}'
    return f"event: {kind}\ndata: {state}\n\n".encode()


async def _show_cost_of_pages(url: str, bodies: list[bytes]) -> None:
    """Compare the rate of ingest with and without open pages, in turns."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS):
        rates[False].append(await _ingest_rate(url, bodies))
        async with pages_open(url) as stats:
            rates[True].append(await _ingest_rate(url, bodies))
    alone, beside = (median(rates[with_pages]) for with_pages in (False, True))
    for name, each in (("alone", rates[False]), (f"beside {PAGES} pages", rates[True])):
        print(f"ingest {name}: {median(each):,.0f} readings/s ({min(each):,.0f}–{max(each):,.0f})")
    each_s = stats["bytes"] / TURN_S / PAGES
    print(f"{PAGES} open pages cost {1 - beside / alone:.1%} of ingest; each got {each_s:,.0f} B/s")


async def _ingest_rate(url: str, bodies: list[bytes]) -> float:
    """Return readings stored per second, as fast as answers come."""
    stored = 0
    start = time.monotonic()
    at = iter(datetime.now(UTC) + timedelta(milliseconds=n) for n in range(10**9))

    async def sender(mine: list[bytes]) -> None:
        nonlocal stored
        while time.monotonic() - start < TURN_S:
            await _send(url, mine, next(at))
            stored += BATCH * len(mine)

    await asyncio.gather(*(sender(bodies[n::SENDERS] or bodies) for n in range(SENDERS)))
    return stored / (time.monotonic() - start)


@asynccontextmanager
async def pages_open(url: str) -> AsyncIterator[dict[str, int]]:
    """Keep what 200 open pages keep: their streams, and the requests that they repeat."""
    stats = {"bytes": 0}
    host, port = url.removeprefix("http://").split(":")

    async def listen() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        while piece := await reader.read(1 << 16):
            stats["bytes"] += len(piece)

    async def ask(client: httpx.AsyncClient, path: str, every_s: float, first_s: float) -> None:
        await asyncio.sleep(first_s)
        while True:
            to = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
            edges: dict[str, Any] = {"from": _text(to - HISTORY), "to": _text(to)}
            await client.get(url + path.format_map(edges), headers={"Cache-Control": "max-age=15"})
            await asyncio.sleep(every_s)

    limits = httpx.Limits(max_connections=PAGES)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        tasks = [asyncio.create_task(listen()) for _ in range(PAGES)]
        for path, every_s in REQUESTS.items():
            firsts = (every_s * n / PAGES for n in range(PAGES))
            tasks += [asyncio.create_task(ask(client, path, every_s, first)) for first in firsts]
        await asyncio.sleep(2)
        stats["bytes"] = 0
        yield stats
        failed = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if failed:
            print(f"{len(failed)} of the pages' connections ended: {failed[0]}")


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    main()
