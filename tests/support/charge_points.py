"""Charge points for tests: frames as they are, each answer checked by the schemas of OCPP."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import quote

from ocpp.messages import MessageType, get_validator
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

ENERGY = "Energy.Active.Import.Register"

_ids = count(1)


class CallError(Exception):
    """A call was answered with an error: its code."""


class Charger:
    """A charge point that is connected."""

    def __init__(self, socket: ClientConnection, version: str) -> None:
        self.socket = socket
        self.version = version
        self.asked: list[tuple[str, Any]] = []
        """Calls of the central system, with their payloads."""
        self.replies: dict[str, Any] = {}
        """What they are answered with, by action; a function is called with the payload."""

    def call(self, action: str, payload: Any, id_: object = None) -> Any:
        """Send a call, and return the payload of its result. Raises CallError."""
        id_ = f"c{next(_ids)}" if id_ is None else id_
        self.send([2, id_, action, payload])
        answer = self.answer()
        assert answer[1] == id_
        if answer[0] == 4:
            assert isinstance(answer[3], str)
            assert answer[4] == {}
            raise CallError(answer[2])
        version = self.version.removeprefix("ocpp")
        get_validator(MessageType.CallResult, action, version).validate(answer[2])
        return answer[2]

    def send(self, frame: Any) -> None:
        """Send a frame, or a text."""
        self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    def answer(self, timeout_s: float = 30) -> Any:
        """Return the next answer; calls that come before it are replied to."""
        while True:
            frame = json.loads(self.socket.recv(timeout=timeout_s))
            if frame[0] != 2:
                return frame
            self.reply(frame)

    def take_calls(self, action: str, times: int = 1) -> None:
        """Reply to calls until some have been asked."""
        while [asked for asked, _ in self.asked].count(action) < times:
            self.reply(json.loads(self.socket.recv(timeout=30)))

    def reply(self, frame: Any) -> None:
        """Reply to a call of the central system, which its schema allows."""
        _, id_, action, payload = frame
        version = self.version.removeprefix("ocpp")
        get_validator(MessageType.Call, action, version).validate(payload)
        self.asked.append((action, payload))
        reply = self.replies.get(action)
        if reply is None:
            self.send([4, id_, "NotImplemented", "", {}])
        else:
            self.send([3, id_, reply(payload) if callable(reply) else reply])

    def energy(self, at: datetime, wh: float, connector: int = 1, **more: Any) -> Any:
        """Send MeterValues of 1.6 with what a register shows."""
        values = [meter_value(at, wh)]
        return self.call("MeterValues", {"connectorId": connector, "meterValue": values} | more)


@contextmanager
def charger(
    base_url: str,
    charge_point: str,
    version: str = "ocpp1.6",
    *,
    key: str | None = None,
    user: str | None = None,
    headers: dict[str, str] | None = None,
) -> Iterator[Charger]:
    """Connect a charge point, with a key as the password of Basic authentication."""
    sent = dict(headers or {})
    if key is not None:
        pair = f"{charge_point if user is None else user}:{key}"
        sent["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    url = f"ws{base_url.removeprefix('http')}/ocpp/{quote(charge_point, safe='')}"
    with connect(
        url,
        subprotocols=[Subprotocol(version)],
        additional_headers=sent,
        compression=None,
        max_size=None,
        proxy=None,
    ) as socket:
        yield Charger(socket, version)


def text(at: datetime) -> str:
    """A time as chargers write it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def minutes_ago(minutes: float) -> datetime:
    """A time in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes)


def meter_value(at: datetime, wh: float | str, **more: Any) -> dict[str, Any]:
    """A meter value with what a register shows, as 1.6 writes it."""
    sampled = {"value": str(wh), "measurand": ENERGY, "unit": "Wh"} | more
    return {"timestamp": text(at), "sampledValue": [sampled]}
