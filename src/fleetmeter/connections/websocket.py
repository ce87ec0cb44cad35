"""WebSocket (RFC 6455) on a connection that a request upgraded, within limits like those of HTTP.

A connection costs a few kB and no task: whoever listens is called with whole messages. Without
permessage-deflate, whose contexts would take ten times as much.
"""

import asyncio
import logging
from typing import Any, Protocol

from websockets.exceptions import InvalidState
from websockets.frames import BINARY, CONT, TEXT, Frame
from websockets.protocol import OPEN, SERVER
from websockets.protocol import Protocol as Frames

from fleetmeter.connections.limits import Connections

MAX_MESSAGE_BYTES = 1 << 20
"""Longest message, bytes."""

PING_S = 50.0
"""Silence after which a ping is sent, and then another one, seconds: proxies and routers forget
connections that have been silent for a minute."""

SILENCE_S = 660.0
"""Silence after which a connection is dropped, seconds. One that is dead is found earlier, by pings
that stay unacknowledged; this is for what acknowledges, and answers neither pings nor anything."""

_MOST_PIECES = 4096
"""Frames that a message may come in."""

_AT_A_TIME = 4096
"""Bytes whose frames are taken before others have their turn; a frame may have no more than 6."""

_LINGER_S = 2.0
"""How long the other side may take to close, seconds."""

_DATA = (TEXT, BINARY, CONT)

_library_log = logging.getLogger("websockets.server")
_library_log.setLevel(logging.WARNING)  # a line for each connection that closes says nothing

PROTOCOL_ERROR, _POLICY, _TRY_LATER = 1002, 1008, 1013
"""Codes of closing (RFC 6455, 7.4)."""


class Listener(Protocol):
    """Takes the messages of a connection."""

    def opened(self, socket: "WebSocket") -> None:
        """Begin; messages follow."""

    def received(self, message: bytes) -> None:
        """Take a message."""

    def stop(self) -> None:
        """Close the connection as soon as what was received is answered: the service ends."""

    def lost(self) -> None:
        """End: the connection is closed."""


