"""The live stream: one process reads the database once for all its listeners.

Each listener has a bounded queue. A listener that does not empty a full queue in time is dropped:
it can resume the stream, and the others need not wait for the slowest.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import structlog

from fleetmeter.access.reach import Reach
from fleetmeter.background import repeat
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.metrics import STREAM_DROPPED
from fleetmeter.notifications.events import events_after
from fleetmeter.notifications.stream.live_state import Sampler
from fleetmeter.notifications.stream.messages import Message, event_messages

Only = Literal["anomalies", "states"]
End = Literal["dropped", "stopped"]

QUEUE_MESSAGES = 256
QUEUE_BYTES = 256 * 1024
"""Maximum size of a listener's queue; one more message may exceed it."""

_POLL_S = 1.0
_PAGE = 100

_PATIENCE_S = 2.0
"""Time that a listener may be behind while others wait, seconds: a burst is not slowness."""

_LOOK_S = 0.02

_SPARE = 20
"""After a slow poll of live state, the pause is this many times its duration."""

_log = structlog.get_logger()


class StreamFullError(FleetMeterError):
    """This process has its maximum number of listeners, or is stopping."""


class Listener:
    """A client of the stream, and the messages that wait to be sent to it."""

    def __init__(self, only: Only | None, reach: Reach) -> None:
        self.only = only
        self.reach = reach
        self.over: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        """Done when no more messages will come."""

        self._waiting: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()

    @property
    def behind(self) -> bool:
        """Return whether its queue is full, so that the next message has to wait."""
        return len(self._waiting) >= QUEUE_MESSAGES or self._bytes >= QUEUE_BYTES

    def put(self, message: bytes, event_id: int = 0) -> None:
        """Add a message to its queue."""
        self._waiting.append((event_id, message))
        self._bytes += len(message)
        self._filled.set()

    async def take(self, after: int) -> bytes:
        """Wait for messages and take them all, without events up to an id."""
        await self._filled.wait()
        self._filled.clear()
        taken = b"".join(
            message for event_id, message in self._waiting if not 0 < event_id <= after
        )
        self._waiting.clear()
        self._bytes = 0
        return taken

    def end(self, how: End) -> None:
        """Send it no more messages, and drop those that wait."""
        self._waiting.clear()
        self._bytes = 0
        if not self.over.done():
            self.over.set_result(how)


class Hub:
    """The listeners of this process, and what feeds them."""

    def __init__(self, database: Database, most: int, states_per_s: int) -> None:
        """Allow `most` listeners at a time, and send each `states_per_s` live states."""
        self._database = database
        self._most = most
        self._sampler = Sampler(database, states_per_s)
        self._listeners: set[Listener] = set()
        self._reading: list[asyncio.Task[None]] = []
        self._begins = asyncio.Lock()
        self._last_event_id = 0
        self._stopped = False

    @asynccontextmanager
    async def listening(self, only: Only | None, reach: Reach) -> AsyncIterator[Listener]:
        """Add a listener for the length of the block; it gets what happens meanwhile within reach.

        Raises StreamFullError and DatabaseUnavailableError.
        """
        if self._stopped:
            raise StreamFullError("this service is stopping")
        if len(self._listeners) >= self._most:
            raise StreamFullError(f"this process already has {self._most} listeners")
        listener = Listener(only, reach)
        self._listeners.add(listener)
        _log.debug("a listener joined", listeners=len(self._listeners))
        try:
            async with self._begins:
                if not self._reading:
                    await self._begin_reading()
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._end_reading()
            _log.debug("a listener left", listeners=len(self._listeners))

    @property
    def listeners(self) -> int:
        """Return how many clients are connected."""
        return len(self._listeners)

    def stop(self) -> None:
        """End every stream and accept no more listeners."""
        self._stopped = True
        for listener in self._listeners:
            listener.end("stopped")

    async def _begin_reading(self) -> None:
        async with self._database.connection() as connection:
            self._last_event_id = await queries.newest_event(connection)
        self._sampler.begin()
        self._reading = [
            asyncio.create_task(repeat(name, work, _POLL_S))
            for name, work in (
                ("stream of anomalies", self._send_events),
                ("stream of states", self._send_states),
            )
        ]

    def _end_reading(self) -> None:
        for task in self._reading:
            task.cancel()
        self._reading = []

    async def _send_events(self) -> None:
        """Send what has happened since the last round."""
        while True:
            async with self._database.connection() as connection:
                events = await events_after(connection, self._last_event_id, _PAGE)
                reaches = {listener.reach for listener in self._listeners}
                messages = await event_messages(connection, events, reaches)
            for event, message in zip(events, messages, strict=True):
                await self._send(message, "states", event.id)
                self._last_event_id = event.id
            if len(events) < _PAGE:
                return

    async def _send_states(self) -> None:
        """Send a sample of the states that have changed, without straining the database."""
        if all(listener.only == "anomalies" for listener in self._listeners):
            return
        messages, took_s = await self._sampler.round()
        for message in messages:
            await self._send(message, "anomalies")
        await asyncio.sleep(max(0.0, _SPARE * took_s - _POLL_S))

    async def _send(self, message: Message, not_for: Only, event_id: int = 0) -> None:
        """Queue a message for each listener; wait for those that are behind, or drop them."""
        for listener in self._listeners:
            if listener.only != not_for and not listener.over.done():
                text = message(listener.reach)
                if text is not None:
                    listener.put(text, event_id)
        for _ in range(round(_PATIENCE_S / _LOOK_S)):
            if not any(listener.behind for listener in self._listeners):
                return
            await asyncio.sleep(_LOOK_S)
        for listener in self._listeners:
            if listener.behind:
                listener.end("dropped")
                STREAM_DROPPED.inc()
                _log.info("a listener reads too slowly and is dropped")
