"""Caddy in front of the service, as the profile `proxy` runs it: TLS, limits, true addresses."""

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.conftest import eventually, free_port
from tests.support.deploy_tools import program
from tests.support.docker_files import DOCKER, services

CADDYFILE = DOCKER / "caddy" / "Caddyfile"
MAX_BODY = 10_000


class _Upstream(BaseHTTPRequestHandler):
    """Answers with what arrived in place of the service."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = {"path": self.path, "size": len(body), "headers": dict(self.headers)}
        answer = json.dumps(seen).encode()
        with suppress(BrokenPipeError):  # the proxy has refused the body meanwhile
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815 - the name that http.server looks for

    def log_message(self, *args: Any) -> None:
        """Write nothing to the run's output."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Upstream) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def proxied(upstream: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of Caddy that trusts the certificate of its authority."""
    folder = tmp_path_factory.mktemp("caddy")
    port = free_port()
    environment = os.environ | {
        "FLEETMETER_MAX_BODY_BYTES": str(MAX_BODY),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    config = adapted(environment, upstream, port)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    caddy = subprocess.Popen(
        [program("caddy"), "run", "--config", folder / "config.json"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        root = folder / "caddy/pki/authorities/local/root.crt"
        eventually(lambda: root.exists() and _answers(port, root))
        context = ssl.create_default_context(cafile=root)
        with httpx.Client(base_url=f"https://localhost:{port}", verify=context) as client:
            yield client
    finally:
        caddy.terminate()
        caddy.wait(30)


def adapted(environment: dict[str, str], upstream: int, port: int) -> dict[str, Any]:
    """Return the Caddyfile as JSON, with ports of our own and our upstream."""
    made = subprocess.run(
        [program("caddy"), "adapt", "--config", CADDYFILE],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    config: dict[str, Any] = json.loads(
        made.stdout.replace("fleetmeter:3000", f"127.0.0.1:{upstream}")
    )
    http = config["apps"]["http"]
    http["https_port"] = port
    for name, server in list(http["servers"].items()):
        if server["listen"] == [":443"]:
            server["listen"] = [f"127.0.0.1:{port}"]
            server["automatic_https"] = {"disable_redirects": True}
        else:
            del http["servers"][name]  # the health check's
    return config


def test_the_caddyfile_is_valid_and_formatted() -> None:
    for command in ("validate", "fmt"):
        options = ["--diff"] if command == "fmt" else ["--config"]
        check = subprocess.run(
            [program("caddy"), command, *options, CADDYFILE],
            capture_output=True,
            text=True,
            check=False,
        )
        assert check.returncode == 0, check.stdout + check.stderr


def test_the_program_that_is_tested_is_the_version_that_is_deployed() -> None:
    said = subprocess.run([program("caddy"), "version"], capture_output=True, text=True, check=True)
    assert services()["proxy"]["image"] == f"caddy:{said.stdout.split()[0].removeprefix('v')}"


def test_the_service_is_told_who_connects_whatever_a_client_says(proxied: httpx.Client) -> None:
    seen = proxied.post(
        "/v1/ingest",
        headers={
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Proto": "http",
            "Forwarded": "for=203.0.113.9",
            "X-Request-Id": "mine",
            "Authorization": "Bearer fm_x_y",
        },
    ).json()["headers"]
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert seen["X-Forwarded-Proto"] == "https"
    assert "Forwarded" not in seen
    assert len(seen["X-Request-Id"]) == 36
    assert seen["Authorization"] == "Bearer fm_x_y"


@pytest.mark.parametrize("path", ["/v1/meters/NL%2A1%7CA%2F7", "/v1/vehicles/a%2F..%2Fb?x=%20"])
def test_paths_are_passed_on_unchanged(proxied: httpx.Client, path: str) -> None:
    assert proxied.get(path).json()["path"] == path


def test_a_body_may_be_as_large_as_the_service_takes(proxied: httpx.Client) -> None:
    fits = proxied.post("/v1/ingest", content=b"x" * MAX_BODY)
    assert fits.json()["size"] == MAX_BODY
    assert proxied.post("/v1/ingest", content=b"x" * (MAX_BODY + 1)).status_code == 413


def test_a_head_may_not_be_endless(proxied: httpx.Client) -> None:
    answer = proxied.get("/", headers={"X-Long": "x" * 64 * 1024})
    assert answer.status_code == 431


def test_browsers_come_back_by_tls_only(proxied: httpx.Client) -> None:
    assert "max-age" in proxied.get("/").headers["Strict-Transport-Security"]


def _answers(port: int, root: Path) -> bool:
    try:
        context = ssl.create_default_context(cafile=root)
        httpx.get(f"https://localhost:{port}/", verify=context)
    except (httpx.HTTPError, ssl.SSLError):
        return False
    return True
