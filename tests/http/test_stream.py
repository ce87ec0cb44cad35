"""GET /v1/stream: every event once and in order, states sampled, and slow readers dropped."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from fleetmeter import app
from fleetmeter.access.reach import EVERYTHING
from fleetmeter.http import stream as stream_module
from fleetmeter.notifications.stream.hub import Listener
from fleetmeter.serving import listening_socket
from fleetmeter.settings import Settings
from tests.conftest import (
    COMMAND,
    Db,
    Service,
    eventually,
    hours_ago,
    meter_reading,
    on_migrated,
    post,
    running_service,
    vehicle_reading,
)
from tests.support.events import happen
from tests.support.proxy import DatabaseProxy
from tests.support.services import served

pytestmark = pytest.mark.either

CLIENTS = 4
STATES_PER_S = 20


class Message(NamedTuple):
    """One event of a stream."""

    event: str
    id: int | None
    data: Any
    at: float


class Heard:
    """Events that a client has read from a stream so far."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.messages: list[Message] = []
        self.comments = 0
        self.last_event_id = 0
        """The Last-Event-ID that a browser would send."""

        self.retry_ms = 0
        self.ended = False
        """Set when the service ended the stream, with a last chunk."""

        self.cut = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self.answer.iter_lines():
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    assert name not in fields
                    fields[name] = value
                else:
                    self._take(fields)
                    fields = {}
            self.ended = True
        except (httpx.TransportError, httpx.StreamError):
            self.cut = True

    def _take(self, fields: dict[str, str]) -> None:
        self.retry_ms = int(fields.get("retry", self.retry_ms))
        self.last_event_id = int(fields.get("id", self.last_event_id))
        if "data" in fields:
            id_ = int(fields["id"]) if "id" in fields else None
            data = json.loads(fields["data"])
            self.messages.append(Message(fields["event"], id_, data, time.monotonic()))

    def leave(self) -> None:
        """Close the connection; the thread that reads it would keep it open."""
        stream = self.answer.extensions["network_stream"]
        with suppress(OSError):
            stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def of(self, device_id: str) -> list[Message]:
        """Return the events of one device."""
        return [message for message in self.messages if device_id in _ids(message.data)]

    def ids(self, device_id: str) -> list[int | None]:
        """Return the ids of the events of one device's anomaly, in order of arrival."""
        return [message.id for message in self.of(device_id) if message.event == "anomaly"]


def _ids(data: Any) -> list[str]:
    found = [data.get("vehicleId"), data.get("meterId"), data.get("anomaly", {}).get("deviceId")]
    return [each for each in found if each]


@contextmanager
def heard(base_url: str, after: object = None, **params: Any) -> Iterator[Heard]:
    """A client that reads the stream for the length of the block."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with (
        httpx.Client(base_url=base_url, timeout=30) as client,
        client.stream("GET", "/v1/stream", params=params, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        listening = Heard(answer)
        eventually(lambda: listening.retry_ms)
        try:
            yield listening
        finally:
            listening.leave()


@pytest.fixture(scope="module")
def proxy(database_url: str) -> Iterator[DatabaseProxy]:
    """The proxy between the narrow service and its database."""
    with DatabaseProxy(database_url).running() as running:
        yield running


@pytest.fixture(scope="module")
def narrow(proxy: DatabaseProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that takes few listeners and few states."""
    environ = {
        **on_migrated(proxy.url),
        "FLEETMETER_STREAM_CLIENTS": str(CLIENTS),
        "FLEETMETER_STREAM_STATES_PER_S": str(STATES_PER_S),
    }
    with running_service(tmp_path_factory.mktemp("narrow"), environ) as service:
        yield service


def test_it_begins_at_once_and_every_event_comes_once_in_order_to_all(
    service: Service, db: Db, uid: str
) -> None:
    with heard(service.base_url) as one, heard(service.base_url, only="anomalies") as other:
        assert one.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert one.answer.headers["cache-control"] == "no-store"
        assert (one.retry_ms, one.comments) == (3000, 1)
        ids = happen(db, f"{uid}EV", 700) + happen(db, f"{uid}EV")
        for listener in (one, other):
            eventually(lambda each: len(each.ids(f"{uid}EV")) >= 701, listener)
            assert listener.ids(f"{uid}EV") == ids
        assert {message.event for message in other.messages} == {"anomaly"}
        first = one.of(f"{uid}EV")[0].data
        assert first.keys() == {"event", "at", "who", "note", "anomaly"}
        assert (first["event"], first["note"]) == ("opened", "0")
        assert first["anomaly"]["summary"] == "as hot\nas that"


