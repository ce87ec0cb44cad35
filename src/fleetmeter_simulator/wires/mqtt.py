"""Sends each reading as a message to an MQTT broker, which hands it on to the service.

The topic of a device is fleetmeter/ID, the message its reading as JSON, at QoS 1: a service without
a mapping takes these. A reading is sent again until the broker has acknowledged it; what the
service makes of it then is not said.
"""

import secrets
import ssl
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from fleetmeter.errors import FleetMeterError
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.readings import reading_of
from fleetmeter_simulator.client.service import StoppedError
from fleetmeter_simulator.wires.wire import OpenWire, Outcome, Stopped, Waiting

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_IN_FLIGHT = 1000
"""Messages of a connection that are not acknowledged yet."""

_SESSION_S = 300
"""Time that the broker keeps what it knows of a connection that is lost, seconds."""

_PAUSES_S = (1, 5)
"""First and longest pause before the broker is tried again."""

_STEP_S = 0.2

_NOBODY = 0x10
_QUOTA = 0x97
_FOR_GOOD = (0x86, 0x87, 0x8A, 0x8C)
"""Reason codes: no subscriber; too much at present; and no access."""

_encode = msgspec.json.Encoder().encode


def over_mqtt(url: str) -> OpenWire:
    """Return what opens a wire to the broker at mqtt[s]://[USER:PASSWORD@]HOST[:PORT].

    Raises FleetMeterError.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/"):
        raise FleetMeterError(f"{url} is not the URL of a broker; write it like mqtt://host:1883")
    return lambda stopped, waiting: Mqtt(parts, stopped, waiting)


class Mqtt:
    """A connection to a broker, which is made when there is something to send."""

    def __init__(self, url: SplitResult, stopped: Stopped, waiting: Waiting) -> None:
        self._url = url
        self._broker = url.hostname or ""
        self._stopped = stopped
        self._waiting = waiting
        self._answers: SimpleQueue[tuple[int, ReasonCode]] = SimpleQueue()
        """Ids of messages that were answered. The library holds its locks when it calls back."""

        self._refusal = ""
        self._is_lost = False
        self._client: paho.Client | None = None

    def send(self, batch: Sequence[Arrival]) -> Outcome:
        """Send readings until the broker has each. Raises StoppedError, FleetMeterError."""
        client = self._client or self._connect()
        unsent = deque(batch)
        sent: dict[int, Arrival] = {}
        while unsent or sent:
            while unsent and len(sent) < _IN_FLIGHT:
                arrival = unsent.popleft()
                message = _encode(reading_of(arrival))
                sent[client.publish(_topic(arrival), message, qos=1).mid] = arrival
            mid, reason = self._answer()
            answered = sent.pop(mid, None)
            if answered is not None and self._must_repeat(answered, reason):
                unsent.append(answered)
        return Outcome(accepted=len(batch))

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()

    def _answer(self) -> tuple[int, ReasonCode]:
        """Wait for an answer. Raises StoppedError, FleetMeterError."""
        while True:
            with suppress(Empty):
                return self._answers.get(timeout=_STEP_S)
            if self._stopped():
                raise StoppedError
            if self._refusal:
                raise FleetMeterError(f"{self._broker} refuses: {self._refusal}")

    def _must_repeat(self, arrival: Arrival, reason: ReasonCode) -> bool:
        """Return whether the broker wants a message later. Raises FleetMeterError."""
        if reason.value == _QUOTA:
            self._waiting(f"{self._broker} has too many messages")
            return True
        if reason.value == _NOBODY:
            raise FleetMeterError(
                f"nobody takes what {self._broker} gets at {_topic(arrival)}; start the service "
                f"with FLEETMETER_MQTT_URL={self._url.scheme}://{self._broker}"
            )
        if reason.is_failure:
            raise FleetMeterError(f"{self._broker} refuses {_topic(arrival)}: {reason}")
        return False

    def _connect(self) -> paho.Client:
        url = self._url
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"fleetmeter-simulate-{secrets.token_hex(6)}",
            protocol=paho.MQTTv5,
        )
        client.max_inflight_messages_set(_IN_FLIGHT)
        client.reconnect_delay_set(*_PAUSES_S)
        if url.username is not None:
            client.username_pw_set(unquote(url.username), unquote(url.password or ""))
        if url.scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context())
        client.on_connect = self._connected
        client.on_connect_fail = self._failed
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _SESSION_S
        client.connect_async(
            self._broker, url.port or _PORTS[url.scheme], keepalive=30, properties=properties
        )
        client.loop_start()
        self._client = client
        return client

    def _connected(self, _c: Any, _u: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
        if reason.value in _FOR_GOOD:
            self._refusal = str(reason)
        elif reason.is_failure:
            self._lost(f"{self._broker} refuses: {reason}")
        elif self._is_lost:
            self._is_lost = False
            self._waiting("")

    def _failed(self, _c: Any, _u: Any) -> None:
        self._lost(f"no broker answers at {self._broker}")

    def _disconnected(self, _c: Any, _u: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
        if reason.is_failure:
            self._lost(f"the connection to {self._broker} is lost: {reason}")

    def _lost(self, why: str) -> None:
        self._is_lost = True
        self._waiting(why)

    def _acknowledged(self, _c: Any, _u: Any, mid: int, reason: ReasonCode, _p: Any) -> None:
        self._answers.put((mid, reason))


def _topic(arrival: Arrival) -> str:
    return f"fleetmeter/{arrival[2][0]}"
