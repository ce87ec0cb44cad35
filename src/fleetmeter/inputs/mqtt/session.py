"""Keeps the service connected to its broker, and takes what comes."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from fleetmeter.background import stopped
from fleetmeter.errors import DatabaseUnavailableError
from fleetmeter.inputs.mapping.rules import Mapping
from fleetmeter.inputs.mqtt.broker import Broker
from fleetmeter.inputs.mqtt.decoder import MessageDecoder
from fleetmeter.inputs.mqtt.link import BrokerError, Link
from fleetmeter.inputs.mqtt.places import Place, place
from fleetmeter.inputs.mqtt.taker import Taker
from fleetmeter.inputs.untaken import UntakenCounter
from fleetmeter.intake.door import Door

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
"""Time until the broker is tried again, at first and at most, seconds."""

_DATABASE_PAUSE_S = 1.0
"""Time until the database is tried again, seconds."""

_STOP_S = 5.0
"""Maximum time to store what is there when the service stops, seconds."""

_LEAVE_S, _QUIET_S = 30.0, 1.0
"""Maximum time to take what the broker has sent already to a client that leaves; and how long
nothing must come for that to be all, seconds."""

_log = structlog.get_logger()


class MqttStatus(msgspec.Struct, rename="camel"):
    """How a process and the broker stand."""

    broker: str
    connected: bool
    client_id: str | None
    """None: it waits, since another process takes the messages."""

    topics: Sequence[str]
    refused_topics: Sequence[str]
    """Those of the topics that the broker does not let it have."""

    since: datetime
    error: str | None


class Mqtt:
    """The client of a process."""

    def __init__(
        self, broker: Broker, mapping: Mapping, untaken: UntakenCounter, door: Door, url: str
    ) -> None:
        """Prepare it; `url` is that of the database, where processes get their places."""
        self._broker = broker
        self._url = url
        decoder = MessageDecoder(mapping)
        self._filters = decoder.subscriptions
        self._taker = Taker(door, decoder, untaken, broker.in_flight)
        self._pause_s = _FIRST_PAUSE_S
        self._link: Link | None = None
        self._number = 0
        """The place among the clients."""
        self._is_stopping = False
        name = f"{'mqtts' if broker.tls else 'mqtt'}://{broker.host}:{broker.port}"
        self.status = MqttStatus(name, False, None, self._filters, [], datetime.now(UTC), None)

    @property
    def waiting(self) -> int:
        """Return how many messages are not stored yet."""
        return self._taker.kept

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Mqtt"]:
        """Take messages for the length of the block; at its end, store what has come.

        The first client stays subscribed, so that the broker keeps what comes until it is back;
        the others leave the group.
        """
        taking = asyncio.create_task(self._taker.run())
        connecting = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            self._is_stopping = True
            await stopped([connecting])
            if self._link is not None and self._number == 0:
                await self._stop(self._link)
            elif self._link is not None:
                await self._leave(self._link, _STOP_S)
            await stopped([taking])

    async def _stop(self, link: Link) -> None:
        """Store and acknowledge what is here; the broker keeps what comes."""
        link.stop_reading()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                while self._taker.kept:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0.01)
        await link.close()

    async def _run(self) -> None:
        while True:
            try:
                broker = self._broker
                name, is_shared = broker.client_id, broker.group is not None
                async with place(self._url, name, is_shared=is_shared) as taken:
                    await self._at(taken)
            except DatabaseUnavailableError as error:
                self._note(connected=False, error=f"the database is away: {error}")
                await asyncio.sleep(_DATABASE_PAUSE_S)
            except Exception as error:
                _log.exception("the MQTT input failed")
                self._note(connected=False, error=repr(error))
                await asyncio.sleep(self._next_pause_s())

    async def _at(self, taken: Place) -> None:
        """Be a client of the broker until the place is lost or a lower one is free."""
        self._number = taken.number
        self.status.client_id = taken.client_id
        watching = asyncio.create_task(taken.watch())
        try:
            while not watching.done():
                try:
                    await self._connected(watching)
                except BrokerError as error:
                    self._note(connected=False, error=f"the broker {error}")
                    await asyncio.wait([watching], timeout=self._next_pause_s())
            watching.result()
            if self._link is not None:
                await self._leave(self._link, _LEAVE_S)
        finally:
            await stopped([watching])
            if not self._is_stopping and self._link is not None:
                self._link.cut("the place among the clients is lost")
                self._link = self._taker.link = None
            self.status.client_id = None
            self._note(connected=False, error=self.status.error)

    async def _connected(self, watching: "asyncio.Task[None]") -> None:
        """Be connected until the connection or the place ends. Raises BrokerError."""
        taker = self._taker
        client_id = self.status.client_id or ""
        link = Link(self._broker, client_id, taker.take, taker.has_room)
        self._link = taker.link = link
        try:
            await link.open()
            if not link.session_present:
                taker.forget_session()
            self.status.refused_topics = await link.subscribe(self._filters)
            if self.status.refused_topics:
                _log.error("the broker refuses topics", topics=self.status.refused_topics)
            self._note(connected=True, error=None)
            ends: list[asyncio.Future[Any]] = [watching, link.ended]
            connected_at = asyncio.get_running_loop().time()
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if asyncio.get_running_loop().time() - connected_at > _LONGEST_PAUSE_S:
                self._pause_s = _FIRST_PAUSE_S
            if link.ended.done():
                why = link.ended.result()
                if "taken over" in why:
                    why += "; another client has this id, set FLEETMETER_MQTT_CLIENT_ID"
                raise BrokerError(f"has gone: {why}")
        except BrokerError:
            link.cut("it failed")
            self._link = taker.link = None
            raise

    async def _leave(self, link: Link, longest_s: float) -> None:
        """Take all that the broker has for this client, and end its session.

        Otherwise the broker would go on to keep a part of the messages for it.
        """
        taker = self._taker
        with suppress(BrokerError, TimeoutError):
            async with asyncio.timeout(longest_s):
                await link.unsubscribe(self._filters)
                received = -1
                while taker.kept or received != taker.received:
                    received = taker.received
                    await asyncio.sleep(_QUIET_S)
                await link.close(ends_session=True)
        await link.close()
        self._link = taker.link = None

    def _next_pause_s(self) -> float:
        """Return how long to wait now; half of it by chance, so that not all come at once."""
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return pause_s * random.uniform(0.5, 1)  # noqa: S311 - no secret

    def _note(self, *, connected: bool, error: str | None) -> None:
        status = self.status
        if (connected, error) == (status.connected, status.error):
            return
        status.connected, status.error, status.since = connected, error, datetime.now(UTC)
        if connected:
            _log.info("connected to the broker", broker=status.broker, client=status.client_id)
        elif error is not None:
            _log.warning("not connected to the broker", broker=status.broker, error=error)
