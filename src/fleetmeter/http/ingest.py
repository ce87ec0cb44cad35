"""POST /v1/ingest: readings of both kinds, each with its own outcome.

It is a raw ASGI route: for a device that posts one reading, resolving a handler's arguments and
building its request and response would cost more than the work itself.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress

import msgspec
from litestar import asgi
from litestar.exceptions import MethodNotAllowedException
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_207_MULTI_STATUS,
    HTTP_408_REQUEST_TIMEOUT,
    HTTP_415_UNSUPPORTED_MEDIA_TYPE,
    HTTP_422_UNPROCESSABLE_ENTITY,
)
from litestar.types import Receive, Scope, Send

from fleetmeter.errors import BodyTooLargeError, QueueFullError
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.principals import allowance_of, principal_of
from fleetmeter.http.shared.problems import problem
from fleetmeter.http.shared.summaries import IngestAnswer, answer_of
from fleetmeter.intake.door import Door, IngestOutcome
from fleetmeter.readings.compression import Unpacker, unpacker
from fleetmeter.readings.decode import BatchDecoder, BodyFormat, Item
from fleetmeter.settings import Settings

_FORMATS: dict[bytes, BodyFormat] = {
    b"": "json",
    b"application/json": "json",
    b"application/x-ndjson": "ndjson",
    b"application/ndjson": "ndjson",
    b"application/jsonl": "ndjson",
    b"application/msgpack": "msgpack",
    b"application/x-msgpack": "msgpack",
    b"application/vnd.msgpack": "msgpack",
}

_encode = msgspec.json.Encoder().encode

_ITEM_BYTES = 128
"""Memory that an item takes until its answer, beside the size of what was sent; small ones, and
those that are rejected, need more than was sent."""

_MANY = 10_000
"""Rejections whose answer waits for its turn to be encoded."""

_DISCARD_S = 0.5
"""Maximum time to read the body of a refused request, so that the answer arrives; seconds."""


@asgi("/v1/ingest", copy_scope=False, opt={SCOPE: "ingest"})
async def ingest(scope: Scope, receive: Receive, send: Send) -> None:
    """Decode, validate and commit readings, and answer with each one's outcome."""
    if scope.get("method") != "POST":
        raise MethodNotAllowedException(headers={"Allow": "POST"})
    state = scope["litestar_app"].state
    door: Door = state["door"]
    settings: Settings = state["settings"]
    headers = dict(scope["headers"])
    decoder = BatchDecoder(_format(headers), settings.max_batch)
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
            outcome = await door.store(items, reach=principal_of(scope).reach)
            answer: IngestOutcome | IngestAnswer = outcome
            if outcome.rejected or outcome.warnings:
                answer = await door.slices.run(answer_of(outcome))
    except QueueFullError:
        await body.discard()
        raise
    except TimeoutError:
        raise problem(
            HTTP_408_REQUEST_TIMEOUT,
            f"the body did not arrive within {settings.body_timeout_s:g} s; nothing was stored",
        ) from None
    except _ClientGoneError:
        return  # nobody is there to be answered
    if len(outcome.rejected) > _MANY:
        await door.slices.turn()
    if outcome.rejected and not outcome.accepted and not outcome.duplicates:
        raise _all_rejected(answer, len(outcome.rejected))
    await _answer(send, answer)


def _take(
    chunk: bytes, unpack: Unpacker, count_bytes: Callable[[int], None], decoder: BatchDecoder
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
    chunk: bytes, unpack: Unpacker, count_bytes: Callable[[int], None], decoder: BatchDecoder
) -> Generator[None, None, list[Item]]:
    """Take the last chunk of a body; return its items."""
    yield from _take(chunk, unpack, count_bytes, decoder)
    unpack.finish()
    return (yield from decoder.finish())


def _format(headers: dict[bytes, bytes]) -> BodyFormat:
    content_type = headers.get(b"content-type", b"")
    format_ = _FORMATS.get(content_type) or _FORMATS.get(
        content_type.partition(b";")[0].strip().lower()
    )
    if format_ is None:
        raise problem(
            HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type is {content_type.decode('latin-1')}; send application/json, "
            "application/x-ndjson or application/msgpack",
        )
    return format_


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


def _all_rejected(answer: IngestOutcome | IngestAnswer, count: int) -> Exception:
    return problem(
        HTTP_422_UNPROCESSABLE_ENTITY,
        answer.rejected[0].detail if count == 1 else f"all {count} readings were rejected",
        kind="all-rejected",
        **msgspec.to_builtins(answer),
    )


async def _answer(send: Send, outcome: IngestOutcome | IngestAnswer) -> None:
    body = _encode(outcome)
    await send(
        {
            "type": "http.response.start",
            "status": HTTP_207_MULTI_STATUS if outcome.rejected else HTTP_200_OK,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
