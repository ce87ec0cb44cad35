"""Webhooks over HTTP, for admins: with the same protections and records as the command."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.conftest import Db, on_migrated, running_service

pytestmark = pytest.mark.either


@pytest.fixture(scope="module")
def local(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service that may send to this machine, and to nobody else."""
    environ = on_migrated(database_url) | {"FLEETMETER_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    with (
        running_service(tmp_path_factory.mktemp("webhooks"), environ) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as client,
    ):
        yield client


@contextmanager
def receiver(received: list[bytes]) -> Iterator[str]:
    """A receiver that accepts everything; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?token=hidden"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_webhook_is_added_tested_enabled_and_deleted(local: httpx.Client, db: Db) -> None:
    received: list[bytes] = []
    with receiver(received) as url:
        body = {"url": url, "kinds": ["battery_hot"]}
        added = local.post("/v1/webhooks", json=body)
        assert added.status_code == 201, added.text
        secret = added.json()["secret"]
        place = f"/v1/webhooks/{added.json()['id']}"
        assert local.post("/v1/webhooks", json=body).status_code == 409
        tested = local.post(f"{place}/test")
        assert tested.json() == {"accepted": True, "status": 204, "error": None}
        assert len(received) == 1
    broken = local.post(f"{place}/test").json()
    assert (broken["accepted"], broken["status"]) == (False, None)
    assert broken["error"]
    db.fetch("update webhooks set disabled_at = now(), failures = 3, last_error = 'it hung'")
    (shown,) = local.get("/v1/webhooks").json()["items"]
    assert shown["url"] == url.replace("token=hidden", "…")
    assert (shown["kinds"], shown["failures"], shown["lastError"]) == (
        ["battery_hot"],
        3,
        "it hung",
    )
    assert local.post(f"{place}/enable", json={"fromNow": True}).status_code == 204
    (shown,) = local.get("/v1/webhooks").json()["items"]
    assert shown["disabledAt"] is None
    assert secret not in str(shown)
    assert local.delete(place).status_code == 204
    assert local.get("/v1/webhooks").json() == {"items": [], "nextCursor": None}
    logged = local.get(f"/v1/audit?object=webhook {added.json()['id']}").json()["items"]
    assert [each["action"] for each in logged] == [
        *("remove-webhook", "enable-webhook", "add-webhook")
    ]
    assert secret not in str(logged)
    for method, path in (
        ("DELETE", place),
        ("POST", f"{place}/enable"),
        ("POST", f"{place}/test"),
    ):
        unknown = local.request(method, path, json={} if path.endswith("enable") else None)
        assert unknown.status_code == 404
        assert unknown.json()["type"] == "urn:fleetmeter:problem:unknown-webhook"


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://[::ffff:10.0.0.1]/",
        "https://198.51.100.1/",
        "ftp://127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1/#fragment",
        "http://127.0.0.1:0/",
        "127.0.0.1",
    ],
)
def test_a_webhook_goes_only_where_it_may(local: httpx.Client, url: str) -> None:
    refused = local.post("/v1/webhooks", json={"url": url})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["path"] == "$.url"
    assert local.get("/v1/webhooks").json()["items"] == []