def test_a_client_that_reconnects_gets_what_happened_meanwhile(
    service: Service, db: Db, uid: str
) -> None:
    with heard(service.base_url) as before:
        pass  # it has seen nothing, and yet knows where it was
    ids = happen(db, f"{uid}EV", 150)
    was_at = before.last_event_id
    ways: list[tuple[int | None, dict[str, Any], list[int]]] = [
        (was_at, {"only": "anomalies"}, ids),
        (None, {"lastEventId": was_at}, ids),
        (was_at, {"lastEventId": 0}, ids),  # an old URL: what the browser knows counts
        (ids[99], {}, ids[100:]),
        (None, {"only": "anomalies"}, []),
    ]
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(heard(service.base_url, after, **params))
            for after, params, _ in ways
        ]
        live = happen(db, f"{uid}live")
        for listener, (_, _, missed) in zip(listeners, ways, strict=True):
            eventually(lambda each: each.ids(f"{uid}live") == live, listener)
            assert listener.ids(f"{uid}EV") == missed
            assert listener.last_event_id >= live[0]


@pytest.mark.postgresql
def test_a_stop_does_not_wait_for_listeners_who_go_on_after_a_restart(
    database_url: str, narrow: Service, db: Db, tmp_path: Path, uid: str
) -> None:
    environ = on_migrated(database_url)
    with running_service(tmp_path, environ) as service, heard(service.base_url) as before:
        first = happen(db, f"{uid}EV", 50, padding=100_000)
        eventually(lambda: before.ids(f"{uid}EV") == first)
        with stalled(service.base_url, f"?only=anomalies&lastEventId={first[0] - 1}"):
            eventually(lambda: connections(service) == 2)
            time.sleep(0.5)  # it has more to read than buffers hold
            assert_stops(service, signal.SIGTERM, before)
    second = happen(db, f"{uid}EV", 3, kind="soc_mismatch")
    with heard(narrow.base_url, before.last_event_id) as after:  # one that was started since
        third = happen(db, f"{uid}EV", 3, kind="standby_loss")
        eventually(lambda: len(after.ids(f"{uid}EV")) >= 6)
        assert after.ids(f"{uid}EV") == second + third


@pytest.mark.slow
@pytest.mark.postgresql
def test_a_stop_of_several_processes_does_not_wait_for_listeners(
    database_url: str, db: Db, tmp_path: Path, uid: str
) -> None:
    environ = on_migrated(database_url)
    with (
        running_service(tmp_path, environ, COMMAND, options=["--workers", "2"]) as service,
        ExitStack() as listeners,
    ):
        heard_by = [listeners.enter_context(heard(service.base_url)) for _ in range(6)]
        ids = happen(db, f"{uid}EV")
        eventually(lambda: all(each.ids(f"{uid}EV") == ids for each in heard_by))
        assert_stops(service, signal.SIGINT, *heard_by)


def assert_stops(service: Service, number: signal.Signals, *listeners: Heard) -> None:
    """Assert that the service stops before listeners would be cut off, and streams end properly."""
    service.process.send_signal(number)
    assert service.process.wait(60) == 0
    eventually(lambda: all(listener.ended for listener in listeners))
    log = service.log.read_text()
    assert "timeout graceful shutdown exceeded" not in log
    assert "Exception" not in log


def test_a_client_that_missed_too_much_is_notified_and_gets_the_newest_thousand(
    service: Service, db: Db, uid: str
) -> None:
    ids = happen(db, f"{uid}EV", 1200)
    newer = db.value("select count(*) from anomaly_events where id > $1", ids[-1])
    with (
        heard(service.base_url, ids[0], only="anomalies") as listener,
        heard(service.base_url, 2**63 - 1) as foreign,  # of a database that is no more
    ):
        eventually(lambda: ids[-1] in listener.ids(f"{uid}EV"))
        told = listener.messages[0]
        assert told.event == "missed"
        assert told.id is not None, "a client that is cut off here would not hear of it"
        assert told.id + 1 in ids
        assert told.data["since"] == ids[0]
        assert 199 <= told.data["events"] <= 199 + newer + 20
        came = listener.ids(f"{uid}EV")
        assert came == ids[len(ids) - len(came) :]
        assert 900 < len(came) <= 1000
        live = happen(db, f"{uid}live")
        eventually(lambda: foreign.ids(f"{uid}live") == live)


