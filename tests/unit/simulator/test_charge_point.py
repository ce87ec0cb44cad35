"""Simulated meters are charge points that a central system of somebody else's making accepts."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import Queue
from typing import Any

import pytest
from ocpp.exceptions import FormationViolationError
from ocpp.messages import MessageType, get_validator
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import RegistrationStatus
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from fleetmeter.errors import FleetMeterError
from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.sending import Sender
from fleetmeter_simulator.wires.charge_point import ChargePoint as SimulatedChargePoint
from fleetmeter_simulator.wires.ocpp import over_ocpp
from tests.support.scripted import answering

ARRIVALS: list[Arrival] = [
    (0, "meter_registers", ("MTR-1", 61_000_000, 1_204_500_123, 231_200, None)),
    (0, "meters", ("MTR 2", 60_000_000, 1_500_000, 400_000, "S")),
    (0, "meter_registers", ("MTR-1", 121_000_000, 1_204_600_000, 231_300, None)),
]


class Central:
    """A central system of the package ocpp, which checks every message by its schema."""

    def __init__(self, answer: Callable[[ServerConnection, int], Any]) -> None:
        self.values: list[tuple[str, Any]] = []
        """The meter values that were acknowledged, with the charge point of each."""

        self.authorization: set[str | None] = set()
        self._answer = answer
        self._calls = 0

    async def connected(self, socket: ServerConnection) -> None:
        central = self
        assert socket.request is not None
        id_ = socket.request.path.rpartition("/")[2]
        self.authorization.add(socket.request.headers.get("Authorization"))

        class Other(ChargePoint):  # type: ignore[misc]  # which says nothing of its types
            @on("BootNotification")  # type: ignore[untyped-decorator]
            def booted(self, **_: Any) -> Any:
                now = datetime.now(UTC).isoformat()
                return call_result.BootNotification(now, 300, RegistrationStatus.accepted)

            @after("BootNotification")  # type: ignore[untyped-decorator]
            async def configure(self, **_: Any) -> None:
                await self.call(call.ChangeConfiguration("MeterValueSampleInterval", "30"))
                await self.call(call.GetConfiguration(["MeterValueSampleInterval"]))

            @on("MeterValues")  # type: ignore[untyped-decorator]
            async def metered(self, connector_id: int, meter_value: list[Any], **_: Any) -> Any:
                central._calls += 1
                answered = central._answer(socket, central._calls)
                if answered is not None:
                    await answered
                central.values += [(id_, each) for each in meter_value]
                return call_result.MeterValues()

        try:
            await Other(id_, socket).start()
        except ConnectionClosed:
            return


@contextmanager
def central_system(
    answer: Callable[[ServerConnection, int], Any] = lambda socket, number: None,
) -> Iterator[tuple[str, Central]]:
    """Run a central system; its URL. `answer` may await something, or raise, at each call."""
    central = Central(answer)
    started: Queue[tuple[str, Callable[[], object]]] = Queue()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        protocols = [Subprotocol("ocpp1.6")]
        async with serve(central.connected, "127.0.0.1", 0, subprotocols=protocols) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            started.put((url, lambda: loop.call_soon_threadsafe(stop.set)))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    url, stop = started.get(timeout=20)
    try:
        yield url, central
    finally:
        stop()
        thread.join()


def send(url: str, key: str | None = None) -> Sender:
    sender = Sender(url, 1, 100, key, over_ocpp(url, key))
    with sender.running():
        sender.send(ARRIVALS)
    return sender


def test_each_meter_is_a_charge_point_that_sends_meter_values() -> None:
    with central_system() as (url, central):
        sender = send(url, "secret")
    assert (sender.tally.sent, sender.tally.accepted) == (3, 3)
    first = {
        "timestamp": "2000-01-01T00:01:01+00:00",
        "sampled_value": [
            {
                "value": "1204500.123",
                "measurand": "Energy.Active.Import.Register",
                "unit": "Wh",
            },
            {"value": "231.200", "measurand": "Voltage", "unit": "V"},
        ],
    }
    assert ("MTR-1", first) in central.values
    by_id = [(id_, each["sampled_value"][0]["measurand"]) for id_, each in central.values]
    assert sorted(by_id) == [
        ("MTR%202", "Energy.Active.Import.Interval"),
        ("MTR-1", "Energy.Active.Import.Register"),
        ("MTR-1", "Energy.Active.Import.Register"),
    ]
    # base64 of the identity and the key
    assert central.authorization == {"Basic TVRSLTE6c2VjcmV0", "Basic TVRSIDI6c2VjcmV0"}


def test_it_is_told_how_often_to_measure_and_remembers_it() -> None:
    charge_point = SimulatedChargePoint("http://host", "MTR-1", None, lambda: False, lambda _: None)

    def ask(action: str, payload: Any) -> Any:
        kind, _, *answer = charge_point._reply([2, "1", action, payload])
        if kind == 4:
            return answer[0]
        get_validator(MessageType.CallResult, action, "1.6").validate(answer[0])
        return answer[0]

    interval = {"key": "MeterValueSampleInterval", "value": "30"}
    assert ask("ChangeConfiguration", interval) == {"status": "Accepted"}
    assert ask("ChangeConfiguration", interval | {"key": "X"}) == {"status": "NotSupported"}
    assert ask("GetConfiguration", {"key": ["MeterValueSampleInterval", "X"]}) == {
        "configurationKey": [interval | {"readonly": False}],
        "unknownKey": ["X"],
    }
    assert len(ask("GetConfiguration", {})["configurationKey"]) == 2
    assert ask("Reset", {"type": "Soft"}) == "NotImplemented"


def test_what_is_answered_with_an_error_or_a_lost_connection_is_sent_again() -> None:
    async def lose(socket: ServerConnection) -> None:
        await socket.close()
        raise RuntimeError("it is not stored, either")

    def answer(socket: ServerConnection, number: int) -> Any:
        if number == 1:
            raise RuntimeError("the database is away")
        return lose(socket) if number == 2 else None

    with central_system(answer) as (url, central):
        sender = send(url)
    assert sender.tally.accepted == 3
    assert sender.tally.again >= 2
    assert len(central.values) == 3


def test_a_message_that_is_refused_ends_the_simulation() -> None:
    def answer(socket: ServerConnection, number: int) -> Any:
        raise FormationViolationError("what is this")

    with (
        central_system(answer) as (url, _),
        pytest.raises(FleetMeterError, match="MeterValues was answered with FormationViolation"),
    ):
        send(url)


def test_a_service_without_ocpp_ends_the_simulation() -> None:
    with (
        answering([(404, {}, b"")]) as (url, _),
        pytest.raises(FleetMeterError, match=r"/ocpp/MTR.* cannot be used: .*404"),
    ):
        send(url)


def test_a_stop_while_nothing_answers_tells_what_was_not_sent() -> None:
    sender = Sender("http://127.0.0.1:1", 1, 100, None, over_ocpp("http://127.0.0.1:1", None))
    threading.Timer(0.3, sender.stop).start()
    with sender.running():
        sender.send(ARRIVALS)
    assert (sender.tally.sent, sender.tally.unsent) == (0, 3)
    assert "OCPP" in sender.tally.waiting
