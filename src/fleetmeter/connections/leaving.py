"""Tells a request that its client has left, also where others wait behind it on the connection.

uvicorn tells the request that was parsed last; the one being answered would go on, write to a
closed connection, and be logged as a defect.
"""

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class LeavingProtocol(HttpToolsProtocol):
    """HTTP/1.1 on one connection."""

    _answered: RequestResponseCycle | None = None
    """The request being answered, or the last one that was."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the request that is being answered."""
        if self._answered is not None:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)
