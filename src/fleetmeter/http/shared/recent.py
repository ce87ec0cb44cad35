"""Answers that were given moments ago, for requests that allow it.

A request with `Cache-Control: max-age=15` (RFC 9111, 5.2.1.1) may get what another with the same
reach was answered up to 15 seconds ago: many open pages then cost no more than one. Without the
header, every answer is computed.
"""

import asyncio
import re
import time
from collections import OrderedDict

import msgspec
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fleetmeter.access.reach import Reach
from fleetmeter.http.shared.principals import principal_of

LONGEST_S = 60.0
"""Answers are kept this long, seconds."""

_MOST_BYTES = 1024 * 1024
"""A longer answer is not kept."""

_MOST_BYTES_KEPT = 4 * _MOST_BYTES
"""Answers of a route that are kept at a time, with their questions; beyond that, the oldest are
forgotten."""

_OVERHEAD_BYTES = 1000
"""What an answer takes beside its body and question, bytes, about."""

_MAX_AGE = re.compile(rb"(?:^|,)\s*max-age=(\d{1,5})\s*(?:,|$)")

_Key = tuple[bytes, bytes, Reach]


class _Answer(msgspec.Struct, frozen=True):
    """A complete answer with status 200."""

    at_s: float
    headers: list[tuple[bytes, bytes]]
    body: bytes


class RecentAnswers:
    """Keeps the latest answers of the routes it is given to."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: OrderedDict[_Key, _Answer] = OrderedDict()
        self._size = 0
        self._asking: dict[_Key, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a recent answer if the request allows one, otherwise compute and keep it."""
        max_age_s = _max_age_s(scope)
        if max_age_s <= 0:
            await self._app(scope, receive, send)
            return
        key = (scope["raw_path"], scope["query_string"], principal_of(scope).reach)
        began_s = time.monotonic()
        if key in self._asking:
            await self._asking[key].wait()
        answer = self._kept.get(key)
        if answer is not None and began_s - answer.at_s <= max_age_s:
            await _send(answer, send)
            return
        self._asking.setdefault(key, asyncio.Event())
        try:
            await self._ask(key, scope, receive, send)
        finally:
            self._end_waiting(key)

    async def _ask(self, key: _Key, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and keep its answer once it is complete.

        Whoever waits for it has it before it is sent here, which may take long.
        """
        at_s = time.monotonic()
        start: Message | None = None
        headers: list[tuple[bytes, bytes]] = []
        is_started = False
        body = bytearray()

        async def keep(message: Message) -> None:
            nonlocal start, headers, is_started
            if message["type"] == "http.response.start" and message["status"] == HTTP_200_OK:
                start, headers = message, list(message["headers"])
                return
            if message["type"] == "http.response.body" and start is not None:
                if len(body) <= _MOST_BYTES:
                    body.extend(message["body"])
                if not message.get("more_body", False) and len(body) <= _MOST_BYTES:
                    self._keep(key, _Answer(at_s, headers, bytes(body)))
                    self._end_waiting(key)
                if not is_started:
                    is_started = True
                    await send(start)
            await send(message)

        await self._app(scope, receive, keep)

    def _end_waiting(self, key: _Key) -> None:
        if (answered := self._asking.pop(key, None)) is not None:
            answered.set()

    def _keep(self, key: _Key, answer: _Answer) -> None:
        """Remember an answer, and forget those that are too old or too many."""
        if (older := self._kept.pop(key, None)) is not None:
            self._size -= _size(key, older)
        self._kept[key] = answer
        self._size += _size(key, answer)
        while self._size > _MOST_BYTES_KEPT or self._oldest_s() < answer.at_s - LONGEST_S:
            self._size -= _size(*self._kept.popitem(last=False))

    def _oldest_s(self) -> float:
        return next(iter(self._kept.values())).at_s


def _size(key: _Key, answer: _Answer) -> int:
    """Return what an answer takes with its question, bytes, about."""
    path, query, _ = key
    return len(path) + len(query) + len(answer.body) + _OVERHEAD_BYTES


async def _send(answer: _Answer, send: Send) -> None:
    age = b"%d" % (time.monotonic() - answer.at_s)
    await send(
        {
            "type": "http.response.start",
            "status": HTTP_200_OK,
            "headers": [*answer.headers, (b"age", age)],
        }
    )
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def _max_age_s(scope: Scope) -> float:
    """Return how old an answer may be, seconds; 0 without a wish."""
    for name, value in scope["headers"]:
        if name == b"cache-control" and (found := _MAX_AGE.search(value.lower())):
            return min(LONGEST_S, int(found[1]))
    return 0.0
