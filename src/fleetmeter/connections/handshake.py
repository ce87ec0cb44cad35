"""The opening handshake of WebSocket (RFC 6455, 4.2), on a request that HTTP has parsed."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidUpgrade
from websockets.http11 import Request
from websockets.server import ServerProtocol

from fleetmeter.connections.websocket import Listener

UPGRADE = "fleetmeter.websocket"
"""Key of a request's extensions: what makes a WebSocket of its connection; see Upgrade."""

_NAME = b"sec-websocket-protocol"


class HandshakeError(Exception):
    """A request is no opening handshake; the text says what is wrong with it."""


class Handshake(NamedTuple):
    """What a client asks for."""

    accept: str
    """The answer to its Sec-WebSocket-Key."""

    subprotocols: Sequence[str]
    """What it offers, preferred first."""

    def headers(self, subprotocol: str | None) -> list[tuple[bytes, bytes]]:
        """Return the headers of the answer."""
        headers = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", self.accept.encode()),
        ]
        if subprotocol is not None:
            headers.append((_NAME, subprotocol.encode()))
        return headers


class Upgrade(Protocol):
    """Makes a WebSocket of the connection that a request came on."""

    def __call__(self, headers: Iterable[tuple[bytes, bytes]], listener: Listener) -> None:
        """Answer 101, and let somebody listen. Raises NoRoomError."""


def handshake_of(method: str, headers: Iterable[tuple[bytes, bytes]]) -> Handshake | None:
    """Return what a client asks for; None for a request that asks for no WebSocket.

    Raises HandshakeError.
    """
    given = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
    request = Request("/", given, method=method)
    try:
        accept, _, _ = ServerProtocol(extensions=None).process_request(request)
    except InvalidUpgrade:
        return None
    except InvalidHandshake as error:
        raise HandshakeError(str(error)) from None
    offered: list[Any] = given.get_all("Sec-WebSocket-Protocol")
    return Handshake(accept, [each.strip() for one in offered for each in one.split(",")])
