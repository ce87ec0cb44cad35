"""Counts requests by route and status, and gives each its id and its span."""

from functools import lru_cache
from time import perf_counter
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fleetmeter.http.shared.request_ids import HEADER, begin_request
from fleetmeter.metrics import REQUEST_SECONDS, REQUESTS
from fleetmeter.traces import name_route, request_span, show_answer

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

_CLIENT_GONE = 499
"""Status of requests that were not answered, as nginx has it."""

_SERVER_ERROR = 500
"""The least status of an answer for which the service is to blame."""


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

    found: Any = scope
    method = found.get("method")
    method = method if method in _METHODS else "other"
    with request_span(method, found["headers"]) as span:
        try:
            await app(scope, receive, sending)
        finally:
            route = found.get("path_template", "other")
            _requests(method, route, status).inc()
            _seconds(route).observe(perf_counter() - began)
            if span is not None:
                name_route(span, method, route)
                answered = status if status != _CLIENT_GONE else None
                show_answer(span, answered, failed=status >= _SERVER_ERROR)
