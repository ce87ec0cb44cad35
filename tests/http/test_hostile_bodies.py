"""Small bodies that would cost much are refused for little, and answers stay small."""

import gzip
import json
import sys
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import psutil
import pytest

from fleetmeter.http.shared.bodies import MOST_BODIES_BYTES, MOST_BODY_BYTES
from tests.conftest import Service, eventually
from tests.support.raw_http import connect, last_answer, send_on

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.either

MAX_RSS = 300_000_000


def post(client: httpx.Client, body: bytes, encoding: str = "gzip") -> httpx.Response:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    return client.post("/v1/ingest", content=body, headers=headers)


def indexes(answer: dict[str, Any]) -> list[int]:
    """The items that were rejected, as a device reads them from an answer."""
    more = [
        index
        for each in answer.get("moreRejected", [])
        for first, last in each["ranges"]
        for index in range(first, last + 1)
    ]
    return sorted([each["index"] for each in answer["rejected"]] + more)


@pytest.mark.parametrize(
    ("make", "encoding", "status"),
    [
        (lambda: gzip.compress(b"[" + b"0," * 1_599_999 + b"0]"), "gzip", 413),
        (lambda: gzip.compress(b"[0," + b'"' * ((1 << 24) - 3)), "gzip", 400),
        (lambda: zstd.compress(b"") * 260_000, "zstd", 413),
        (lambda: gzip.compress(b"") * 250_000, "gzip", 413),
        (lambda: gzip.compress(b"[" + b"{}," * 5_000_000 + b"{}]"), "gzip", 413),
        (lambda: gzip.compress(b"[" * (1 << 24)), "gzip", 400),
        (lambda: gzip.compress(b" " * (1 << 24)), "gzip", 400),
    ],
    ids=["items", "quotes", "zstd frames", "gzip members", "objects", "depth", "spaces"],
)
def test_a_bomb_is_refused(
    service: Service, client: httpx.Client, make: Callable[[], bytes], encoding: str, status: int
) -> None:
    assert post(client, make(), encoding).status_code == status
    assert psutil.Process(service.process.pid).memory_info().rss < MAX_RSS


def test_many_rejections_are_shown_in_little_space(client: httpx.Client) -> None:
    answer = post(client, gzip.compress(b"[" + b"0," * 99_999 + b"0]"))
    assert answer.status_code == 422
    assert len(answer.content) < 20_000
    problem = answer.json()
    assert problem["moreRejected"] == [
        {"code": "not_an_object", "count": 99_900, "ranges": [[100, 99_999]]}
    ]
    assert indexes(problem) == list(range(100_000))


def test_a_device_learns_the_outcome_of_each_item(client: httpx.Client, uid: str) -> None:
    items: list[Any] = [0, {"meterId": "M"}, {"meterId": f"{uid}M", "voltage": 230}] * 400
    now = "2020-01-01T00:00:00Z"
    items[500] = {"meterId": f"{uid}M", "voltage": 230, "timestamp": now}
    answer = post(client, gzip.compress(json.dumps(items).encode())).json()
    assert indexes(answer) == list(range(1200))
    codes = [each["code"] for each in answer["rejected"]]
    assert codes.count("not_an_object") == codes.count("missing_field") == 100
    assert codes.count("too_old") == 1
    assert {each["code"]: each["count"] for each in answer["moreRejected"]} == {
        "not_an_object": 300,
        "missing_field": 699,
    }


@pytest.mark.parametrize("encoding", ["gzip", None])
def test_a_refusal_arrives_at_a_client_that_sends_on(
    service: Service, encoding: str | None
) -> None:
    """A compressed body that turns out too large, and one that says so: the rest is read on."""
    pack = zlib.compressobj(wbits=31, level=0)
    pieces = [pack.compress(b" " * 1_000_000) for _ in range(40)]
    head = b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    if encoding is None:
        length = 40_000_000
        head += b"Content-Length: %d\r\n\r\n" % length
        chunks = [b" " * 1_000_000] * 40
    else:
        head += b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = [b"%x\r\n%b\r\n" % (len(each), each) for each in pieces if each] + [b"0\r\n\r\n"]
    with connect(service.base_url) as connection:
        assert send_on(connection, [head, *chunks]) == len(head) + sum(map(len, chunks))
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = last_answer(connection)
    assert answer is not None
    assert answer.status == 413
    assert answer.body.count(b'{"status":"alive"}') == 1


def test_a_long_body_of_other_routes_is_refused(client: httpx.Client) -> None:
    for method, path in (
        ("POST", "/v1/corrections"),
        ("POST", "/v1/keys"),
        ("PATCH", "/v1/meters/M"),
    ):
        for body in (b" " * (3 << 20), b"[" + b"[]," * 100_000 + b"[]]"):
            answer = client.request(method, path, content=body)
            assert answer.status_code == 413, path
            assert answer.json()["type"] == "urn:fleetmeter:problem:too-large"


def test_a_client_that_leaves_amid_a_body_counts_as_no_failure_of_the_service(
    service: Service, client: httpx.Client
) -> None:
    head = b"POST /v1/meters/M/exchanges HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
    with connect(service.base_url) as connection:
        send_on(connection, [head, b"{"])
    route = 'method="POST",route="/v1/meters/{meter_id}/exchanges",status='
    eventually(lambda: f'{route}"400"' in client.get("/metrics").text)
    assert f'{route}"500"' not in client.get("/metrics").text


def test_refused_bodies_of_other_routes_do_not_stay_in_memory(
    service: Service, client: httpx.Client
) -> None:
    process = psutil.Process(service.process.pid)
    body = b'["' + b"x" * 2_000_000 + b'"]'
    before = process.memory_info().rss
    for _ in range(40):
        assert client.post("/v1/keys", content=body).status_code == 400
    assert process.memory_info().rss - before < 60_000_000


def test_long_bodies_of_other_routes_have_a_common_limit(
    service: Service, client: httpx.Client
) -> None:
    """Bodies that lack their last byte; who is refused gets an answer, and readings go on."""
    head = b"POST /v1/corrections HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n" % MOST_BODY_BYTES
    body = b" " * (MOST_BODY_BYTES - 1)
    with ExitStack() as stack:
        for _ in range(MOST_BODIES_BYTES // MOST_BODY_BYTES):
            connection = stack.enter_context(connect(service.base_url))
            send_on(connection, [head, body])

        def refused() -> bool:
            answer = client.post("/v1/corrections", content=body[:100_000])
            return answer.status_code == 503 and answer.json()["type"].endswith(":overloaded")

        eventually(refused)
        assert client.post("/v1/ingest", content=b"[]").status_code == 200
    eventually(lambda: client.post("/v1/corrections", content=body).status_code == 400)
