"""Compressed bodies: unpacked piece by piece, never further than the limit."""

import sys
import zlib
from collections.abc import Iterator
from typing import Protocol

from fleetmeter.errors import BodyTooLargeError, MalformedBodyError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PIECE = 256 * 1024
"""Most bytes that are unpacked at a time."""

_CHUNK = 64 * 1024
"""Most bytes that are taken from a chunk at a time: what is left of it is copied for each piece."""

_MAX_MEMBERS = 1024
"""Most gzip members, or zstd frames, of a body: each takes time, even if it is empty."""

_MAX_WINDOW_LOG = 23
"""Zstandard: 8 MiB of window, what RFC 8878 asks every decoder to support."""


class Unpacker(Protocol):
    """Takes a body as it comes in."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Unpack a chunk. Raises MalformedBodyError and BodyTooLargeError."""
        ...

    def finish(self) -> None:
        """Finish the body. Raises MalformedBodyError when it should go on."""
        ...


def unpacker(encoding: str, limit: int) -> Unpacker | None:
    """Return the unpacker of a Content-Encoding, up to `limit` bytes; None for an unknown one."""
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Gzip(limit)
        case "zstd":
            return _Zstd(limit)
        case _:
            return None


class _Plain:
    def feed(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def finish(self) -> None:
        pass


class _Limited:
    def __init__(self, limit: int) -> None:
        self._left = limit
        self._members = 1

    def _count(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise BodyTooLargeError("the body unpacks to more than FLEETMETER_MAX_BODY_BYTES")
        return piece

    def _count_member(self) -> None:
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise BodyTooLargeError(
                f"the body has more than {_MAX_MEMBERS} compressed parts; compress it as one"
            )

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        for start in range(0, len(chunk), _CHUNK):
            yield from self._unpack(chunk[start : start + _CHUNK])

    def _unpack(self, chunk: bytes) -> Iterator[bytes]:
        raise NotImplementedError


class _Gzip(_Limited):
    """Unpacks members one after the other, as gzip allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False

    def _unpack(self, chunk: bytes) -> Iterator[bytes]:
        try:
            while chunk:
                if self._member.eof:
                    self._count_member()
                    self._member = zlib.decompressobj(wbits=31)
                self._begun = True
                yield self._count(self._member.decompress(chunk, _PIECE))
                chunk = self._member.unconsumed_tail or self._member.unused_data
        except zlib.error as error:
            raise MalformedBodyError(f"the body is not gzip: {error}") from None

    def finish(self) -> None:
        if self._begun and not self._member.eof:
            raise MalformedBodyError("the gzip body is cut off")


class _Zstd(_Limited):
    """Unpacks frames one after the other, as Zstandard allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._frame = self._new()
        self._begun = False

    @staticmethod
    def _new() -> "zstd.ZstdDecompressor":
        options = {int(zstd.DecompressionParameter.window_log_max): _MAX_WINDOW_LOG}
        return zstd.ZstdDecompressor(options=options)

    def _unpack(self, chunk: bytes) -> Iterator[bytes]:
        try:
            while chunk:
                if self._frame.eof:
                    self._count_member()
                    self._frame = self._new()
                self._begun = True
                yield self._count(self._frame.decompress(chunk, _PIECE))
                while not (self._frame.eof or self._frame.needs_input):
                    yield self._count(self._frame.decompress(b"", _PIECE))
                chunk = self._frame.unused_data
        except zstd.ZstdError as error:
            raise MalformedBodyError(f"the body is not zstd: {error}") from None

    def finish(self) -> None:
        if self._begun and not self._frame.eof:
            raise MalformedBodyError("the zstd body is cut off")
