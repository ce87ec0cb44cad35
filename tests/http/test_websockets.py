"""WebSockets are bounded like everything that comes in: in size, in number, and in silence."""

import json
import re
import socket as sockets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from select import select
from threading import Thread
from time import monotonic
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from fleetmeter.connections import websocket
from tests.conftest import Db, eventually, free_port, on_migrated
from tests.support.charge_points import charger, meter_value, minutes_ago
from tests.support.processes import Forked

pytestmark = pytest.mark.either

MANY = 30
EMPTY = b"\x8a\x80\0\0\0\0"
"""A pong that nobody asked for."""

HEARTBEAT = '[2,"1","Heartbeat",{}]'


@pytest.fixture(scope="module")
def base_url(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with room for few, and with little patience."""
    settings = {
        "FLEETMETER_PORT": str(port := free_port()),
        "FLEETMETER_CONNECTIONS": str(MANY),
        "FLEETMETER_BODY_TIMEOUT_S": "0.5",
        "FLEETMETER_QUEUE_BYTES": "100000",
    }
    patches = {f"{websocket.__name__}.PING_S": 0.5, f"{websocket.__name__}.SILENCE_S": 2.0}
    folder = tmp_path_factory.mktemp("websockets")
    log = folder / "service.log"
    process = Forked(["serve"], on_migrated(database_url) | settings, folder, log, patches)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _is_ready(url))
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def raw(base_url: str, charge_point: str) -> Iterator[sockets.socket]:
    """A connection whose frames a test writes itself."""
    parts = urlsplit(base_url)
    with sockets.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(
            f"GET /ocpp/{charge_point} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"nosniff" in head
        assert b"content-length" not in head.lower()
        assert b"chunked" not in head.lower()
        yield connection


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A frame of a client, masked with zeros."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2)
    return bytes([fin << 7 | opcode]) + size + bytes(4) + payload


def close_code(answer: bytes) -> int:
    assert answer[0] == 0x88, answer
    return int.from_bytes(answer[2:4])


def test_a_message_in_pieces_is_one(base_url: str, uid: str) -> None:
    with raw(base_url, f"{uid}cp") as connection:
        text = HEARTBEAT.encode()
        pieces = frame(1, text[:5], fin=False) + frame(0, text[5:], fin=True)
        for byte in range(len(pieces)):
            connection.sendall(pieces[byte : byte + 1])
        connection.sendall(frame(9, b"p") + frame(1, text) * 2)
        found = b""
        while found.count(b"currentTime") < 3:
            found += connection.recv(4096)
        assert b"\x8a\x01p" in found  # the pong


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\xff" + (2 << 20).to_bytes(8), 1009),
        (frame(1, b"[2", fin=False), 1008),
        (b"\x81", 1008),
        (frame(3, b""), 1002),
        (b"\x81\x01a", 1002),  # without a mask
        (frame(0, b"a"), 1002),
        (frame(1, b"", fin=False), 1008),
        (frame(1, b"", fin=False) + frame(0, b"", fin=False) * 5000, 1008),
        (frame(8, b""), None),
    ],
    ids=[
        *("too long", "half a message", "half a frame", "unknown", "bare", "middle"),
        *("nothing of a message", "many pieces", "goodbye"),
    ],
)
def test_frames_that_are_wrong_end_the_connection(
    base_url: str, uid: str, sent: bytes, code: int | None
) -> None:
    with raw(base_url, f"{uid}cp") as connection:
        connection.sendall(sent)
        answer = connection.recv(200)
        while code == 1008 and answer[0] == 0x89:  # a ping into the silence
            answer = connection.recv(200)
        assert (close_code(answer) if code else answer) == (code or b"\x88\x00")
        while connection.recv(200):
            pass  # and then it is closed


def test_who_is_silent_is_asked_and_who_answers_nothing_is_dropped(base_url: str, uid: str) -> None:
    with charger(base_url, f"{uid}well") as well, raw(base_url, f"{uid}dead") as dead:
        assert dead.recv(2) == b"\x89\x00"
        with pytest.raises(TimeoutError):
            well.socket.recv(timeout=3.5)  # its library answers pings
        assert well.call("Heartbeat", {})
        try:
            while dead.recv(100):
                pass
        except ConnectionResetError:
            pass


def test_web_sockets_leave_room_for_requests(base_url: str, uid: str) -> None:
    number = MANY * 9 // 10
    with ExitStack() as stack:
        for each in range(number):
            stack.enter_context(charger(base_url, f"{uid}{each}"))
        with pytest.raises(InvalidStatus) as refused, charger(base_url, f"{uid}more"):
            pass
        answer = refused.value.response
        assert answer.status_code == 503
        assert b"FLEETMETER_CONNECTIONS" in (answer.body or b"")
        assert httpx.get(f"{base_url}/health/live").status_code == 200
        assert httpx.get(f"{base_url}/v1/inputs").json()["connectedChargePoints"] == number
        metrics = httpx.get(f"{base_url}/metrics").text
        assert 'route="/ocpp/{charge_point_id}",status="101"' in metrics
    eventually(lambda: httpx.get(f"{base_url}/v1/inputs").json()["connectedChargePoints"] == 0)


def test_a_client_that_reads_no_answers_is_not_read_either(base_url: str, uid: str) -> None:
    with raw(base_url, f"{uid}cp") as connection:
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.sendall(frame(1, HEARTBEAT.encode()) * 1_000_000)


def test_messages_that_are_large_and_never_end_keep_no_others_out(base_url: str, uid: str) -> None:
    call = b'[2,"1","Heartbeat",{"x":"%b"}]' % (b"x" * 20_000)
    with (
        raw(base_url, f"{uid}well") as well,
        raw(base_url, f"{uid}one") as one,
        raw(base_url, f"{uid}two") as two,
    ):
        well.sendall(frame(1, call[:15_000], fin=False))
        for each in (one, two):
            each.sendall(frame(1, b"x" * 60_000, fin=False))
        (gone, *_), _, _ = select([one, two], [], [], 10)
        assert close_code(gone.recv(200)) == 1013
        well.sendall(frame(0, call[15_000:]))
        while b"currentTime" not in (found := well.recv(1000)):
            assert found[0] == 0x89, found


def test_calls_sent_far_ahead_are_answered_in_their_order(base_url: str, uid: str) -> None:
    number = 3000
    calls = [f'[2,"{each}","Heartbeat",{{}}]'.encode() for each in range(number)]
    with raw(base_url, f"{uid}cp") as connection:
        sending = Thread(
            target=connection.sendall, args=(b"".join(frame(1, call) + EMPTY for call in calls),)
        )
        sending.start()
        found = b""
        while found.count(b"currentTime") < number:
            found += connection.recv(1 << 16)
        sending.join()
        ids = [int(each) for each in re.findall(rb'\[3,"(\d+)"', found)]
        assert ids == list(range(number))


def test_tiny_frames_leave_others_their_turn(base_url: str, uid: str) -> None:
    """A read of the greatest size has 40,000 of them, which take half a second."""
    with raw(base_url, f"{uid}cp") as connection:
        connection.settimeout(0.05)
        waits: list[float] = []
        for _ in range(20):
            with suppress(TimeoutError):
                connection.sendall(frame(10, b"") * 40_000)
            began = monotonic()
            assert httpx.get(f"{base_url}/health/live").status_code == 200
            waits.append(monotonic() - began)
        assert sorted(waits)[10] < 0.25


def test_messages_before_the_answer_to_the_handshake_are_taken(base_url: str, uid: str) -> None:
    parts = urlsplit(base_url)
    with sockets.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(
            f"GET /ocpp/{uid}cp HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
            + frame(1, HEARTBEAT.encode())
        )
        found = b""
        while b"currentTime" not in found:
            found += connection.recv(4096)


def test_pages_of_other_sites_cannot_connect(base_url: str, db: Db, uid: str) -> None:
    """Without keys, any page could make a browser on this machine connect."""
    url = f"ws{base_url.removeprefix('http')}/ocpp/{uid}cp"
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(url, subprotocols=[Subprotocol("ocpp1.6")], origin=Origin("http://evil.example")),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_chargers_are_told_what_to_measure_once(base_url: str, uid: str) -> None:
    known = {
        "MeterValueSampleInterval": "300",
        "MeterValuesSampledData": "Energy.Active.Import.Register,Temperature",
    }

    def change(payload: dict[str, str]) -> dict[str, str]:
        if "SoC" in payload["value"]:
            return {"status": "Rejected"}
        known[payload["key"]] = payload["value"]
        return {"status": "Accepted"}

    def configuration(_: object) -> dict[str, object]:
        pairs = [{"key": k, "value": v, "readonly": False} for k, v in known.items()]
        return {"configurationKey": pairs}

    replies = {"GetConfiguration": configuration, "ChangeConfiguration": change}
    for times in (3, 0):
        with charger(base_url, f"{uid}cp") as cp:
            cp.replies = replies
            cp.call("BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"})
            cp.take_calls("GetConfiguration")
            cp.take_calls("ChangeConfiguration", times)
            cp.energy(minutes_ago(1), 5)
            eventually(lambda: bool(cp.call("Heartbeat", {})))
            asked = [action for action, _ in cp.asked]
            assert asked.count("ChangeConfiguration") == times
    assert known["MeterValueSampleInterval"] == "60"
    measurands = known["MeterValuesSampledData"].split(",")
    added = ["Power.Active.Import", "Voltage"]
    assert measurands == ["Energy.Active.Import.Register", "Temperature", *added]


def test_stations_of_2_0_1_are_told_what_to_measure(base_url: str, uid: str) -> None:
    def of(each: dict[str, object], **more: object) -> dict[str, object]:
        return {"component": each["component"], "variable": each["variable"]} | more

    def variables(payload: dict[str, list[dict[str, object]]]) -> dict[str, object]:
        return {
            "getVariableResult": [
                of(each, attributeStatus="Accepted", attributeValue="0")
                for each in payload["getVariableData"]
            ]
        }

    def change(payload: dict[str, list[dict[str, object]]]) -> dict[str, object]:
        result = [of(each, attributeStatus="Accepted") for each in payload["setVariableData"]]
        return {"setVariableResult": result}

    with charger(base_url, f"{uid}cp", "ocpp2.0.1") as cp:
        cp.replies = {"GetVariables": variables, "SetVariables": change}
        station = {"vendorName": "v", "model": "m"}
        cp.call("BootNotification", {"reason": "PowerUp", "chargingStation": station})
        cp.take_calls("SetVariables", 4)
        told = {
            each["variable"]["name"]: each["attributeValue"]
            for action, payload in cp.asked
            if action == "SetVariables"
            for each in payload["setVariableData"]
        }
        assert told["TxUpdatedInterval"] == "60"
        assert "Energy.Active.Import.Register" in told["TxUpdatedMeasurands"]
        cp.send(json.dumps([3, "unasked", {}]))
        values = [meter_value(minutes_ago(1), 5)]
        cp.call("MeterValues", {"evseId": 1, "meterValue": values})


def test_the_log_says_what_a_charger_refuses(database_url: str, tmp_path: Path, uid: str) -> None:
    settings = {"FLEETMETER_PORT": str(port := free_port())}
    log = tmp_path / "service.log"
    process = Forked(["serve"], on_migrated(database_url) | settings, tmp_path, log)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _is_ready(url))
        for _ in range(2):
            with charger(url, f"{uid}cp") as cp:
                read_only = {"key": "MeterValueSampleInterval", "value": "900", "readonly": True}
                cp.replies = {"GetConfiguration": {"configurationKey": [read_only]}}
                cp.call("BootNotification", {"chargePointVendor": "v", "chargePointModel": "m"})
                cp.take_calls("GetConfiguration")
        eventually(lambda: "read-only: 900" in log.read_text())
        assert log.read_text().count("does not let itself be told") == 2  # one for each setting
    finally:
        process.terminate()
        process.wait(timeout=30)
