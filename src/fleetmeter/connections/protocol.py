"""HTTP/1.1 as uvicorn speaks it, within limits that uvicorn does not have.

uvicorn on httptools bounds neither the size of a head nor the time that one may take, and answers
what it refuses in plain text. What is bounded here is refused with a problem document, which
arrives even at a client that is still sending.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
import uvicorn
from litestar.status_codes import (
    HTTP_400_BAD_REQUEST,
    HTTP_408_REQUEST_TIMEOUT,
    HTTP_414_REQUEST_URI_TOO_LONG,
    HTTP_431_REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTP_503_SERVICE_UNAVAILABLE,
)
from uvicorn.server import ServerState

from fleetmeter.addresses import network_of
from fleetmeter.connections.last_answer import last_answer
from fleetmeter.connections.limits import Connections
from fleetmeter.connections.problem_documents import Problem, problem_of
from fleetmeter.connections.together import TogetherTransport
from fleetmeter.connections.upgrading import UpgradingProtocol
from fleetmeter.settings import Settings

MAX_HEADERS = 100
"""Most headers of a request."""

MAX_URL_BYTES = 8192
"""Longest path with its query, bytes."""

MAX_PIPELINED = 32
"""Most requests that are sent ahead on one connection while another is being answered."""

_LINGER_S = 2.0
"""How long a refused client may read its answer and send on, seconds."""

_BODY_GRACE_S = 2.0
"""Routes that limit the time of bodies themselves answer first, seconds."""


class Config(uvicorn.Config):
    """A server's configuration with the limits of its connections."""

    def __init__(self, app: Callable[..., Any] | str, settings: Settings, **options: Any) -> None:
        super().__init__(app, http=BoundedProtocol, **options)
        self.connections = Connections(settings)


