"""Lets the event loop drive a client of paho: it says when there is something to read or write."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

from paho.mqtt import client as paho

_LOOK_S = 5.0
"""How often it is looked whether the broker is still there, seconds."""

_AT_A_TIME = 200
"""Messages that are read before others have their turn."""


class Driver:
    """Drives a client whose connection was opened in a thread."""

    def __init__(
        self, client: paho.Client, may_read: Callable[[], bool], received: Callable[[], int]
    ) -> None:
        """Prepare it; reading stops unless it `may_read`; `received` counts messages."""
        self._client = client
        self._may_read = may_read
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._is_ours = False
        """Whether the event loop has taken over."""
        self._socket: socket.socket | None = None
        self._reads = False
        self._look_again: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[str] = self._loop.create_future()
        """Why the connection is over."""
        client.on_socket_register_write = lambda *_: self._want_write(True)
        client.on_socket_unregister_write = lambda *_: self._want_write(False)
        client.on_socket_close = lambda *_: self._forget_socket()
        client.on_disconnect = self._on_disconnect

    @property
    def is_open(self) -> bool:
        """Return whether there is a connection."""
        return self._socket is not None

    def take_over(self) -> bool:
        """Drive the client from now on; return whether its connection is still there."""
        self._socket = cast(socket.socket | None, self._client.socket())
        if self._socket is None:
            return False
        self._is_ours = True
        self.read_on()
        self._want_write(self._client.want_write())
        self._look_again = self._loop.call_later(_LOOK_S, self._look)
        return True

    def read_on(self) -> None:
        """Read again, if that was stopped."""
        if self._socket is not None and not self._reads:
            self._reads = True
            self._loop.add_reader(self._socket, self._read)
            self._loop.call_soon(self._read)  # what TLS has read already shows on no socket

    def stop_reading(self) -> None:
        """Read no more, until `read_on`."""
        if self._socket is not None and self._reads:
            self._loop.remove_reader(self._socket)
            self._reads = False

    def cut(self, why: str) -> None:
        """Close the connection without a word."""
        if (connection := self._socket) is not None:
            self._forget_socket()
            connection.close()
        self._end(why)

    def _read(self) -> None:
        for _ in range(_AT_A_TIME):
            if self._socket is None or not self._reads:
                return
            if not self._may_read():
                self.stop_reading()
                return
            before = self._received()
            self._guarded(self._client.loop_read)
            if self._received() == before:  # nothing more that is complete
                break
        connection = self._socket
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            self._loop.call_soon(self._read)

    def _look(self) -> None:
        if self._socket is not None:
            self._look_again = self._loop.call_later(_LOOK_S, self._look)
            self._guarded(self._client.loop_misc)

    def _want_write(self, wanted: bool) -> None:
        if not self._is_ours or self._socket is None:
            return
        if wanted:
            self._loop.add_writer(self._socket, self._guarded, self._client.loop_write)
        else:
            self._loop.remove_writer(self._socket)

    def _guarded(self, work: Callable[[], Any]) -> None:
        """Do a piece of work; what the broker sends against the protocol ends the connection."""
        try:
            work()
        except Exception as error:
            self.cut(f"the protocol was broken: {error!r}")

    def _forget_socket(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            self._loop.remove_reader(connection)
            self._loop.remove_writer(connection)
        if self._look_again is not None:
            self._look_again.cancel()

    def _on_disconnect(
        self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if self._is_ours:
            self._end(str(reason))

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)
