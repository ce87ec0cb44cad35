"""Sends HTTP/1.1 requests cheaply: the load shares its machine with the service."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from time import perf_counter
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httptools
import msgspec

from fleetmeter.errors import FleetMeterError


class Answer(msgspec.Struct):
    """Holds the answer to a request."""

    status: int
    body: bytes


class Client(asyncio.Protocol):
    """Keeps one connection alive, with one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    async def send(self, wire: bytes) -> Answer:
        """Send a whole request and wait for its answer. Raises OSError when there is none."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            self._transport, _ = await loop.create_connection(lambda: self, self._host, self._port)
        self._answer = loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._transport.write(wire)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(self._parser.get_status_code(), self._body))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(OSError("the connection was closed"))


def authorization(key: str | None = None) -> str:
    """Return the header line with a key, which may be empty; by default, that of FLEETMETER_KEY."""
    if key is None:
        key = os.environ.get("FLEETMETER_KEY")
    return f"Authorization: Bearer {key}\r\n" if key else ""


def client_of(target: str) -> Client:
    """Connect to a server at host:port."""
    host, _, port = target.rpartition(":")
    return Client(host, int(port))


def request(method: str, path: str, document: Any = None) -> bytes:
    """Build a whole request, with a document as JSON."""
    body = b"" if document is None else msgspec.json.encode(document)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{authorization()}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def question(path: str, window: tuple[datetime, datetime], **parameters: str) -> bytes:
    """Build a request that asks about a window of time."""
    start, end = (f"{edge.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for edge in window)
    return request("GET", f"/v1/{path}?{urlencode({'from': start, 'to': end} | parameters)}")


async def ask(client: Client, wire: bytes) -> bytes:
    """Return the body of an answer. Raises FleetMeterError unless its status is 200."""
    answer = await client.send(wire)
    if answer.status != 200:
        said = answer.body.decode(errors="replace")
        raise FleetMeterError(f"{_line_of(wire)}: {answer.status}, {said}")
    return answer.body


def _line_of(wire: bytes) -> str:
    return wire.partition(b"\r\n")[0].decode()


async def timed_ms(client: Client, wire: bytes) -> float:
    """Return how long an answer takes, ms. Raises FleetMeterError if it says nothing."""
    started = perf_counter()
    body = await ask(client, wire)
    elapsed_ms = (perf_counter() - started) * 1000
    said = msgspec.json.decode(body, type=_Said)
    if not said.items and (said.quality is None or said.quality.status == "no_data"):
        raise FleetMeterError(f"{_line_of(wire)}: the answer is empty")
    return elapsed_ms


class _Quality(msgspec.Struct):
    status: str


class _Said(msgspec.Struct):
    """Reads whether an answer says anything: a page has items, a summary a quality."""

    items: list[msgspec.Raw] = []
    quality: _Quality | None = None


async def ask_all(target: str, wires: Iterable[bytes], connections: int = 8) -> None:
    """Send many requests, in any order. Raises FleetMeterError unless all are answered with 200."""
    left: Iterator[bytes] = iter(wires)

    async def some() -> None:
        async with client_of(target) as client:
            for wire in left:
                await ask(client, wire)

    await asyncio.gather(*(some() for _ in range(connections)))
