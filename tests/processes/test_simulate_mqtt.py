"""The simulator and a broker: what is not acknowledged is sent again, and nobody is talked past."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from fleetmeter.errors import FleetMeterError
from fleetmeter_simulator.client.readings import reading_of
from fleetmeter_simulator.client.sending import Sender
from fleetmeter_simulator.fleet import Fleet
from fleetmeter_simulator.wires.mqtt import over_mqtt
from tests.conftest import eventually, free_port
from tests.support.mosquitto import Mosquitto, broker

START = datetime(2026, 3, 1, tzinfo=UTC)


def sender_to(broker_url: str) -> Sender:
    return Sender("http://127.0.0.1:1", 2, 5000, None, over_mqtt(broker_url))


@contextmanager
def subscribed(to: Mosquitto) -> Iterator[set[tuple[str, bytes]]]:
    """What somebody gets who subscribes to all topics, in a session that the broker keeps."""
    got: set[tuple[str, bytes]] = set()
    ready = threading.Event()

    def take(client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        got.add((message.topic, bytes(message.payload)))

    def subscribe(client: paho.Client, *_: Any) -> None:
        client.subscribe("fleetmeter/#", qos=1)

    client = paho.Client(
        CallbackAPIVersion.VERSION2, "subscriber", clean_session=False, protocol=paho.MQTTv311
    )
    client.on_message = take
    client.on_connect = subscribe
    client.on_subscribe = lambda *_: ready.set()
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", to.port)
    client.loop_start()
    try:
        assert ready.wait(20)
        yield got
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.slow
def test_every_reading_reaches_a_broker_that_is_restarted(tmp_path: Path) -> None:
    fleet = Fleet(1, 30, START, 1)
    arrivals = [each for n in range(3) for each in fleet.arrivals(START.replace(hour=n))]
    with broker(tmp_path) as to, subscribed(to) as got:
        sender = sender_to(to.url)
        with sender.running():
            sender.send(arrivals[: len(arrivals) // 2])
            eventually(lambda: len(got) > 100)
            to.stop(signal.SIGTERM)
            to.start()
            sender.send(arrivals[len(arrivals) // 2 :])
        expected = {
            (f"fleetmeter/{each[2][0]}", msgspec.json.encode(reading_of(each))) for each in arrivals
        }
        eventually(lambda: got == expected)
    assert (sender.tally.sent, sender.tally.unsent) == (len(arrivals), 0)


def test_a_broker_without_a_service_behind_it_ends_the_simulation(tmp_path: Path) -> None:
    with broker(tmp_path) as to:
        sender = sender_to(to.url)
        with (
            pytest.raises(FleetMeterError, match="start the service with FLEETMETER_MQTT_URL"),
            sender.running(),
        ):
            sender.send(Fleet(1, 3, START, 1).arrivals(START))


def test_a_broker_that_refuses_the_password_ends_the_simulation(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "passwords").touch(mode=0o600)
    guarded = [f"listener {port} 127.0.0.1", f"password_file {tmp_path / 'passwords'}"]
    with broker(tmp_path, guarded):
        sender = sender_to(f"mqtt://somebody:wrong@127.0.0.1:{port}")
        with pytest.raises(FleetMeterError, match="refuses: Not authorized"), sender.running():
            sender.send(Fleet(1, 3, START, 1).arrivals(START))


def test_a_stop_while_no_broker_answers_tells_what_was_not_sent() -> None:
    arrivals = Fleet(1, 3, START, 1).arrivals(START)
    sender = sender_to("mqtt://127.0.0.1:1")
    threading.Timer(0.3, sender.stop).start()
    with sender.running():
        sender.send(arrivals)
    assert (sender.tally.sent, sender.tally.unsent) == (0, len(arrivals))
    assert sender.tally.waiting == "no broker answers at 127.0.0.1"


@pytest.mark.parametrize("url", ["127.0.0.1:1883", "http://host", "mqtt://", "mqtt://host/topic"])
def test_what_is_no_broker_says_what_one_is(url: str) -> None:
    with pytest.raises(FleetMeterError, match="write it like mqtt://host:1883"):
        over_mqtt(url)
