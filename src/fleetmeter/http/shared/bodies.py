"""Limits the bodies of routes other than ingest, which are read as a whole: all of them together.

They have a budget of their own, so that they cannot keep readings out.
"""

import gc

from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_400_BAD_REQUEST
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.types.asgi_types import HTTPReceiveMessage, WebSocketReceiveMessage

from fleetmeter.byte_budget import ByteBudget
from fleetmeter.errors import BodyTooLargeError, MalformedBodyError

MOST_BODY_BYTES = 2 << 20
"""Largest body of a request other than ingest, which is read as a whole and decoded at once."""

MOST_BODIES_BYTES = 8 * MOST_BODY_BYTES
"""Bytes of all such bodies in progress, per process."""

MOST_PIECES = 100_000
"""Brackets and commas of such a body: what decoding it takes time and memory for."""

MOST_REFUSED_BYTES = 4 * MOST_BODY_BYTES
"""Bytes of refused bodies that may still be in memory."""

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Bodies(ByteBudget):
    """The bodies of a process: those in progress, and those refused that may be in memory yet.

    The framework's errors about values know each other in a circle, with the body and all that it
    was decoded to. They are few objects, so the garbage collector would not come for long, and some
    hundred bodies would fill the memory.
    """

    def __init__(self) -> None:
        super().__init__(MOST_BODIES_BYTES)
        self._refused_bytes = 0

    def refused(self, size: int) -> None:
        """Count a body that was refused; collect garbage when there may be too much of it."""
        self._refused_bytes += size
        if self._refused_bytes > MOST_REFUSED_BYTES:
            self._refused_bytes = 0
            gc.collect()


def bounded_bodies(app: ASGIApp) -> ASGIApp:
    """Wrap a route: what it reads of a body counts until it has answered.

    Reading raises QueueFullError, BodyTooLargeError for too many pieces, and MalformedBodyError
    when the client goes away.
    """

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") not in _WITH_BODY or not isinstance(
            scope["route_handler"], HTTPRouteHandler
        ):
            await app(scope, receive, send)
            return
        bodies: Bodies = scope["litestar_app"].state.bodies
        size = pieces = 0
        is_refused = False
        with bodies.counted() as count:

            async def receiving() -> HTTPReceiveMessage | WebSocketReceiveMessage:
                nonlocal size, pieces
                message = await receive()
                if message["type"] == "http.disconnect":  # the framework would call that a 500
                    raise MalformedBodyError("the connection was closed amid the body")
                if message["type"] == "http.request":
                    body = message["body"]
                    size += len(body)
                    count(len(body))
                    pieces += sum(map(body.count, (b"[", b"{", b",")))
                    if pieces > MOST_PIECES:
                        raise BodyTooLargeError(
                            f"the body has more than {MOST_PIECES:,} brackets and commas"
                        )
                return message

            async def sending(message: Message) -> None:
                nonlocal is_refused
                if message["type"] == "http.response.start":
                    is_refused = message["status"] >= HTTP_400_BAD_REQUEST
                await send(message)

            await app(scope, receiving, sending)
        if is_refused:
            bodies.refused(size)

    return route
