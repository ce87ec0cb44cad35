"""Limits the bodies of routes other than ingest, which are read as a whole: all of them together.

They have a budget of their own, so that they cannot keep readings out.
"""

from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.types.asgi_types import HTTPReceiveMessage, WebSocketReceiveMessage

from fleetmeter.byte_budget import ByteBudget

MOST_BODY_BYTES = 2 << 20
"""Largest body of a request other than ingest, which is read as a whole and decoded at once."""

MOST_BODIES_BYTES = 8 * MOST_BODY_BYTES
"""Bytes of all such bodies in progress, per process."""

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def bounded_bodies(app: ASGIApp) -> ASGIApp:
    """Wrap a route: what it reads of a body counts until it has answered. Raises QueueFullError."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") not in _WITH_BODY or not isinstance(
            scope["route_handler"], HTTPRouteHandler
        ):
            await app(scope, receive, send)
            return
        budget: ByteBudget = scope["litestar_app"].state.bodies
        with budget.counted() as count:

            async def receiving() -> HTTPReceiveMessage | WebSocketReceiveMessage:
                message = await receive()
                if message["type"] == "http.request":
                    count(len(message["body"]))
                return message

            await app(scope, receiving, send)

    return route
