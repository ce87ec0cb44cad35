"""HTTP as bytes, for what no client library sends."""

import json
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class RawAnswer(NamedTuple):
    """An answer, and whether the connection was closed after it."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


def connect(base_url: str) -> socket.socket:
    """A connection that is given up after twenty seconds."""
    url = urlsplit(base_url)
    return socket.create_connection((url.hostname, url.port), timeout=20)


def send_on(connection: socket.socket, pieces: Iterable[bytes]) -> int:
    """Send until the other side has had enough; how much was sent."""
    sent = 0
    with suppress(ConnectionError):
        for piece in pieces:
            connection.sendall(piece)
            sent += len(piece)
    return sent


def last_answer(connection: socket.socket) -> RawAnswer | None:
    """What has come when the service closes the connection; None for nothing."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    if not received:
        return None
    return parsed(received)


def parsed(received: bytes) -> RawAnswer:
    """An answer as bytes."""
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return RawAnswer(int(status.split()[1]), headers, body)


def asked(base_url: str, *pieces: bytes) -> RawAnswer | None:
    """Send pieces on a connection of their own; what the service says before it closes it."""
    with connect(base_url) as connection:
        send_on(connection, pieces)
        return last_answer(connection)
