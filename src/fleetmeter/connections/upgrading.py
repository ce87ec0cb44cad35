"""Makes a WebSocket of a connection when the application that answers its request asks for it.

uvicorn would hand the connection to a WebSocket protocol before anybody has looked at the request;
here, the request is one like any other until it is answered with 101.
"""

from collections.abc import Iterable

from fleetmeter.connections.handshake import UPGRADE
from fleetmeter.connections.last_answer import switching
from fleetmeter.connections.leaving import LeavingProtocol
from fleetmeter.connections.limits import Connection, Connections
from fleetmeter.connections.websocket import Listener, WebSocket


class UpgradingProtocol(LeavingProtocol, Connection):
    """HTTP/1.1 on one connection, until it is one of WebSocket."""

    address = ""
    is_proxy = False
    others: Connections

    sent_ahead = b""
    """What came behind a request for another protocol."""

    def offer_upgrade(self) -> None:
        """Let whoever answers the request that was parsed make a WebSocket of its connection."""
        if self.parser.should_upgrade():
            self.scope["extensions"] = {UPGRADE: self._upgrade}  # type: ignore[dict-item]

    def _upgrade(self, headers: Iterable[tuple[bytes, bytes]], listener: Listener) -> None:
        """Answer 101, and let a WebSocket take the connection over. Raises NoRoomError."""
        self.others.check_room_to_last()
        cycle = self._answered
        assert cycle is not None  # noqa: S101 - its application calls this
        if cycle.disconnected or self.transport.is_closing():
            listener.lost()
            return
        # for uvicorn, the answer is over, and nobody is there for more of it
        cycle.response_started = cycle.response_complete = cycle.disconnected = True
        self.transport.write(switching((*self.server_state.default_headers, *headers)))
        socket = WebSocket(
            self.transport, listener, self.others, self.connections, self.address, self.is_proxy
        )
        self.others.hand_over(self, socket)
        self.connections.discard(self)
        self.transport.set_protocol(socket)
        self.flow.resume_reading()
        socket.begin(self.sent_ahead)
