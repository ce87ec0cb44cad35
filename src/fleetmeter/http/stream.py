"""GET /v1/stream: anomalies and live states as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.params import HeaderParameter, QueryParameter
from litestar.status_codes import HTTP_503_SERVICE_UNAVAILABLE
from litestar.types import ASGIApp, Receive, Scope, Send

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.http.shared.authentication import LASTS, SCOPE
from fleetmeter.http.shared.operations import described, response
from fleetmeter.http.shared.parameters import MAX_ID, takes
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.http.shared.streaming import send_pieces
from fleetmeter.notifications.stream.hub import Hub, Listener, Only, StreamFullError
from fleetmeter.notifications.stream.resume import Beginning, beginning, replay

KEEP_ALIVE_S = 15.0
"""Longest silence of a stream, seconds."""

STALL_S = 30.0
"""A client that takes nothing for this long is dropped, seconds."""

_RETRY_AFTER_S = 5

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would collect it
]

OnlyWhat = Annotated[
    Only | None,
    QueryParameter(
        name="only",
        required=False,
        description="Only anomalies or only live states; both by default.",
    ),
]
_SEEN = "The `id` of the last event seen: the stream starts with those after it."
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        required=False,
        description=f"{_SEEN} Browsers send it when they reconnect.",
    ),
]
LastEventIdParameter = Annotated[
    str | None,
    QueryParameter(
        name="lastEventId",
        required=False,
        description=f"{_SEEN} For clients that cannot set the header, which takes precedence.",
    ),
]

_EXAMPLE = """retry: 3000
id: 16

event: anomaly
id: 17
data: {"event":"opened","at":"2026-02-09T11:05:03Z","who":null,"note":null,"anomaly":{"id":9}}

event: vehicle
data: {"vehicleId":"EV-1","soc":72.0,"kwhDeliveredDc":1.2,"batteryTemp":36.0}
"""

_EVENTS = Schema(type=OpenAPIType.STRING, description="Events.", examples=[_EXAMPLE])
_RESPONSES = {
    "200": response(
        "The stream; it ends when the client disconnects or stops reading.",
        {"text/event-stream": _EVENTS},
    )
}


@get(
    "/v1/stream",
    summary="Stream anomalies and live states as server-sent events",
    tags=["Stream"],
    opt={SCOPE: "read", LASTS: True},
    operation_class=described(_RESPONSES),
    before_request=takes("only", "lastEventId"),
)
async def stream(
    hub: NamedDependency[Hub],
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    only: OnlyWhat = None,
    last_event_id: LastEventId = None,
    last_event_id_parameter: LastEventIdParameter = None,
) -> ASGIApp:
    """Sends `anomaly` for each event of an anomaly, once and in order, with the anomaly as it was.

    `vehicle` and `meter` are the live states of devices that reported, sampled. `missed` says that
    more than the 1,000 events that are sent again happened since Last-Event-ID: how many `events`
    are left out, and `since` which id. A client that reads too slowly is dropped and may resume. A
    key with a limited reach gets what is within it.
    """
    seen = _seen("Last-Event-ID", last_event_id)
    if seen is None:
        seen = _seen("lastEventId", last_event_id_parameter)
    return _Stream(hub, database, only, seen, reach)


def _seen(name: str, text: str | None) -> int | None:
    """Return the id of an event (0 comes before all), or None without one. Raises 400."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > MAX_ID:
        raise invalid_parameter(name, "is not an id of this stream")
    return int(text)


class _Stream:
    """The stream of one client. Raises problems before the first byte."""

    def __init__(
        self, hub: Hub, database: Database, only: Only | None, seen: int | None, reach: Reach
    ) -> None:
        self._hub = hub
        self._database = database
        self._only = only
        self._seen = seen
        self._reach = reach

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._hub.listening(self._only, self._reach) as listener:
                begins = await beginning(self._database, self._seen)
                if listener.over.done():
                    raise StreamFullError("this service is stopping")
                await send_pieces(
                    self._messages(listener, begins),
                    receive,
                    send,
                    name="a stream",
                    headers=_HEADERS,
                    stall_s=STALL_S,
                    over=listener.over,
                )
        except StreamFullError as error:
            raise problem(
                HTTP_503_SERVICE_UNAVAILABLE,
                f"{error}; try again later",
                kind="stream-full",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            ) from None

    async def _messages(self, listener: Listener, begins: Beginning) -> AsyncGenerator[bytes, None]:
        """Yield messages for the client, without end."""
        # a client that has the id from the first bytes on misses nothing when it connects again
        id_ = b"" if self._only == "states" else b"id: %d\n" % begins.after
        missed = b""
        if begins.missed and self._only != "states":
            gap = msgspec.json.encode({"events": begins.missed, "since": self._seen})
            missed = b"event: missed\ndata: %b\n" % gap
        yield b": what happens, as it happens\nretry: 3000\n%b%b\n" % (id_, missed)
        if self._only != "states":
            async with aclosing(replay(self._database, begins, self._reach)) as pages:
                async for page in pages:
                    yield page
        while True:
            messages = b": nothing new\n\n"
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_ALIVE_S):
                    messages = await listener.take(begins.until)
            if messages:
                yield messages
