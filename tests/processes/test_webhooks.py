"""Webhooks over real HTTP: every event, in order, at least once, and only where it may go."""

import asyncio
import json
import re
import shutil
import ssl
import subprocess
import threading
import time
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from hmac import digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from fleetmeter import cli
from fleetmeter.database.pool import connect
from fleetmeter.notifications.webhooks import worker as delivery_module
from fleetmeter.notifications.webhooks.attempt import Sender, _trusted
from fleetmeter.notifications.webhooks.worker import Delivery, DeliveryTiming
from fleetmeter.settings import Settings
from fleetmeter.webhook_networks import Networks
from tests.conftest import Db, Server, eventually, migrated_database, on_migrated, running_service
from tests.support.events import happen

FAST = DeliveryTiming(first_backoff_s=0.05, longest_backoff_s=0.4, lease_s=10, interval_s=0.05)
LOCAL = "127.0.0.0/8"


class Receiver:
    """An HTTP server that gives the answers it was set to, 200 by default."""

    def __init__(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        """Headers and bodies, in the order in which they came."""

        self.times: list[float] = []
        self.answers: deque[int | str] = deque()
        """A status, close, hang, later, endless body, endless headers, or where to redirect to."""

        self.answers_after_s = 0.0
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.take(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = self._server.server_port
        self.url = f"http://{host}:{self.port}/hook"

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        """Run the receiver for the length of the block."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        """Record a request, and answer it."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        body = handler.rfile.read(int(handler.headers["content-length"]))
        with self._lock:
            self.requests.append(({k.lower(): v for k, v in handler.headers.items()}, body))
            self.times.append(time.monotonic())
            answer = self.answers.popleft() if self.answers else 200
        if self.answers_after_s:
            time.sleep(self.answers_after_s)
        with self._lock:
            self._at_once -= 1
        with suppress(OSError):
            self._answer(handler, answer)

    def _answer(self, handler: BaseHTTPRequestHandler, answer: int | str) -> None:
        handler.close_connection = True
        if answer == "close":
            return
        if answer == "hang":
            self._over.wait(20)
            return
        if answer == "endless headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self._over.wait(0.01):
                handler.wfile.write(b"x-more: x\r\n")
            return
        if isinstance(answer, str) and answer.startswith("http"):
            handler.send_response(302)
            handler.send_header("location", answer)
            handler.end_headers()
            return
        if answer == "later":
            handler.send_response(503)
            handler.send_header("retry-after", "30")
            handler.end_headers()
            return
        handler.send_response(200 if answer == "endless body" else int(answer))
        handler.end_headers()
        while answer == "endless body" and not self._over.is_set():
            handler.wfile.write(b"x" * 65536)

    def numbers(self) -> list[int]:
        """Return the numbers in the notes of the events, in order of arrival."""
        return [int(json.loads(body)["data"]["note"]) for _, body in self.requests]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().running() as running:
        yield running


@pytest.fixture(scope="module")
def telling_url(server: Server) -> Iterator[str]:
    """A database whose webhooks no service of other tests delivers to."""
    with migrated_database(server) as url:
        yield url


@pytest.fixture
def told(telling_url: str) -> Db:
    """The same database, without events and webhooks."""
    db = Db(telling_url)
    db.run("truncate webhooks; truncate anomalies cascade")
    return db


def add(db: Db, url: str, format_: str = "fleetmeter", kinds: list[str] | None = None) -> int:
    """Add a webhook that gets events from now on."""
    webhook_id: int = db.value(
        "insert into webhooks (url, secret, format, kinds, last_event_id) select $1, $2, $3, $4,"
        " coalesce(max(id), 0) from anomaly_events returning id",
        url,
        SECRET,
        format_,
        kinds,
    )
    return webhook_id


SECRET = "whsec_" + b64encode(b"0123456789abcdef0123456789abcdef").decode()


def webhook(db: Db, webhook_id: int) -> Any:
    """Return the row of a webhook."""
    return db.fetch("select * from webhooks where id = $1", webhook_id)[0]


@contextmanager
def delivery(
    url: str,
    networks: str = LOCAL,
    attempts: int = 20,
    total_s: float = 5,
    timing: DeliveryTiming = FAST,
) -> Iterator[None]:
    """Run the service's delivery in a thread, at shorter intervals."""
    settings = Settings(pool_size=3, webhook_attempts=attempts)
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        database = await connect(url, settings)
        sender = Sender(Networks(networks), total_s)
        task = asyncio.create_task(Delivery(database, sender, settings, timing).run())
        loops.append(asyncio.get_running_loop())
        started.set()
        await stop.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await sender.close()
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert started.wait(20)
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


def assert_signed(headers: dict[str, str], body: bytes) -> None:
    """Check the signature as a receiver does."""
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = b64decode(SECRET.removeprefix("whsec_"))
    expected = b64encode(digest(key, signed, sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.either
def test_every_event_is_sent_once_in_order_and_signed(told: Db, receiver: Receiver) -> None:
    happen(told, "EV-0")
    webhook_id = add(told, receiver.url)
    happen(told, "EV-1", 120)
    with delivery(told.url):
        eventually(lambda: len(receiver.requests) >= 120)
        happen(told, "EV-2")
        newest = told.value("select max(id) from anomaly_events")
        # written after the receiver has answered
        eventually(lambda: webhook(told, webhook_id)["last_event_id"] == newest)
    assert receiver.numbers() == [*range(120), 0]
    assert receiver.most_at_once == 1
    for headers, body in receiver.requests:
        assert_signed(headers, body)
        assert headers["content-type"] == "application/json"
        assert headers["user-agent"].startswith("FleetMeter/")
        assert headers["host"] == f"127.0.0.1:{receiver.port}"
        assert json.loads(body)["id"] == headers["webhook-id"]
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 121
    row = webhook(told, webhook_id)
    assert (row["failures"], row["last_error"]) == (0, None)
    assert row["last_success_at"] is not None


@pytest.mark.either
def test_a_webhook_gets_only_its_kinds_in_its_format(told: Db) -> None:
    with Receiver().running() as some, Receiver().running() as other:
        hot = add(told, some.url, kinds=["battery_hot"])
        add(told, other.url, format_="alertmanager")
        happen(told, "EV-1", kind="battery_hot")
        happen(told, "EV-1", 3, kind="soc_mismatch")
        with delivery(told.url):
            newest = told.value("select max(id) from anomaly_events")
            eventually(lambda: len(other.requests) == 4)
            eventually(lambda: webhook(told, hot)["last_event_id"] == newest)
        assert len(some.requests) == 1
        alerts = [json.loads(body) for _, body in other.requests]
        assert [alert["commonLabels"]["alertname"] for alert in alerts] == [
            "battery_hot",
            *["soc_mismatch"] * 3,
        ]
        for headers, body in other.requests:
            assert_signed(headers, body)


@pytest.mark.postgresql
def test_failed_events_are_retried_less_and_less_often_and_in_order(
    told: Db, receiver: Receiver
) -> None:
    webhook_id = add(told, receiver.url)
    happen(told, "EV-1", 3)
    receiver.answers.extend([200, 500, 503, 429, 404])
    with delivery(told.url):
        eventually(lambda: len(receiver.requests) == 7)
        eventually(lambda: webhook(told, webhook_id)["failures"] == 0)
    assert receiver.numbers() == [0, 1, 1, 1, 1, 1, 2]
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert len(set(ids)) == 3
    assert len(set(ids[1:6])) == 1
    for headers, body in receiver.requests:
        assert_signed(headers, body)
    gaps = [later - earlier for earlier, later in pairwise(receiver.times)]
    for n, gap in enumerate(gaps[1:5]):
        assert gap >= FAST.first_backoff_s * 2**n / 2


@pytest.mark.postgresql
def test_a_receiver_may_ask_for_a_later_retry(told: Db, receiver: Receiver) -> None:
    webhook_id = add(told, receiver.url)
    happen(told, "EV-1")
    receiver.answers.append("later")
    with delivery(told.url):
        eventually(lambda: webhook(told, webhook_id)["failures"])
        waits = "select next_attempt_at > now() + interval '20 seconds' from webhooks"
        assert told.value(waits)


def test_backoff_doubles_to_an_hour_and_twenty_failures_take_hours() -> None:
    timing = DeliveryTiming()
    for failures, full_s in ((1, 1), (2, 2), (5, 16), (12, 2048), (13, 3600), (1000, 3600)):
        waits = {timing.backoff(failures).total_seconds() for _ in range(50)}
        assert full_s / 2 <= min(waits) < max(waits) <= full_s
    least_s = sum(min(2 ** (n - 1), 3600) / 2 for n in range(1, 20))
    assert least_s > 4 * 3600


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (500, "it answered 500 Internal Server Error"),
        ("hang", "no answer in time"),
        ("endless headers", "before an answer in HTTP came|no answer in time"),
        ("close", "the connection broke before an answer in HTTP came"),
    ],
)
def test_the_reason_of_a_failure_is_shown_and_the_next_attempt_may_succeed(
    told: Db, receiver: Receiver, answer: int | str, error: str
) -> None:
    slow = msgspec.structs.replace(FAST, first_backoff_s=0.6, longest_backoff_s=0.6)
    webhook_id = add(told, receiver.url)
    happen(told, "EV-1")
    receiver.answers.append(answer)
    with delivery(told.url, total_s=0.5, timing=slow):
        failed = eventually(lambda: (w := webhook(told, webhook_id))["failures"] and w)
        assert re.search(error, failed["last_error"])
        eventually(lambda: webhook(told, webhook_id)["last_success_at"])
    assert receiver.numbers() == [0, 0]


@pytest.mark.postgresql
def test_a_receiver_that_is_not_there_has_failed(told: Db) -> None:
    with Receiver().running() as gone:
        pass
    webhook_id = add(told, gone.url)
    happen(told, "EV-1")
    with delivery(told.url):
        error = eventually(lambda: webhook(told, webhook_id)["last_error"])
    assert error.startswith("no connection: ")


@pytest.mark.postgresql
def test_a_redirect_is_a_failure_and_is_not_followed(told: Db, receiver: Receiver) -> None:
    with Receiver("127.0.0.2").running() as elsewhere:
        webhook_id = add(told, receiver.url)
        happen(told, "EV-1")
        receiver.answers.extend([elsewhere.url] * 100)
        with delivery(told.url, attempts=2):
            row = eventually(lambda: (w := webhook(told, webhook_id))["disabled_at"] and w)
        assert row["last_error"] == (
            "it answered 302 Found; redirects are not followed: add the URL that it leads to"
        )
        assert elsewhere.requests == []


@pytest.mark.postgresql
def test_an_endless_answer_is_cut_and_its_status_counts(told: Db, receiver: Receiver) -> None:
    webhook_id = add(told, receiver.url)
    happen(told, "EV-1", 2)
    receiver.answers.extend(["endless body", "endless body"])
    with delivery(told.url):
        newest = told.value("select max(id) from anomaly_events")
        eventually(lambda: webhook(told, webhook_id)["last_event_id"] == newest)
    assert receiver.numbers() == [0, 1]


@pytest.mark.postgresql
def test_a_receiver_that_is_gone_is_disabled_at_once(told: Db, receiver: Receiver) -> None:
    webhook_id = add(told, receiver.url)
    happen(told, "EV-1", 2)
    receiver.answers.append(410)
    with delivery(told.url):
        row = eventually(lambda: (w := webhook(told, webhook_id))["disabled_at"] and w)
        time.sleep(0.3)
    assert row["last_error"] == "it answered 410 Gone"
    assert receiver.numbers() == [0]


@pytest.mark.either
def test_a_dead_webhook_is_disabled_shown_and_holds_up_nobody(
    told: Db, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver().running() as dead:
        dead.answers.extend([500] * 3)
        dead_id = add(told, f"{dead.url}?token=hidden")
        add(told, receiver.url)
        happen(told, "EV-1", 5)
        with delivery(told.url, attempts=3):
            eventually(lambda: len(receiver.requests) == 5)
            eventually(lambda: webhook(told, dead_id)["disabled_at"])
            time.sleep(0.3)
            assert dead.numbers() == [0, 0, 0]

            shown = webhook_command(told, monkeypatch, "list")
            assert f"{dead.url}?…" in shown.output
            assert "disabled since" in shown.output
            assert "events waiting: 5" in shown.output
            assert "last error: it answered 500 Internal Server Error" in shown.output
            for secret in (SECRET, "whsec_", "hidden"):
                assert secret not in shown.output

            enabled = webhook_command(told, monkeypatch, "enable", str(dead_id))
            assert enabled.exit_code == 0
            eventually(lambda: len(dead.requests) == 8)
            assert dead.numbers()[3:] == [0, 1, 2, 3, 4]
            assert "disabled" not in webhook_command(told, monkeypatch, "list").output


@pytest.mark.postgresql
def test_what_a_disabled_webhook_has_missed_can_be_left_out(
    told: Db, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook_id = add(told, receiver.url)
    told.run("update webhooks set disabled_at = now(), failures = 20")
    happen(told, "EV-1", 5)
    with delivery(told.url):
        webhook_command(told, monkeypatch, "enable", str(webhook_id), "--from-now")
        happen(told, "EV-1", 1)
        eventually(lambda: len(receiver.requests) == 1)
    assert receiver.numbers() == [0]


@pytest.mark.postgresql
def test_a_restart_in_between_loses_and_duplicates_nothing(told: Db, receiver: Receiver) -> None:
    webhook_id = add(told, receiver.url)
    happen(told, "EV-1", 30)
    receiver.answers_after_s = 0.02
    with delivery(told.url):
        eventually(lambda: len(receiver.requests) >= 5, pause_s=0.01)
    stopped_at = len(receiver.requests)
    receiver.answers.append(500)
    with delivery(told.url):
        eventually(lambda: webhook(told, webhook_id)["failures"])
    with delivery(told.url):  # what was claimed when it stopped is free after ten seconds
        eventually(lambda: receiver.numbers()[-1] == 29, timeout_s=30)
    numbers = receiver.numbers()
    assert stopped_at < 30
    assert sorted(set(numbers)) == list(range(30))
    assert numbers == sorted(numbers)
    assert len(numbers) <= 30 + 3  # once more for each stop, and for the failure


@pytest.mark.postgresql
def test_events_of_a_process_that_died_are_sent_by_another(told: Db, receiver: Receiver) -> None:
    add(told, receiver.url)
    happen(told, "EV-1")
    began = time.monotonic()
    told.run("update webhooks set next_attempt_at = now() + interval '1 second'")  # its claim
    with delivery(told.url):
        eventually(lambda: receiver.numbers() == [0])
    assert receiver.times[0] - began >= 1


@pytest.mark.slow
@pytest.mark.postgresql
def test_several_services_send_each_event_once_and_one_at_a_time(
    told: Db, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answers_after_s = 0.01
    environ = {
        **on_migrated(told.url),
        "FLEETMETER_WEBHOOK_NETWORKS": LOCAL,
        "FLEETMETER_LOG_LEVEL": "debug",
    }
    with running_service(tmp_path, environ) as service:
        add(told, f"{receiver.url}/path-secret?token=query-secret")
        with delivery(told.url, timing=DeliveryTiming()):
            for n in range(2):
                happen(told, f"EV-{n}", 60)
                time.sleep(0.4)
            eventually(lambda: len(receiver.requests) >= 120)
            time.sleep(0.3)
        assert receiver.numbers() == list(range(60)) * 2
        assert receiver.most_at_once == 1
        receiver.answers.append(500)
        happen(told, "EV-9")
        eventually(lambda: '"a webhook failed"' in service.log.read_text())
    log = service.log.read_text()
    for secret in ("path-secret", "query-secret", "whsec_"):
        assert secret not in log


@pytest.mark.postgresql
def test_a_slow_receiver_does_not_delay_the_others(
    told: Db, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_AT_ONCE", 1)
    with Receiver().running() as slow:
        slow.answers_after_s = 0.1
        add(told, slow.url)
        happen(told, "EV-1", 20)
        add(told, receiver.url)
        happen(told, "EV-2")
        with delivery(told.url, timing=msgspec.structs.replace(FAST, turn_s=0.2)):
            eventually(lambda: receiver.numbers() == [0])
            assert len(slow.requests) < 20
            slow.answers_after_s = 0
            eventually(lambda: len(slow.requests) == 21)
        assert slow.numbers() == [*range(20), 0]


@pytest.mark.postgresql
def test_a_private_address_is_not_sent_to_whatever_its_name(told: Db) -> None:
    def last_error(webhook_id: int) -> Any:
        return webhook(told, webhook_id)["last_error"]

    with Receiver().running() as private:
        ids = [
            add(told, private.url),
            add(told, f"http://localhost:{private.port}/"),
            add(told, f"http://[::ffff:127.0.0.1]:{private.port}/"),
        ]
        happen(told, "EV-1")
        with delivery(told.url, networks="public"):
            for webhook_id in ids:
                error = eventually(last_error, webhook_id)
                assert "is not an address that webhooks may be sent to" in error
        assert private.requests == []


def test_the_connection_goes_to_the_address_that_was_checked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name resolves to another address the second time; it is resolved once."""
    asked: list[str] = []

    async def run() -> None:
        async def getaddrinfo(host: str, port: int, **_: object) -> Any:
            asked.append(host)
            address = "127.0.0.1" if len(asked) == 1 else "127.0.0.3"
            return [(2, 1, 6, "", (address, port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        sender = Sender(Networks("127.0.0.1/32"))
        url = f"http://rebind.example:{receiver.port}/hook"
        first = await sender.send(url, SECRET, "a", b"{}")
        assert first.error is None
        again = await sender.send(url, SECRET, "b", b"{}")
        assert again.error is not None
        assert "127.0.0.3 (of rebind.example) is not an address" in again.error
        await sender.close()

    asyncio.run(run())
    assert asked == ["rebind.example"] * 2
    ((headers, _),) = receiver.requests
    assert headers["host"] == f"rebind.example:{receiver.port}"


def test_proxies_of_the_environment_are_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def run() -> None:
        sender = Sender(Networks(LOCAL))
        assert (await sender.send(receiver.url, SECRET, "a", b"{}")).error is None
        await sender.close()

    asyncio.run(run())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_must_be_trusted_and_match_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=fleet.example"),
            *("-addext", "subjectAltName=DNS:fleet.example"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def send(host: str, port: int) -> str | None:
        async def getaddrinfo(*_: object, **__: object) -> Any:
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        sender = Sender(Networks(LOCAL))
        outcome = await sender.send(f"https://{host}:{port}/", SECRET, "a", b"{}")
        await sender.close()
        return outcome.error

    with Receiver(tls=context).running() as receiver:
        untrusted = asyncio.run(send("fleet.example", receiver.port))
        assert untrusted is not None
        assert "certificate verify failed" in untrusted
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        other = asyncio.run(send("other.example", receiver.port))
        assert other is not None
        assert "other.example" in other
        assert receiver.requests == []
        assert asyncio.run(send("fleet.example", receiver.port)) is None
        assert len(receiver.requests) == 1
    assert _trusted().verify_mode == ssl.CERT_REQUIRED


def webhook_command(db: Db, monkeypatch: pytest.MonkeyPatch, *args: str) -> Result:
    """`fleetmeter webhook …` on the database."""
    monkeypatch.setenv("FLEETMETER_DATABASE_URL", db.url)
    return CliRunner().invoke(cli.main, ["webhook", *args])


@pytest.mark.either
def test_a_webhook_is_added_tested_listed_and_removed(
    told: Db, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETMETER_WEBHOOK_NETWORKS", LOCAL)
    assert webhook_command(told, monkeypatch, "list").output == "no webhooks\n"
    happen(told, "EV-0")
    added = webhook_command(
        told, monkeypatch, "add", receiver.url, "--kind", "battery_hot", "--kind", "soc_mismatch"
    )
    assert added.exit_code == 0, added.output
    row = told.fetch("select * from webhooks")[0]
    assert added.output == (
        f"webhook {row['id']} added; it receives events from now on\nsecret: {row['secret']}\n"
    )
    assert row["kinds"] == ["battery_hot", "soc_mismatch"]
    assert row["last_event_id"] == told.value("select max(id) from anomaly_events")

    again = webhook_command(told, monkeypatch, "add", receiver.url)
    assert again.exit_code == 1
    assert "already" in again.output

    tried = webhook_command(told, monkeypatch, "test", str(row["id"]))
    assert tried.output == "the webhook accepted the message: 200\n"
    assert json.loads(receiver.requests[0][1])["type"] == "test"
    receiver.answers.append(418)
    failed = webhook_command(told, monkeypatch, "test", str(row["id"]))
    assert failed.exit_code == 1
    assert failed.output == "Error: it answered 418 I'm a Teapot\n"

    listed = webhook_command(told, monkeypatch, "list").output
    assert receiver.url in listed
    assert "fleetmeter, battery_hot, soc_mismatch" in listed
    assert row["secret"] not in listed

    assert webhook_command(told, monkeypatch, "remove", receiver.url).exit_code == 0
    for command in (["remove", "77"], ["enable", "77"], ["test", "77"]):
        unknown = webhook_command(told, monkeypatch, *command)
        assert unknown.exit_code == 1
        assert "unknown webhook 77" in unknown.output
    assert told.value("select count(*) from webhooks") == 0


@pytest.mark.postgresql
def test_a_forbidden_address_cannot_be_added(told: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, why in (
        ("http://127.0.0.1:9/", "is not an address that webhooks may be sent to"),
        ("http://localhost/", "(of localhost) is not an address"),
        ("http://169.254.169.254/latest/meta-data", "FLEETMETER_WEBHOOK_NETWORKS"),
        ("https://user:pa55@example.org/", "must not have a user"),
        ("gopher://example.org/", "http:// or https://"),
        ("http://nowhere.invalid/", "has no address"),
    ):
        refused = webhook_command(told, monkeypatch, "add", url)
        assert refused.exit_code == 1
        assert why in refused.output
        assert "pa55" not in refused.output
    assert told.value("select count(*) from webhooks") == 0


@pytest.mark.postgresql
def test_there_are_not_more_than_a_hundred(told: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETMETER_WEBHOOK_NETWORKS", LOCAL)
    told.run(
        "insert into webhooks (url, secret, format, last_event_id)"
        " select 'http://127.0.0.1/' || n, '', 'fleetmeter', 0 from generate_series(1, 100) as n"
    )
    refused = webhook_command(told, monkeypatch, "add", "http://127.0.0.1/101")
    assert refused.exit_code == 1
    assert "100 webhooks exist already" in refused.output
