"""A connection to a broker: messages come in, acknowledgements go out.

Paho speaks the protocol, driven by the event loop. It opens the connection in a thread.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from fleetmeter.errors import FleetMeterError
from fleetmeter.inputs.mqtt.broker import Broker
from fleetmeter.inputs.mqtt.driver import Driver

MAX_MESSAGE_BYTES = 1024 * 1024
"""What a message may have; a broker of version 5 is told, and keeps larger ones."""

_KEEPALIVE_S = 60
_ANSWER_S = 20.0
"""Maximum time for the broker to answer, seconds."""

_CONNECT_S = 10.0
"""Maximum time for a connection to open, seconds."""


_NOT_SHARED = 0x9E
"""The code of a broker that has no shared subscriptions."""

_NO_GROUPS = "has no shared subscriptions: unset FLEETMETER_MQTT_SHARE"

_TOPICS_OF_A_PACKET = 8
"""Topics that are subscribed to at once: AWS IoT Core takes no more."""

_log = structlog.get_logger()


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
        self._received = 0
        self._greeted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers: dict[int, asyncio.Future[Sequence[Any]]] = {}
        self.session_present = False
        self._client = self._new_client(client_id)
        self._driver = Driver(self._client, self._is_to_read, lambda: self._received)
        self.ended = self._driver.ended
        """Why the connection is over, once it is."""

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
        client.on_message = self._on_message
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
        if not self._driver.take_over():
            raise BrokerError("has closed the connection")
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
        if broker.group and getattr(properties, "SharedSubscriptionAvailable", 1) == 0:
            self.cut("no shared subscriptions")
            raise BrokerError(_NO_GROUPS)

    async def subscribe(self, filters: Sequence[str]) -> list[str]:
        """Subscribe at QoS 1; return the filters that the broker refuses. Raises BrokerError."""
        if self._broker.group is not None and self.session_present:
            await self._unsubscribe(filters)  # what a session of before the group still has
        reasons: list[Any] = []
        for names in _in_packets([self._shared(each) for each in filters]):
            _, mid = self._client.subscribe([(name, self._options()) for name in names])
            reasons += await self._answer(mid)
        if any(reason.value == _NOT_SHARED for reason in reasons):
            raise BrokerError(_NO_GROUPS)
        if any(reason.value == 0 for reason in reasons):
            _log.warning("the broker grants QoS 0 only: what is lost on the way is not sent again")
        return [each for each, reason in zip(filters, reasons, strict=False) if reason.is_failure]

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """Get no more messages, but those that the broker has sent already. Raises BrokerError."""
        await self._unsubscribe([self._shared(each) for each in filters])

    async def _unsubscribe(self, names: Sequence[str]) -> None:
        for some in _in_packets(names):
            _, mid = self._client.unsubscribe(list(some))
            await self._answer(mid)

    def _shared(self, topic: str) -> str:
        group = self._broker.group
        return topic if group is None else f"$share/{group}/{topic}"

    def _options(self) -> Any:
        if not self._broker.is_version_5:
            return 1
        new = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
        return SubscribeOptions(qos=1, retainHandling=new)

    def acknowledge(self, id_: int) -> bool:
        """Acknowledge a message; return whether it could be."""
        return self._driver.is_open and self._client.ack(id_, 1) == paho.MQTT_ERR_SUCCESS

    def read_on(self) -> None:
        """Read again, if that was stopped since no more might be."""
        self._driver.read_on()

    def stop_reading(self) -> None:
        """Read no more."""
        self._may_read = _never
        self._driver.stop_reading()

    async def close(self, *, ends_session: bool = False) -> None:
        """Say goodbye; the broker keeps the session unless it ends."""
        if not self._driver.is_open:
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
        self._driver.cut(why)

    def _is_to_read(self) -> bool:
        return not self._greeted.done() or self._may_read()

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

    async def _answer(self, mid: int | None) -> Sequence[Any]:
        if mid is None:
            raise BrokerError("has closed the connection")
        answer = self._answers[mid] = asyncio.get_running_loop().create_future()
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


def _in_packets(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(names), _TOPICS_OF_A_PACKET):
        yield names[first : first + _TOPICS_OF_A_PACKET]


def _properties(packet: int) -> Any:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _never() -> bool:
    return False
