"""What a key may use: beyond it, 429, and nothing of the request is stored."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fleetmeter.access.principal import SCOPES
from tests.conftest import Db, hours_ago, meter_reading, on_migrated, running_service
from tests.support.keys import make_key, with_key

pytestmark = pytest.mark.either


@pytest.fixture(scope="module")
def admin(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An admin of a service whose keys may use little: 20, 10 and 10,000 at once."""
    limits = {
        "FLEETMETER_KEY_REQUESTS_PER_S": "2",
        "FLEETMETER_KEY_READINGS_PER_S": "1",
        "FLEETMETER_KEY_BYTES_PER_S": "1000",
    }
    folder: Path = tmp_path_factory.mktemp("limited")
    with (
        running_service(folder, on_migrated(database_url) | limits) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as anybody,
        with_key(anybody, make_key(anybody, "first", *SCOPES)["key"]) as client,
    ):
        yield client


def test_a_key_that_sends_too_many_requests_is_told_when_to_come_back(
    admin: httpx.Client,
) -> None:
    with with_key(admin, make_key(admin, "eager", "read")["key"]) as client:
        answers = (client.get("/v1/meters") for _ in range(1000))
        refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["type"] == "urn:fleetmeter:problem:rate-exceeded"
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit-policy"] == '"requests";q=20;w=10'
    assert refused.headers["ratelimit"] == '"requests";r=0;t=1'
    assert admin.get("/health/live").status_code == 200
    with with_key(admin, make_key(admin, "calm", "read")["key"]) as client:
        assert client.get("/v1/meters").status_code == 200
    text = admin.get("/metrics").text
    assert 'fleetmeter_denied_requests_total{reason="rate"}' in text


def test_a_batch_beyond_the_bucket_is_stored_once_and_the_next_is_not_at_all(
    admin: httpx.Client, db: Db, uid: str
) -> None:
    def batch(name: str) -> list[dict[str, object]]:
        return [meter_reading(f"{uid}{name}{n}", hours_ago(2)) for n in range(30)]

    with with_key(admin, make_key(admin, "gateway", "ingest")["key"]) as client:
        assert client.post("/v1/ingest", json=batch("a")).json()["accepted"] == 30
        refused = client.post("/v1/ingest", json=batch("b"))
        assert refused.status_code == 429
        assert 10 < int(refused.headers["retry-after"]) <= 20
        assert refused.headers["ratelimit-policy"] == '"readings";q=10;w=10'
    with with_key(admin, make_key(admin, "small", "ingest")["key"]) as client:
        assert client.post("/v1/ingest", json=batch("c")[:8]).status_code == 200
        assert client.post("/v1/ingest", json=batch("d")[:8]).status_code == 429
    stored = db.fetch("select id from devices where id like $1 || '%'", uid)
    assert len(stored) == 30 + 8


def test_what_a_body_unpacks_to_is_counted_even_if_it_is_refused(admin: httpx.Client) -> None:
    body = gzip.compress(json.dumps([{"x": " " * 20_000}]).encode())
    sent = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with with_key(admin, make_key(admin, "bomb", "ingest")["key"]) as client:
        assert client.post("/v1/ingest", content=body, headers=sent).status_code == 422
        refused = client.post("/v1/ingest", content=body, headers=sent)
        assert refused.status_code == 429
        assert refused.headers["ratelimit-policy"] == '"bytes";q=10000;w=10'


def test_a_key_for_metrics_reads_nothing_else(admin: httpx.Client) -> None:
    with with_key(admin, make_key(admin, "prometheus", "metrics")["key"]) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/v1/meters").status_code == 403
    with with_key(admin, make_key(admin, "reader", "read")["key"]) as client:
        assert client.get("/metrics").status_code == 403


def test_what_is_denied_is_counted_by_its_reason(admin: httpx.Client) -> None:
    def count(reason: str) -> float:
        sample = f'fleetmeter_denied_requests_total{{reason="{reason}"}} '
        (line,) = [line for line in admin.get("/metrics").text.splitlines() if sample in line]
        return float(line.removeprefix(sample))

    before = {reason: count(reason) for reason in ("unauthenticated", "scope")}
    with with_key(admin, make_key(admin, "writer", "ingest")["key"]) as client:
        assert client.get("/v1/meters").status_code == 403
    assert httpx.get(f"{admin.base_url}/v1/meters").status_code == 401
    assert {reason: count(reason) - n for reason, n in before.items()} == {
        "unauthenticated": 1,
        "scope": 1,
    }
