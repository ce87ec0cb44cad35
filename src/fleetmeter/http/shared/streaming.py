"""Responses that are sent piece by piece, for as long as somebody reads them.

They notice a client that goes away or stops reading, and one that cannot be finished is cut, so
that nobody takes it for a whole one.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any

import structlog
from litestar.status_codes import HTTP_200_OK
from litestar.types import Receive, Send

from fleetmeter.errors import FleetMeterError
from fleetmeter.notifications.stream.hub import End

_GOODBYE_S = 1.0
"""Maximum time for a client to read the end of a stopped response, seconds."""

_log = structlog.get_logger()


class StalledError(FleetMeterError):
    """The client has stopped reading."""


async def send_pieces(
    pieces: AsyncGenerator[bytes, None],
    receive: Receive,
    send: Send,
    *,
    name: str,
    headers: Sequence[tuple[bytes, bytes]],
    stall_s: float,
    over: "asyncio.Future[End] | None" = None,
) -> None:
    """Send a response until the pieces end, the client goes or takes nothing, or `over` is done.

    Stopped by `over`, it ends like a whole one; dropped by it or after an error, it is cut. Raises
    what goes wrong before the first piece.
    """
    has_started = False

    async def send_all() -> None:
        nonlocal has_started
        async with aclosing(pieces):
            async for piece in pieces:
                try:
                    async with asyncio.timeout(stall_s):
                        if not has_started:
                            has_started = True
                            await send(_start(headers))
                        await send(_body(piece, more=True))
                except TimeoutError:
                    raise StalledError(f"the client took nothing for {stall_s:g} s") from None
        await send(_body(b"", more=False))

    sending = asyncio.create_task(send_all())
    gone = asyncio.create_task(_until_gone(receive))
    try:
        first: list[asyncio.Future[Any]] = [sending, gone, *([over] if over else [])]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        await asyncio.wait([sending])
        error = None if sending.cancelled() else sending.exception()
        if error is not None and not has_started:
            raise error
        if gone.done():
            return
        if error is not None:
            _log_cut(name, error)
            await _cut(error, receive, gone)
        elif over is not None and over.done():
            if over.result() == "stopped":
                await _finish(receive, send)
            else:
                await _cut(StalledError("the client reads too slowly"), receive, gone)
    finally:
        sending.cancel()
        gone.cancel()
        await asyncio.wait([sending, gone])


async def _finish(receive: Receive, send: Send) -> None:
    """Send the last chunk; what the client has not read soon after does not hold up a stop."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_S):
            await send(_body(b"", more=False))
    transport = _transport(receive)
    if transport is not None:
        asyncio.get_running_loop().call_later(_GOODBYE_S, transport.abort)


async def _cut(error: BaseException, receive: Receive, gone: "asyncio.Task[None]") -> None:
    """End the connection without the last chunk, and without waiting for the client to read."""
    transport = _transport(receive)
    if transport is None:
        raise error
    transport.abort()
    await asyncio.wait([gone], timeout=1)  # so that the server knows before this request ends


def _log_cut(name: str, error: BaseException) -> None:
    level = logging.WARNING
    if isinstance(error, StalledError):
        level = logging.INFO
    elif not isinstance(error, FleetMeterError):
        level = logging.ERROR
    _log.log(
        level,
        f"{name} was cut",
        error=str(error),
        exc_info=error if level == logging.ERROR else None,
    )


def _transport(receive: Receive) -> Any:
    """Return the connection of a request: ASGI cannot cut one, but uvicorn's `receive` knows it."""
    return getattr(getattr(receive, "__self__", None), "transport", None)


def _start(headers: Sequence[tuple[bytes, bytes]]) -> Any:
    return {"type": "http.response.start", "status": HTTP_200_OK, "headers": list(headers)}


def _body(piece: bytes, *, more: bool) -> Any:
    return {"type": "http.response.body", "body": piece, "more_body": more}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