class WebSocket(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_ahead",
        "_all",
        "_closing_since",
        "_frames",
        "_held_since",
        "_is_full",
        "_is_paused",
        "_is_scheduled",
        "_listener",
        "_loop",
        "_others",
        "_parts",
        "_parts_size",
        "_pings",
        "_transport",
        "address",
        "held",
        "is_proxy",
        "since",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        listener: Listener,
        others: Connections,
        everything: set[Any],
        address: str,
        is_proxy: bool,
    ) -> None:
        """Take over a connection; `everything` are the connections that a stop waits for."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._listener = listener
        self._others = others
        self._all = everything
        self._frames = Frames(SERVER, max_size=MAX_MESSAGE_BYTES, logger=_library_log)
        self._parts: list[bytes] = []
        """The parts of a message that has not arrived whole."""
        self._parts_size = 0
        """Their bytes, and one for each of them: they may be empty."""
        self._ahead = bytearray()
        """What came and is not looked at yet."""
        self.held = 0
        """Bytes of what is not complete, or not looked at yet."""
        self._held_since = 0.0
        self._pings = 0
        self._closing_since: float | None = None
        self._is_paused = False
        """Whether the listener wants no more for now."""
        self._is_scheduled = False
        """Whether it goes on with what came as soon as others had their turn."""
        self._is_full = False
        """Whether the other side takes less than it is sent."""
        self.address = address
        self.is_proxy = is_proxy
        self.since = self._loop.time()
        """When the other side was heard last."""
        everything.add(self)

    def begin(self, sent_ahead: bytes) -> None:
        """Let the listener begin, with what came behind the request."""
        self._listener.opened(self)
        if sent_ahead:
            self.data_received(sent_ahead)

    # What the limits ask for

    @property
    def is_idle(self) -> bool:
        """Return False: it does not make room for others, since it would come again at once."""
        return False

    @property
    def unsent_bytes(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._transport.get_write_buffer_size()

    def cut(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()

    def enforce(self, now: float) -> None:
        """End what has lasted too long, and send a ping into a long silence."""
        if self._closing_since is not None:
            if now - self._closing_since > _LINGER_S:
                self.cut()
        elif self._is_paused or self._is_full:
            self.since = self._held_since = now  # it is not asked to send anything
        elif self.held and now - self._held_since > self._others.settings.body_timeout_s:
            self.close(_POLICY, "a message did not arrive in time")
        elif (silent_s := now - self.since) > SILENCE_S:
            self.cut()
        elif silent_s > PING_S * (self._pings + 1):
            self._pings += 1
            self._frames.send_ping(b"")
            self._flush()

    def give_up(self) -> None:
        """Close the connection, and hold nothing any more."""
        self._others.hold(self, 0)
        self._parts, self._parts_size = [], 0
        self._ahead.clear()
        self.close(_TRY_LATER, "too many messages are on their way")

    def shutdown(self) -> None:
        """Close once what was received is answered."""
        self._listener.stop()

    # What the transport calls

    def data_received(self, data: bytes) -> None:
        """Take frames, and hand over the messages that they complete."""
        self.since = self._loop.time()
        self._pings = 0
        self._ahead += data
        if not self._is_scheduled:
            self._go_on()

    def eof_received(self) -> bool:
        """End: the other side sends nothing more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._others.hold(self, 0)
        self._others.release(self)
        self._all.discard(self)
        self._listener.lost()

    def pause_writing(self) -> None:
        """Take nothing while the other side takes nothing."""
        self._is_full = True
        self._others.unsent(self)
        self._let_read()

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        self._others.sent(self)
        self._let_read()

    # What the listener calls

    @property
    def is_open(self) -> bool:
        """Return whether messages can be sent."""
        return self._frames.state is OPEN and not self._transport.is_closing()

    def send(self, message: bytes) -> None:
        """Send a message; nothing, if the connection is closed or closing."""
        if self.is_open:
            self._frames.send_text(message)
            self._flush()

    def pause(self, paused: bool) -> None:
        """Let the other side wait with more messages, or go on."""
        self._is_paused = paused
        self._let_read()

    def close(self, code: int, reason: str) -> None:
        """Close the connection; the reason is for people, at most 123 bytes."""
        try:
            self._frames.send_close(code, reason)
        except InvalidState:
            return  # it is closing
        self._flush()

    def _go_on(self) -> None:
        """Take the next frames of what came, unless they must wait."""
        self._is_scheduled = False
        if self._is_paused or self._is_full or not self._ahead or self._transport.is_closing():
            return
        self._frames.receive_data(bytes(self._ahead[:_AT_A_TIME]))
        del self._ahead[:_AT_A_TIME]
        frames = self._frames.events_received()
        if self._closing_since is None:
            for frame in frames:
                if isinstance(frame, Frame) and frame.opcode in _DATA:
                    self._take(frame)
            self._hold()
        self._flush()
        self._let_read()

    def _take(self, frame: Frame) -> None:
        if frame.fin:
            self._held_since = self._loop.time()  # of what follows
        if frame.fin and not self._parts:
            self._listener.received(bytes(frame.data))
            return
        self._parts.append(bytes(frame.data))
        self._parts_size += len(frame.data) + 1
        if frame.fin:
            message, self._parts, self._parts_size = b"".join(self._parts), [], 0
            self._listener.received(message)
        elif len(self._parts) == _MOST_PIECES:
            self.close(_POLICY, f"a message comes in more than {_MOST_PIECES} frames")

    def _hold(self) -> None:
        """Count what is there of a message that is not complete."""
        held = len(self._frames.reader.buffer) + self._parts_size + len(self._ahead)
        if held and not self.held:
            self._held_since = self.since
        if held != self.held:
            self._others.hold(self, held)

    def _let_read(self) -> None:
        if self._transport.is_closing():
            return
        if self._is_paused or self._is_full:
            self._transport.pause_reading()
        elif self._ahead:
            self._transport.pause_reading()
            if not self._is_scheduled:
                self._is_scheduled = True
                self._loop.call_soon(self._go_on)
        else:
            self._transport.resume_reading()

    def _flush(self) -> None:
        for piece in self._frames.data_to_send():
            if piece:
                self._transport.write(piece)
            elif self._frames.close_rcvd is not None:  # both have said goodbye
                self._transport.close()
            elif self._transport.can_write_eof():  # the other side may be sending yet
                self._transport.write_eof()
        if self._closing_since is None and self._frames.state is not OPEN:
            self._closing_since = self._loop.time()
            self._is_paused = self._is_full = False
            self._let_read()
