"""Sends HTTP/1.1 requests cheaply: the load shares its machine with the service."""

import asyncio
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

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


def client_of(target: str) -> Client:
    """Connect to a server at host:port."""
    host, _, port = target.rpartition(":")
    return Client(host, int(port))


def request(method: str, path: str, document: Any = None) -> bytes:
    """Build a whole request, with a document as JSON."""
    body = b"" if document is None else msgspec.json.encode(document)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(client: Client, wire: bytes) -> bytes:
    """Return the body of an answer. Raises FleetMeterError unless its status is 200."""
    answer = await client.send(wire)
    if answer.status != 200:
        line = wire.partition(b"\r\n")[0].decode()
        raise FleetMeterError(f"{line}: {answer.status}, {answer.body.decode(errors='replace')}")
    return answer.body


async def ask_all(target: str, wires: Iterable[bytes], connections: int = 8) -> None:
    """Send many requests, in any order. Raises FleetMeterError unless all are answered with 200."""
    left: Iterator[bytes] = iter(wires)

    async def some() -> None:
        async with client_of(target) as client:
            for wire in left:
                await ask(client, wire)

    await asyncio.gather(*(some() for _ in range(connections)))
