"""The MQTT broker of the tests: Debian's mosquitto, if it is installed."""

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.conftest import eventually, free_port

NO_MOSQUITTO = "there is no mosquitto on the PATH"


def mosquitto() -> str:
    """Where it is; skips the test without one."""
    path = os.environ.get("PATH", "")
    found = shutil.which("mosquitto", path=f"{path}{os.pathsep}/usr/sbin")
    if found is None:
        pytest.skip(NO_MOSQUITTO)
    return found


class Mosquitto:
    """A broker on a port of its own, which can be killed and started again."""

    def __init__(self, folder: Path, more: Sequence[str] = ()) -> None:
        self.port = free_port()
        self._folder = folder
        self._config = folder / "mosquitto.conf"
        lines = [
            f"user {getpass.getuser()}",  # who may read what it is given
            "per_listener_settings true",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            *more,
        ]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, without TLS."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [mosquitto(), "-c", str(self._config)], stdout=log, stderr=log
            )
        eventually(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "mosquitto.log").read_text()
        try:
            with publishing(self):
                return True
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop it, or kill it; it saves what it keeps only when it is stopped."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None


@contextmanager
def broker(folder: Path, more: Sequence[str] = ()) -> Iterator[Mosquitto]:
    """Run a broker for the length of the block."""
    running = Mosquitto(folder, more)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def publishing(to: Mosquitto) -> Iterator[paho.Client]:
    """A client that publishes; at the end of the block the broker has all of it."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", to.port)
    client.loop_start()
    try:
        yield client
        eventually(lambda: not client._out_messages)
    finally:
        client.disconnect()
        client.loop_stop()


def publish(to: Mosquitto, topic: str, *payloads: str | bytes, **options: Any) -> None:
    """Publish messages at QoS 1, and wait until the broker has them."""
    with publishing(to) as client:
        for payload in payloads:
            client.publish(topic, payload, **{"qos": 1} | options)