def test_a_streamed_state_is_the_one_that_the_api_answers(service: Service, uid: str) -> None:
    with (
        httpx.Client(base_url=service.base_url, timeout=30) as client,
        heard(service.base_url, only="states") as listener,
    ):
        assert listener.last_event_id == 0
        post(
            client,
            vehicle_reading(f"{uid}EV", hours_ago(0)),
            meter_reading(f"{uid}M", hours_ago(0)),
        )
        client.patch(f"/v1/meters/{uid}M", json={"site": "BER-1"})
        for event, path, id_ in (("vehicle", "vehicles", "EV"), ("meter", "meters", "M")):
            # a look that took long is followed by a pause of twenty times as long
            shown = eventually(listener.of, f"{uid}{id_}", timeout_s=60)[0]
            assert shown.event == event
            assert shown.id is None
            state = client.get(f"/v1/{path}/{uid}{id_}").json()
            shown.data.pop("settings", None)  # set after its reading was shown, perhaps
            state.pop("settings", None)
            assert shown.data == state


@pytest.mark.postgresql
def test_states_come_at_a_bounded_rate_and_every_device_has_its_turn(
    narrow: Service, uid: str
) -> None:
    devices = [f"{uid}{n:02}" for n in range(20)]
    with (
        httpx.Client(base_url=narrow.base_url, timeout=30) as client,
        heard(narrow.base_url) as listener,
    ):
        for minutes in (2, 1):
            began = len(listener.messages)
            at = hours_ago(0) - timedelta(minutes=minutes)
            post(client, *(vehicle_reading(each, at) for each in devices))
            post(client, *(meter_reading(each, at) for each in devices))
            expected = {(event, each) for event in ("vehicle", "meter") for each in devices}

            def all_shown(began: int = began, expected: Any = expected) -> bool:
                shown = {(m.event, id_) for m in listener.messages[began:] for id_ in _ids(m.data)}
                return bool(expected <= shown)

            eventually(all_shown, timeout_s=30, pause_s=0.3)
    states = [message for message in listener.messages if message.event != "anomaly"]
    took_s = states[-1].at - states[0].at
    assert len(states) <= STATES_PER_S * (took_s + 2)
    shown = [(m.event, *_ids(m.data), m.data["lastSeen"]) for m in states]
    assert len(set(shown)) == len(shown), "a state was shown twice"


def connections(service: Service) -> int:
    """Return the number of clients connected to a service."""
    return _connections(service.process.pid, service.base_url)


def _connections(pid: int, base_url: str) -> int:
    return sum(
        connection.status == psutil.CONN_ESTABLISHED
        and connection.laddr.port == httpx.URL(base_url).port
        for connection in psutil.Process(pid).net_connections("tcp")
    )


