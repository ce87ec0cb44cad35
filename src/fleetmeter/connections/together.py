"""Sends the head of an answer together with its body.

uvicorn writes them one after the other, and uvloop makes a system call of each write, which costs
more than all else about a short answer.
"""

import asyncio
from typing import Any

_HELD_BYTES = 4096
"""Longest piece that is held back for the one after it, bytes."""


class TogetherTransport(asyncio.Transport):
    """A transport that holds a short piece back until the next one, or for a turn of the loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Send what was held back and this, or hold this back."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held + data)
        elif len(data) <= _HELD_BYTES:
            self._held = bytes(data)
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol take what comes in."""
        self._transport.set_protocol(protocol)

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        """Close the connection once everything has been sent."""
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        """Send everything, and nothing after it."""
        self._flush()
        self._transport.write_eof()

    def abort(self) -> None:
        """Close the connection at once, with what has not been sent."""
        self._held = b""
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return len(self._held) + self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        """Return whether it is closed, or will be."""
        return self._transport.is_closing()

    def can_write_eof(self) -> bool:
        """Return whether write_eof() can be called."""
        return self._transport.can_write_eof()

    def pause_reading(self) -> None:
        """Let the client wait."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take on what the client sends."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection."""
        return self._transport.get_extra_info(name, default)
