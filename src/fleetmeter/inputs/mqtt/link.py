"""A connection to a broker: messages come in, acknowledgements go out.

Paho speaks the protocol, and the event loop says when: it has no thread of its own, except that it
opens the connection in one.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from fleetmeter.errors import FleetMeterError
from fleetmeter.inputs.mqtt.broker import Broker

MAX_MESSAGE_BYTES = 1024 * 1024
"""What a broker of version 5 is told that a packet may have."""

_KEEPALIVE_S = 60
_ANSWER_S = 20.0
"""Maximum time for the broker to answer, seconds."""

_CONNECT_S = 10.0
"""Maximum time for a connection to open, seconds."""

_MISC_S = 5.0
"""How often it is looked whether the broker is still there, seconds."""

_AT_A_TIME = 200
"""Messages that are read before others have their turn."""


class BrokerError(FleetMeterError):
    """The broker cannot be reached, refuses, or has gone."""


class Message(NamedTuple):
    """A message, and whom to acknowledge it to."""

    topic: str | None
    """None: it is no text."""

    payload: bytes
    retained: bool
    arrived: datetime
    id: int
    """0: it needs no acknowledgement."""

    link: "Link"


class Link:
    """A connection, which is used once."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        take: Callable[[Message], None],
        may_read: Callable[[], bool],
    ) -> None:
        """Prepare it; `take` gets each message, as long as more `may_read` be."""
        self._broker = broker
        self._take = take
        self._may_read = may_read
        self._loop = asyncio.get_running_loop()
        self._is_ours = False
        """Whether the event loop has taken over from the thread that opens the connection."""
        self._socket: socket.socket | None = None
        self._reads = False
        self._received = 0
        self._wants_write = False
        self._greeted: asyncio.Future[Any] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[Sequence[Any]]] = {}
        self.ended: asyncio.Future[str] = self._loop.create_future()
        """Why the connection is over."""
        self.session_present = False
        self._client = self._new_client(client_id)

    def _new_client(self, client_id: str) -> paho.Client:
        broker = self._broker
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if broker.is_version_5 else paho.MQTTv311,
            clean_session=None if broker.is_version_5 else False,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _CONNECT_S
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls is not None:
            client.tls_set_context(broker.tls)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_answer
        client.on_unsubscribe = self._on_answer
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_socket_register_write = lambda *_: self._want_write(True)
        client.on_socket_unregister_write = lambda *_: self._want_write(False)
        client.on_socket_close = lambda *_: self._forget_socket()
        return client

    async def open(self) -> None:
        """Connect, to the session that the broker has kept. Raises BrokerError."""
        broker = self._broker
        options: dict[str, Any] = {}
        if broker.is_version_5:
            properties = _properties(PacketTypes.CONNECT)
            properties.ReceiveMaximum = broker.in_flight
            properties.SessionExpiryInterval = broker.session_s
            properties.MaximumPacketSize = MAX_MESSAGE_BYTES
            options = {"clean_start": False, "properties": properties}
        try:
            await asyncio.to_thread(
                self._client.connect, broker.host, broker.port, _KEEPALIVE_S, **options
            )
        except (OSError, ValueError) as error:
            raise BrokerError(f"cannot be reached: {error}") from error
        self._take_over()
        try:
            flags, reason, properties = await self._in_time(self._greeted)
        except BrokerError:
            self.cut("no answer")
            raise
        if reason.is_failure:
            self.cut(str(reason))
            hint = ""
            if "rotocol" in str(reason) and broker.is_version_5:
                hint = "; perhaps it needs FLEETMETER_MQTT_VERSION=3.1.1"
            raise BrokerError(f"refuses: {reason}{hint}")
        self.session_present = bool(flags.session_present)
        if broker.share is not None and getattr(properties, "SharedSubscriptionAvailable", 1) == 0:
            self.cut("no shared subscriptions")
            raise BrokerError("has no shared subscriptions: set FLEETMETER_MQTT_SHARE=off")

    async def subscribe(self, filters: Sequence[str]) -> list[str]:
        """Subscribe at QoS 1; return the filters that the broker refuses. Raises BrokerError."""
        names = [self._shared(each) for each in filters]
        _, mid = self._client.subscribe([(name, self._options()) for name in names])
        reasons = await self._answer(mid)
        return [each for each, reason in zip(filters, reasons, strict=False) if reason.is_failure]

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """Get no more messages, but those that the broker has sent already. Raises BrokerError."""
        _, mid = self._client.unsubscribe([self._shared(each) for each in filters])
        await self._answer(mid)

    def _shared(self, topic: str) -> str:
        return topic if self._broker.share is None else f"$share/{self._broker.share}/{topic}"

    def _options(self) -> Any:
        return SubscribeOptions(qos=1) if self._broker.is_version_5 else 1

    def acknowledge(self, id_: int) -> bool:
        """Acknowledge a message; return whether it could be."""
        return self._socket is not None and self._client.ack(id_, 1) == paho.MQTT_ERR_SUCCESS

    def read_on(self) -> None:
        """Read again, if that was stopped since no more might be."""
        if self._socket is not None and not self._reads:
            self._reads = True
            self._loop.add_reader(self._socket, self._read)
            self._loop.call_soon(self._read)  # what TLS has read already shows on no socket

    def stop_reading(self) -> None:
        """Read no more."""
        self._may_read = _never
        if self._socket is not None and self._reads:
            self._loop.remove_reader(self._socket)
            self._reads = False

    async def close(self, *, ends_session: bool = False) -> None:
        """Say goodbye; the broker keeps the session unless it ends."""
        if self._socket is None:
            return
        properties = None
        if ends_session and self._broker.is_version_5:
            properties = _properties(PacketTypes.DISCONNECT)
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        try:
            async with asyncio.timeout(_ANSWER_S / 10):
                await asyncio.shield(self.ended)
        except TimeoutError:
            self.cut("closed")

    def cut(self, why: str) -> None:
        """Close the connection without a word."""
        if (connection := self._socket) is not None:
            self._forget_socket()
            connection.close()
        self._end(why)

    # -- what happens on the event loop

    def _take_over(self) -> None:
        self._socket = cast(socket.socket | None, self._client.socket())
        if self._socket is None:
            raise BrokerError("has closed the connection")
        self._is_ours = True
        self.read_on()
        self._want_write(self._client.want_write())
        self._misc = self._loop.call_later(_MISC_S, self._look)

    def _read(self) -> None:
        for _ in range(_AT_A_TIME):
            if self._socket is None:
                return
            if self._greeted.done() and not self._may_read():
                self._loop.remove_reader(self._socket)
                self._reads = False
                return
            before = self._received
            self._guarded(self._client.loop_read)
            if self._received == before:  # nothing more that is complete
                break
        connection = self._socket
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            self._loop.call_soon(self._read)

    def _look(self) -> None:
        if self._socket is not None:
            self._misc = self._loop.call_later(_MISC_S, self._look)
            self._guarded(self._client.loop_misc)

    def _want_write(self, wanted: bool) -> None:
        self._wants_write = wanted
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
        if connection is not None and self._is_ours:
            self._loop.remove_reader(connection)
            self._loop.remove_writer(connection)
            self._misc.cancel()

    # -- what paho reports

    def _on_connect(
        self, _client: Any, _userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if not self._greeted.done():
            self._greeted.set_result((flags, reason, properties))

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        self._received += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = None
        id_ = message.mid if message.qos else 0
        arrived = datetime.now(UTC)
        self._take(Message(topic, bytes(message.payload), message.retain, arrived, id_, self))

    def _on_answer(
        self, _client: Any, _userdata: Any, mid: int, reasons: Any, _properties: Any
    ) -> None:
        answer = self._answers.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(reasons)

    def _on_disconnect(
        self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if self._is_ours:
            self._end(str(reason))

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)

    async def _answer(self, mid: int | None) -> Sequence[Any]:
        if mid is None:
            raise BrokerError("has closed the connection")
        answer = self._answers[mid] = self._loop.create_future()
        try:
            reasons: Sequence[Any] = await self._in_time(answer)
            return reasons
        finally:
            del self._answers[mid]

    async def _in_time(self, answer: "asyncio.Future[Any]") -> Any:
        """Wait for an answer of the broker. Raises BrokerError."""
        await asyncio.wait(
            [answer, self.ended], timeout=_ANSWER_S, return_when=asyncio.FIRST_COMPLETED
        )
        if answer.done():
            return answer.result()
        why = self.ended.result() if self.ended.done() else f"no answer within {_ANSWER_S:g} s"
        raise BrokerError(f"does not answer: {why}")


def _properties(packet: int) -> Any:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _never() -> bool:
    return False
