"""What the speed of the page is measured with: a service, its devices, a stream, and open pages."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import psutil

from tests.conftest import free_port

DEVICES = 10_000
DAY = timedelta(hours=24)
PAGES = 200
BATCH = 2500


class Repeated(NamedTuple):
    """A request that an open page repeats."""

    path: str
    every_s: float
    max_age_s: int
    """How old a shared answer may be, seconds."""


_WINDOW = "from={from}&to={to}"

REQUESTS = (
    Repeated("/v1/analytics/now", 10.0, 10),
    Repeated(f"/v1/analytics/fleet?{_WINDOW}&limit=1", 60.0, 60),
    Repeated(f"/v1/analytics/supply?{_WINDOW}&limit=1000", 60.0, 60),
    Repeated("/v1/analytics/fleet/energy?from={hour}&to={to}&bucket=hour&limit=1000", 60.0, 60),
)
"""What an open page asks for (views/now.js)."""

_TIME = b"2026-01-01T00:00:00.000Z"
"""What stands for the time in a body, of the same length."""


class Running(NamedTuple):
    """A service on an embedded PostgreSQL."""

    url: str
    pid: int
    data: Path

    def cpu_s(self) -> float:
        """The CPU time that the service and its database have taken, seconds."""
        postmaster = int((self.data / "postgresql" / "postmaster.pid").read_text().split()[0])
        total = 0.0
        for pid in (self.pid, postmaster):
            process = psutil.Process(pid)
            times = process.cpu_times()
            total += times.user + times.system
            if pid == postmaster:  # of connections that have ended, too
                total += times.children_user + times.children_system
                for child in process.children():
                    with suppress(psutil.Error):
                        total += sum(child.cpu_times()[:2])
        return total


@contextmanager
def service(folder: str) -> Iterator[Running]:
    """Run a service."""
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
            yield Running(url, process.pid, Path(folder) / "data")
        finally:
            process.terminate()
            process.wait(60)


def _is_ready(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/health/ready").is_success
    return False


def reading_bodies() -> Iterator[bytes]:
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


async def send(client: httpx.AsyncClient, bodies: list[bytes], at: datetime) -> None:
    """Send a reading of each device."""
    text = at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3].encode() + b"Z"
    for body in bodies:
        answer = await client.post(
            "/v1/ingest",
            content=body.replace(_TIME, text),
            headers={"Content-Type": "application/msgpack"},
        )
        answer.raise_for_status()


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

    async def ask(client: httpx.AsyncClient, request: Repeated, first_s: float) -> None:
        await asyncio.sleep(first_s)
        while True:
            to = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
            hour = (to - DAY).replace(minute=0)
            edges: dict[str, Any] = {"from": _text(to - DAY), "to": _text(to), "hour": _text(hour)}
            shared = {"Cache-Control": f"max-age={request.max_age_s}"}
            await client.get(url + request.path.format_map(edges), headers=shared)
            await asyncio.sleep(request.every_s)

    limits = httpx.Limits(max_connections=PAGES)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        tasks = [asyncio.create_task(listen()) for _ in range(PAGES)]
        for request in REQUESTS:
            firsts = (request.every_s * n / PAGES for n in range(PAGES))
            tasks += [asyncio.create_task(ask(client, request, first)) for first in firsts]
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
