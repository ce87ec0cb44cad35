"""A lean HTTP/1.1 client: the load shares its machine with the service and must cost little."""

import asyncio
from types import TracebackType
from typing import Self

import httptools
import msgspec


class Answer(msgspec.Struct):
    """Of a request that was answered."""

    status: int
    body: bytes


class Client(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

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