class BoundedProtocol(UpgradingProtocol):
    """One connection, with the requests that come in on it."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config, Config)  # noqa: S101 - it is what uses this class
        self.others = config.connections
        self._settings = config.connections.settings
        self._max_head = self._settings.max_head_bytes
        self.since = 0.0
        self._in_head = True
        self._head_fed = 0
        """Bytes that came in since the parser last made progress."""
        self._header_bytes = 0
        self._advanced = False
        self._refusal: Problem | None = None
        self._is_deaf = False
        """Whether what comes in is thrown away."""
        self._lingers = False

    # What the limits ask for

    @property
    def is_idle(self) -> bool:
        """Return whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def unsent_bytes(self) -> int:
        """Return how many bytes of answers wait to be sent."""
        return self.transport.get_write_buffer_size()

    def cut(self) -> None:
        """Drop the connection at once, with what has not been sent."""
        self.transport.abort()

    def enforce(self, now: float) -> None:
        """End what has lasted too long: a linger, the wait for a head, the wait for a body."""
        lasts_s = now - self.since
        if self._lingers:
            if lasts_s > _LINGER_S:
                self.cut()
        elif self.transport.is_closing():
            if lasts_s > self._settings.answer_timeout_s:
                self.cut()
        elif self.is_idle:
            if lasts_s > self._settings.head_timeout_s:
                if self._head_fed:
                    self._refuse(
                        problem_of(
                            HTTP_408_REQUEST_TIMEOUT,
                            "the request did not arrive within "
                            f"{self._settings.head_timeout_s:g} s",
                            kind="head-timeout",
                        )
                    )
                else:
                    self.transport.close()
        elif (
            self.cycle.more_body
            and not self.cycle.response_started
            and lasts_s > self._settings.body_timeout_s + _BODY_GRACE_S
        ):
            detail = f"the body did not arrive within {self._settings.body_timeout_s:g} s"
            self._refuse(problem_of(HTTP_408_REQUEST_TIMEOUT, detail))

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit the connection, or say that there is no room."""
        super().connection_made(TogetherTransport(transport, self.loop))
        self.since = self.loop.time()
        if self.client:
            self.address = network_of(self.client[0])
            self.is_proxy = self._settings.proxies.include(self.client[0])
        if (why := self.others.admit(self)) is not None:
            self._refuse(
                problem_of(HTTP_503_SERVICE_UNAVAILABLE, f"{why}; try again later", "overloaded")
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.others.release(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the client takes less than it is sent."""
        super().pause_writing()
        self.others.unsent(self)

    def resume_writing(self) -> None:
        """Note that the client has caught up."""
        super().resume_writing()
        self.others.sent(self)

    def data_received(self, data: bytes) -> None:
        """Parse what comes in, no more of a head at a time than is left of it."""
        if self._is_deaf:
            return
        rest = b""
        try:
            if self._in_head and len(data) > (left := self._max_head - self._head_fed):
                data, rest = data[:left], data[left:]
                self._feed(data)
                data, rest = rest, b""
            self._feed(data)
        except httptools.HttpParserUpgrade as upgrade:  # only a WebSocket can follow
            self._is_deaf = True
            self.cycle.keep_alive = False
            self.sent_ahead = data[upgrade.args[0] :] + rest
            self.flow.pause_reading()
        except httptools.HttpParserError:
            self._refuse(
                self._refusal
                or problem_of(
                    HTTP_400_BAD_REQUEST,
                    "this is not an HTTP/1.1 request",
                    kind="malformed-request",
                )
            )

    def _feed(self, data: bytes) -> None:
        self._advanced = False
        self.parser.feed_data(data)
        if self._advanced:
            self._head_fed = 0
        else:  # a piece of a head, or of what follows the chunks of a body
            self._head_fed += len(data)
            if self._head_fed >= self._max_head:
                self._head_too_large()

    # What the parser calls

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._stop(
                problem_of(
                    HTTP_414_REQUEST_URI_TOO_LONG,
                    f"path and query have more than {MAX_URL_BYTES} bytes",
                )
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those that follow a body are ignored."""
        if not self._in_head:
            return
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._max_head or len(self.headers) >= MAX_HEADERS:
            self._head_too_large()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Answer the request, or let it wait for its turn."""
        self._advanced = True
        self._in_head = False
        self._header_bytes = 0
        if len(self.tasks) >= self._settings.connections or len(self.pipeline) >= MAX_PIPELINED:
            self._stop(
                problem_of(
                    HTTP_503_SERVICE_UNAVAILABLE,
                    "too many requests are being answered; try again later",
                    "overloaded",
                )
            )
        if self.is_idle:
            self.since = self.loop.time()
        self.offer_upgrade()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._advanced = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._advanced = True
        self._in_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin with the next request, or wait for one; `enforce` limits that instead of a timer.

        What is left of a refused body is read and thrown away meanwhile, so that the answer
        arrives.
        """
        self.server_state.total_requests += 1
        self.since = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    # How a request is refused

    def _head_too_large(self) -> None:
        self._stop(
            problem_of(
                HTTP_431_REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the head of a request has at most {MAX_HEADERS} headers and "
                f"{self._max_head} bytes",
            )
        )

    def _stop(self, refusal: Problem) -> None:
        """Stop parsing, and refuse the request."""
        self._refusal = refusal
        raise httptools.HttpParserError(refusal.detail)

    def _refuse(self, refusal: Problem) -> None:
        """Answer with a problem document and close, once the client has had time to read it."""
        self.others.log.refused(refusal, self.address)
        self._is_deaf = True
        if not self.is_idle:
            if self.pipeline or self.cycle.response_started or not self.cycle.more_body:
                self._close_after_answers()
                return
            self.cycle.disconnected = True  # the body of this request is what was refused
            self.cycle.message_event.set()
        self.transport.write(last_answer(refusal, self.server_state.default_headers))
        self._linger()

    def _close_after_answers(self) -> None:
        """Answer the requests before the refused one, and close."""
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()  # the refused one itself
        last = self.pipeline[0][0] if self.pipeline else self.cycle
        last.keep_alive = False

    def _linger(self) -> None:
        """Read on for a moment: to close what sends on would destroy the answer on its way."""
        self._lingers = True
        self.since = self.loop.time()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
