"""What comes in on a connection is bounded before it is a request, and refused with a problem."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import Service, eventually, running_service
from tests.support.raw_http import RawAnswer, asked, connect, last_answer, send_on

pytestmark = pytest.mark.either

MANY = 30
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def small(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with room for few, and with little patience."""
    settings = {
        "FLEETMETER_DATABASE_URL": database_url,
        "FLEETMETER_MIGRATE": "false",
        "FLEETMETER_CONNECTIONS": str(MANY),
        "FLEETMETER_HEAD_TIMEOUT_S": "0.5",
        "FLEETMETER_BODY_TIMEOUT_S": "0.5",
        "FLEETMETER_MAX_HEAD_BYTES": "4096",
    }
    with running_service(tmp_path_factory.mktemp("small"), settings) as service:
        yield service


@pytest.fixture(scope="module")
def patient(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with room for few, which lets them be silent."""
    settings = {
        "FLEETMETER_DATABASE_URL": database_url,
        "FLEETMETER_MIGRATE": "false",
        "FLEETMETER_CONNECTIONS": str(MANY),
        "FLEETMETER_HEAD_TIMEOUT_S": "60",
    }
    with running_service(tmp_path_factory.mktemp("patient"), settings) as service:
        yield service


def is_problem(answer: RawAnswer | None, status: int, kind: str) -> RawAnswer:
    assert answer is not None
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["type"] == f"urn:fleetmeter:problem:{kind}"
    assert answer.json()["status"] == status
    assert answer.json()["title"]
    return answer


def endless(first: bytes, piece: bytes, total: int) -> Iterator[bytes]:
    yield first
    for _ in range(total // len(piece)):
        yield piece


@pytest.mark.parametrize(
    ("first", "piece", "status", "kind"),
    [
        (b"GET / HTTP/1.1\r\n", b"x: " + b"a" * 997 + b"\r\n", 431, "head-too-large"),
        (b"GET / HTTP/1.1\r\nx: ", b"a" * 1000, 431, "head-too-large"),
        (b"GET / HTTP/1.1\r\n", b"x: a\r\n", 431, "head-too-large"),
        (b"GET /", b"a" * 1000, 414, "url-too-long"),
        (b"GET /?", b"%00" * 1000, 414, "url-too-long"),
    ],
)
def test_a_head_that_never_ends_is_refused_in_flat_memory(
    patient: Service, first: bytes, piece: bytes, status: int, kind: str
) -> None:
    process = psutil.Process(patient.process.pid)
    before = process.memory_info().rss
    with connect(patient.base_url) as connection:
        send_on(connection, endless(first, piece * (65536 // len(piece)), 30_000_000))
        is_problem(last_answer(connection), status, kind)
    assert process.memory_info().rss - before < 10_000_000


def test_headers_are_counted_and_measured(small: Service) -> None:
    many = LIVE.replace(b"\r\n\r\n", b"\r\n" + b"a: b\r\n" * 100 + b"\r\n")
    is_problem(asked(small.base_url, many), 431, "head-too-large")
    long = LIVE.replace(b"\r\n\r\n", b"\r\na: " + b"b" * 5000 + b"\r\n\r\n")
    is_problem(asked(small.base_url, long), 431, "head-too-large")
    as_much_as_may_be = LIVE.replace(b"\r\n\r\n", b"\r\na: " + b"b" * 4000 + b"\r\n\r\n")
    answer = asked(small.base_url, as_much_as_may_be)
    assert answer is not None
    assert answer.status == 200


def test_trailers_that_never_end_are_refused(patient: Service) -> None:
    head = b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    post = head + b"2\r\n[]\r\n0\r\nx: "
    with connect(patient.base_url) as connection:
        send_on(connection, endless(post, b"a" * 50_000, 1_000_000))
        is_problem(last_answer(connection), 431, "head-too-large")


def test_half_a_head_is_answered_408_and_silence_with_nothing(small: Service) -> None:
    is_problem(asked(small.base_url, LIVE[:-10]), 408, "head-timeout")
    assert asked(small.base_url) is None


def test_the_wait_for_the_next_request_is_limited_too(small: Service) -> None:
    with connect(small.base_url) as connection:
        connection.sendall(LIVE)
        answer = last_answer(connection)
    assert answer is not None
    assert answer.status == 200
    with connect(small.base_url) as connection:
        connection.sendall(LIVE)
        assert connection.recv(65536)
        connection.sendall(LIVE[:10])
        is_problem(last_answer(connection), 408, "head-timeout")


@pytest.mark.parametrize("path", ["corrections", "ingest"])
def test_a_body_that_does_not_come_is_answered_408(small: Service, path: str) -> None:
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[".encode()
    answer = asked(small.base_url, head)
    assert answer is not None
    assert answer.status == 408
    assert answer.json()["type"] == "urn:fleetmeter:problem:body-timeout"


@pytest.mark.parametrize(
    "sent",
    [
        b"HELLO\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http:///: HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/ingest HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
    ],
)
def test_what_is_not_http_is_a_problem(small: Service, sent: bytes) -> None:
    is_problem(asked(small.base_url, sent), 400, "malformed-request")


def test_rubbish_after_a_request_does_not_take_its_answer(small: Service) -> None:
    answer = asked(small.base_url, LIVE + b"rubbish\r\n\r\n")
    assert answer is not None
    assert answer.status == 200
    assert answer.body.startswith(b'{"status":"alive"}')


def test_requests_are_sent_ahead_only_so_far(small: Service) -> None:
    with connect(small.base_url) as connection:
        connection.sendall(LIVE * 1000)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.count(b"HTTP/1.1 200 OK") == 33


def test_a_refusal_is_logged_once_a_minute(small: Service) -> None:
    for _ in range(20):
        asked(small.base_url, b"HELLO\r\n\r\n")
    lines = small.log.read_text().splitlines()
    assert len([line for line in lines if "not an HTTP/1.1 request" in line]) == 1
    assert not [line for line in lines if "Invalid HTTP request" in line]


@pytest.mark.parametrize("sent", [b"", LIVE[:20]])
def test_connections_that_do_nothing_shut_nobody_out(patient: Service, sent: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(2 * MANY):
            connection = stack.enter_context(connect(patient.base_url))
            send_on(connection, [sent])
        assert httpx.get(f"{patient.base_url}/health/live").status_code == 200


def test_where_all_are_busy_the_next_is_asked_to_come_again(patient: Service) -> None:
    head = b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n["

    def is_full() -> bool:
        answer = asked(
            patient.base_url, LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        if answer is not None and answer.status == 503:
            is_problem(answer, 503, "overloaded")
            assert answer.headers["retry-after"] == "1"
            return True
        return False

    with ExitStack() as stack:
        for _ in range(MANY):
            send_on(stack.enter_context(connect(patient.base_url)), [head])
        eventually(is_full)
    eventually(lambda: not is_full())


@pytest.mark.slow
def test_workers_have_the_same_limits(database_url: str, tmp_path: Path) -> None:
    settings = {
        "FLEETMETER_DATABASE_URL": database_url,
        "FLEETMETER_MIGRATE": "false",
        "FLEETMETER_MAX_HEAD_BYTES": "1024",
    }
    with running_service(tmp_path, settings, options=["--workers", "2"]) as service:
        is_problem(asked(service.base_url, b"HELLO\r\n\r\n"), 400, "malformed-request")
        long = LIVE.replace(b"\r\n\r\n", b"\r\na: " + b"b" * 1100 + b"\r\n\r\n")
        is_problem(asked(service.base_url, long), 431, "head-too-large")


def test_who_sends_ahead_and_leaves_is_no_defect(small: Service) -> None:
    asks = b"GET /v1/vehicles HTTP/1.1\r\nHost: x\r\n\r\n" * 10
    for _ in range(20):
        with connect(small.base_url) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(asks)
            connection.recv(1)
    assert httpx.get(f"{small.base_url}/v1/vehicles").status_code == 200
    assert "Exception in ASGI application" not in small.log.read_text()