def stalled(base_url: str, query: str = "") -> socket.socket:
    """A client that asks for the stream and never reads it."""
    url = httpx.URL(base_url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((url.host, url.port))
    client.sendall(f"GET /v1/stream{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


@pytest.mark.postgresql
def test_slow_readers_are_dropped_while_a_fast_one_goes_on_and_memory_stays_flat(
    narrow: Service, db: Db, uid: str
) -> None:
    eventually(lambda: connections(narrow) == 0)
    process = psutil.Process(narrow.process.pid)
    with heard(narrow.base_url, only="anomalies") as fast, ExitStack() as slow:
        before = process.memory_info().rss
        for _ in range(CLIENTS - 1):
            slow.enter_context(stalled(narrow.base_url, "?only=anomalies"))
        eventually(lambda: connections(narrow) == CLIENTS)
        ids: list[int] = []

        def flooded() -> bool:
            ids.extend(happen(db, f"{uid}EV{len(ids)}", 100, padding=20_000))
            return len(ids) >= 1000 and connections(narrow) == 1

        eventually(flooded, timeout_s=60, pause_s=0.3)
        eventually(lambda: fast.last_event_id >= ids[-1], timeout_s=30, pause_s=0.3)
        came = [message.id for message in fast.messages if message.id in set(ids)]
        assert came == ids
        assert process.memory_info().rss - before < 15 << 20
        assert narrow.log.read_text().count("is dropped") >= CLIENTS - 1
        with heard(narrow.base_url, ids[-2]) as again:
            eventually(lambda: ids[-1] in [message.id for message in again.messages])
    eventually(lambda: connections(narrow) == 0)


@pytest.mark.postgresql
def test_the_number_of_listeners_is_limited_and_leaving_frees_a_place(narrow: Service) -> None:
    eventually(lambda: connections(narrow) == 0)
    with ExitStack() as listeners:
        for _ in range(CLIENTS):
            listeners.enter_context(heard(narrow.base_url))
        for _ in range(3):
            refused = httpx.get(f"{narrow.base_url}/v1/stream")
            assert refused.status_code == 503
            assert refused.json()["type"] == "urn:fleetmeter:problem:stream-full"
            assert int(refused.headers["retry-after"]) >= 1
    for _ in range(3 * CLIENTS):

        def answers() -> bool:
            with httpx.stream("GET", f"{narrow.base_url}/v1/stream") as answer:
                return answer.status_code == 200

        eventually(answers)


def test_events_up_to_the_last_event_id_are_not_sent_again() -> None:
    async def listen() -> bytes:
        listener = Listener(only=None, reach=EVERYTHING)
        for event_id in (0, 1, 2, 3, 0):  # 0: a state
            listener.put(b"%d" % event_id, event_id)
        return await listener.take(after=2)

    assert asyncio.run(listen()) == b"030"


@pytest.mark.parametrize(
    ("after", "params", "path"),
    [
        ("abc", {}, "Last-Event-ID"),
        ("-1", {}, "Last-Event-ID"),
        ("1.5", {}, "Last-Event-ID"),
        ("9223372036854775808", {}, "Last-Event-ID"),
        (None, {"lastEventId": "x"}, "lastEventId"),
        (None, {"lastEventId": "1e3"}, "lastEventId"),
        (None, {"only": "errors"}, "only"),
        (None, {"limit": "3"}, "limit"),
        (None, {"last-event-id": "3"}, "last-event-id"),
    ],
)
def test_an_invalid_subscription_is_a_problem(
    client: httpx.Client, after: str | None, params: dict[str, str], path: str
) -> None:
    headers = {"Last-Event-ID": after} if after else {}
    answer = client.get("/v1/stream", params=params, headers=headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.postgresql
def test_a_silent_stream_sends_keep_alives_and_one_that_is_not_read_is_dropped(
    database_url: str, db: Db, uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_S", 0.2)
    monkeypatch.setattr(stream_module, "STALL_S", 0.5)
    monkeypatch.setattr(app, "_spare_the_collector", lambda: None)
    with served(database_url) as url:
        with heard(url, only="anomalies") as listener:
            eventually(lambda: listener.comments >= 4)
        happen(db, f"{uid}EV", 60, padding=200_000)
        with stalled(url, "?only=anomalies&lastEventId=0") as slow:
            eventually(lambda: _connections(os.getpid(), url) == 1)
            eventually(lambda: _connections(os.getpid(), url) == 0)
            slow.settimeout(20)
            got = b"".join(iter(lambda: slow.recv(1 << 20), b""))
            assert not got.endswith(b"0\r\n\r\n"), "it looks as if it had ended"


@pytest.mark.postgresql
def test_a_stream_stays_open_without_its_database_and_continues_later(
    narrow: Service, proxy: DatabaseProxy, db: Db, uid: str
) -> None:
    with heard(narrow.base_url) as listener:
        ids = happen(db, f"{uid}EV")
        eventually(lambda: listener.ids(f"{uid}EV") == ids)
        proxy.take_away()
        refused = httpx.get(f"{narrow.base_url}/v1/stream")
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:fleetmeter:problem:database-unavailable"
        ids += happen(db, f"{uid}EV", kind="soc_mismatch")
        time.sleep(1.2)
        proxy.give_back()
        eventually(lambda: listener.ids(f"{uid}EV") == ids)
        assert not listener.cut


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
def test_a_peer_that_is_gone_is_given_up_within_a_minute() -> None:
    with listening_socket(Settings(port=0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            given_up = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert given_up == 60_000
