"""Counts requests by route and status, and gives each its id."""

from functools import lru_cache
from time import perf_counter
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fleetmeter.http.shared.request_ids import HEADER, begin_request
from fleetmeter.metrics import REQUEST_SECONDS, REQUESTS

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

_CLIENT_GONE = 499
"""Status of requests that were not answered, as nginx has it."""


_requests = lru_cache(4096)(REQUESTS.labels)
_seconds = lru_cache(1024)(REQUEST_SECONDS.labels)
"""Finding a metric by its labels takes longer than counting does."""


async def counted(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let an application answer a request with its id, and count it by its route and status."""
    began = perf_counter()
    status = _CLIENT_GONE
    id_header = (HEADER, begin_request(scope))

    async def sending(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            message["headers"] = [*message["headers"], id_header]
        await send(message)

    try:
        await app(scope, receive, sending)
    finally:
        found: Any = scope
        route = found.get("path_template", "other")
        method = found.get("method")
        _requests(method if method in _METHODS else "other", route, status).inc()
        _seconds(route).observe(perf_counter() - began)
