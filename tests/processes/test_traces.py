"""Traces of a running service, as a receiver of OTLP over HTTP gets them."""

import gzip
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fleetmeter.traces import are_wanted
from tests.conftest import (
    Db,
    eventually,
    hours_ago,
    on_migrated,
    post,
    running_service,
    vehicle_reading,
)
from tests.support.events import happen

pytestmark = pytest.mark.either

SERVE = [sys.executable, "-m", "fleetmeter"]
"""Not forked from a process that has loaded the program: whether it traces is decided before."""


class Collector:
    """Takes spans as OpenTelemetry's collector does."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    collector.take(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(attributes(resource.resource))
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    @contextmanager
    def running(self) -> Iterator["Collector"]:
        thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


def test_requests_commits_queries_and_webhooks_have_spans_without_secrets(
    database_url: str, db: Db, uid: str, tmp_path: Path
) -> None:
    trace, parent, secret = secrets.token_bytes(16), secrets.token_bytes(8), secrets.token_hex(8)
    with Collector().running() as collector:
        environ = on_migrated(database_url) | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "FLEETMETER_WEBHOOK_NETWORKS": "127.0.0.0/8",
        }
        with (
            running_service(tmp_path, environ, SERVE) as service,
            httpx.Client(base_url=service.base_url, timeout=30) as client,
        ):
            post(client, *(vehicle_reading(f"{uid}V", hours_ago(n)) for n in (1, 2)))
            post(client, vehicle_reading(f"{uid}V", hours_ago(3)))  # late
            answer = client.get(
                f"/v1/vehicles/{uid}V/readings?limit=3",
                headers={
                    "traceparent": f"00-{trace.hex()}-{parent.hex()}-01",
                    "authorization": f"Bearer {secret}",
                },
            )
            assert answer.status_code == 200
            assert client.get(f"/v1/vehicles/{uid}unknown").status_code == 404
            db.fetch(
                "insert into webhooks (url, secret, format, last_event_id)"
                " values ($1, 'c2VjcmV0c2VjcmV0c2VjcmV0', 'fleetmeter',"
                " coalesce((select max(id) from anomaly_events), 0))",
                f"{collector.url}/{secret}",
            )
            happen(db, f"{uid}V")
            eventually(lambda: collector.named("webhook"), timeout_s=30)
            service.process.terminate()
            service.process.wait(timeout=30)  # the last spans are sent

        (asked,) = (span for span in collector.spans if span.parent_span_id == parent)
        assert asked.trace_id == trace
        shown = attributes(asked)
        route = shown.pop("http.route")
        assert asked.name == f"GET {route}"
        assert route.startswith("/v1/vehicles/{")
        assert shown == {"http.request.method": "GET", "http.response.status_code": 200}
        queries = [span for span in collector.spans if span.parent_span_id == asked.span_id]
        assert queries
        assert all(span.name == attributes(span)["db.query.summary"] for span in queries)

        commits = collector.named("commit")
        assert sum(attributes(each)["fleetmeter.readings"] for each in commits) == 3
        (merged,) = collector.named("merge")
        assert attributes(merged) == {"fleetmeter.late": 1}
        assert merged.parent_span_id in {each.span_id for each in commits}

        delivered = attributes(collector.named("webhook")[0])
        assert delivered["http.response.status_code"] == 200

        (resource,) = {tuple(sorted(each.items())) for each in collector.resources}
        assert ("service.name", "fleetmeter") in resource
        assert ("deployment.environment.name", "test") in resource
        assert not any(
            text.encode() in body for body in collector.bodies for text in (uid, secret, "c2Vjcm")
        )


@pytest.mark.slow
def test_a_collector_that_is_away_holds_up_nothing(database_url: str, tmp_path: Path) -> None:
    environ = on_migrated(database_url) | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with running_service(tmp_path, environ, SERVE) as service:
        assert httpx.get(f"{service.base_url}/health/live").status_code == 200
        began = time.monotonic()
        service.process.terminate()
        assert service.process.wait(timeout=30) == 0
        assert time.monotonic() - began < 10


def test_off_none_of_the_packages_is_imported() -> None:
    script = "import sys, fleetmeter.app; print([m for m in sys.modules if 'opentelemetry' in m])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "meters"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False),
    ],
)
def test_the_standard_variables_decide(environ: dict[str, str], wanted: bool) -> None:
    assert are_wanted(environ) is wanted
