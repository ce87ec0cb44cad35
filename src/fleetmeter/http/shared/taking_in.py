"""Takes readings in from the body of a request, in whatever format; for the routes of devices.

The body is unpacked and decoded as it arrives, within limits of size and time, and what was decoded
goes through the door.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Protocol as Interface
from typing import TypeVar

from litestar.status_codes import HTTP_408_REQUEST_TIMEOUT, HTTP_415_UNSUPPORTED_MEDIA_TYPE
from litestar.types import Receive, Scope

from fleetmeter.errors import BodyTooLargeError, QueueFullError
from fleetmeter.http.shared.principals import allowance_of, principal_of
from fleetmeter.http.shared.problems import problem
from fleetmeter.intake.door import Door, IngestOutcome
from fleetmeter.metrics import Protocol
from fleetmeter.readings.compression import Unpacker, unpacker
from fleetmeter.readings.decode import Item
from fleetmeter.settings import Settings

_ITEM_BYTES = 128
"""Memory that an item takes until its answer, beside the size of what was sent; small ones, and
those that are rejected, need more than was sent."""

_DISCARD_S = 0.5
"""Maximum time to read the body of a refused request, so that the answer arrives; seconds."""


T = TypeVar("T")


class Decoder(Interface):
    """Takes a body piece by piece, and ends with its items, in slices."""

    def feed(self, piece: bytes) -> Generator[None, None, None]:
        """Take more of the body. Raises MalformedBodyError and BatchTooLargeError."""

    def finish(self) -> Generator[None, None, Sequence[Item]]:
        """Finish the body. Raises MalformedBodyError and BatchTooLargeError."""


async def take_in(
    scope: Scope,
    receive: Receive,
    headers: dict[bytes, bytes],
    decoder: Decoder,
    protocol: Protocol,
    explain: Callable[[IngestOutcome], Generator[None, None, T]],
) -> IngestOutcome | T | None:
    """Wait until the readings of a body are committed, and return what became of each item.

    `explain` makes of that what the answer needs, if items were rejected or have warnings: it may
    be long, so it is made in slices, while the request still counts. None: the client was gone
    before its body was complete. Raises problems, RateExceededError, and what a decoder and the
    door raise.
    """
    state = scope["litestar_app"].state
    door: Door = state["door"]
    settings: Settings = state["settings"]
    unpack = _unpacker(headers, settings)
    body = _Body(receive, headers, settings)
    allowance = allowance_of(scope)
    for bucket in (allowance.readings, allowance.bytes):
        bucket.take(0)  # who is in debt need not send more
    try:
        with door.admitted() as count_bytes:

            def count_unpacked(size: int) -> None:
                allowance.bytes.charge(size)
                count_bytes(size)

            with _Deadline(settings.body_timeout_s):
                chunk = await body.read()
                while not body.complete:
                    await door.slices.run(_take(chunk, unpack, count_unpacked, decoder))
                    chunk = await body.read()
            items = await door.slices.run(_take_last(chunk, unpack, count_unpacked, decoder))
            count_bytes(_ITEM_BYTES * len(items))
            allowance.readings.take(len(items))
            outcome = await door.store(items, protocol, principal_of(scope).reach)
            if outcome.rejected or outcome.warnings:
                return await door.slices.run(explain(outcome))
            return outcome
    except QueueFullError:
        await body.discard()
        raise
    except TimeoutError:
        raise problem(
            HTTP_408_REQUEST_TIMEOUT,
            f"the body did not arrive within {settings.body_timeout_s:g} s; nothing was stored",
        ) from None
    except _ClientGoneError:
        return None


def _take(
    chunk: bytes, unpack: Unpacker, count_bytes: Callable[[int], None], decoder: Decoder
) -> Generator[None, None, None]:
    """Unpack a chunk of a body and decode what can be, a piece at a time."""
    is_first = True
    for piece in unpack.feed(chunk):
        if not is_first:
            yield
        is_first = False
        count_bytes(len(piece))
        yield from decoder.feed(piece)


def _take_last(
    chunk: bytes, unpack: Unpacker, count_bytes: Callable[[int], None], decoder: Decoder
) -> Generator[None, None, Sequence[Item]]:
    """Take the last chunk of a body; return its items."""
    yield from _take(chunk, unpack, count_bytes, decoder)
    unpack.finish()
    return (yield from decoder.finish())


def _unpacker(headers: dict[bytes, bytes], settings: Settings) -> Unpacker:
    encoding = headers.get(b"content-encoding", b"").decode("latin-1")
    unpack = unpacker(encoding, settings.max_body_bytes)
    if unpack is None:
        raise problem(
            HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding is {encoding}; send gzip, zstd or none",
            kind="unsupported-encoding",
        )
    return unpack


class _ClientGoneError(Exception):
    """The connection was closed before the body was complete."""


class _Body:
    """A request's body as it arrives."""

    __slots__ = ("_left", "_receive", "complete")

    def __init__(self, receive: Receive, headers: dict[bytes, bytes], settings: Settings) -> None:
        """Raises BodyTooLargeError, as does reading."""
        self._receive = receive
        self._left = settings.max_body_bytes
        self.complete = False
        if int(headers.get(b"content-length", b"0")) > self._left:
            raise _too_large()

    async def read(self) -> bytes:
        """Return the next piece. Raises _ClientGoneError and BodyTooLargeError."""
        message = await self._receive()
        if message["type"] != "http.request":
            raise _ClientGoneError
        chunk = message.get("body", b"")
        self.complete = not message.get("more_body", False)
        self._left -= len(chunk)
        if self._left < 0:
            raise _too_large()
        return chunk

    async def discard(self) -> None:
        """Read the rest of the body: closing the connection before could lose the answer."""
        with suppress(TimeoutError, _ClientGoneError, BodyTooLargeError), _Deadline(_DISCARD_S):
            while not self.complete:
                await self.read()


class _Deadline:
    """Does what asyncio.timeout does at a fraction of its cost: most bodies are there at once."""

    __slots__ = ("_passed", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - a request is one
        self._task = task
        self._passed = False
        self._timer = loop.call_later(self._seconds, self._cancel)

    def _cancel(self) -> None:
        self._passed = True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._passed and kind is asyncio.CancelledError and not self._task.uncancel():
            raise TimeoutError


def _too_large() -> BodyTooLargeError:
    return BodyTooLargeError("the body is larger than FLEETMETER_MAX_BODY_BYTES")
