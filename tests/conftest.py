"""The two engines, a migrated database on each, and a real service in front of it.

Tests that ask for `database_url`, `db`, `service` or `client` run twice: on the embedded
PostgreSQL, and on TimescaleDB. That is the server of FLEETMETER_TEST_DATABASE_URL, or else a local
PostgreSQL that has the extension, started on a folder of its own.
"""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from fleetmeter.database.embedded import embedded_postgresql
from fleetmeter.database.migrations import migrate
from tests.timescaledb import find_timescaledb, timescaledb_server

RETENTION_DAYS = 400

EXAMPLES = int(os.environ.get("FLEETMETER_TEST_EXAMPLES", "1"))
"""How many times as many examples the slow property tests try; `make deep` takes more."""


class Server(NamedTuple):
    """A database server: where it is and what the SQL will run on."""

    engine: str
    url: str


class Db:
    """Plain SQL beside the service, one connection a call."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """The rows of one statement."""
        return asyncio.run(self._fetch(sql, *args))

    def value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row."""
        return self.fetch(sql, *args)[0][0]

    def run(self, script: str) -> None:
        """Several statements in one transaction."""
        asyncio.run(self._run(script))

    async def _run(self, script: str) -> None:
        connection = await asyncpg.connect(self.url, server_settings={"timezone": "UTC"})
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    async def _fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.url, server_settings={"timezone": "UTC"})
        try:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *args)
            return rows
        finally:
            await connection.close()


class Service(NamedTuple):
    """A running `fleetmeter serve`."""

    base_url: str
    process: subprocess.Popen[bytes]
    log: Path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a server once on each engine."""
    if "server" in metafunc.fixturenames:
        engines = ["postgresql", "timescaledb"]
        engines = [e for e in engines if metafunc.definition.get_closest_marker(e)] or engines
        metafunc.parametrize("server", engines, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in parallel, those of an engine stay together: each is started once."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "server" in callspec.params:
            item.add_marker(pytest.mark.xdist_group(callspec.params["server"]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly when the production engine was not tested."""
    if any("[timescaledb" in report.nodeid for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_sep("!", "TimescaleDB WAS NOT TESTED", red=True, bold=True)
        terminalreporter.write_line(
            "No FLEETMETER_TEST_DATABASE_URL, and no local PostgreSQL with the extension: "
            "these tests ran on the embedded PostgreSQL alone. See the README, 'Tests'.",
            red=True,
        )


@pytest.fixture(scope="session")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of the engine that the test is run for."""
    if request.param == "postgresql":
        with embedded_postgresql(tmp_path_factory.mktemp("embedded")) as url:
            yield Server("postgresql", url)
    elif url := os.environ.get("FLEETMETER_TEST_DATABASE_URL"):
        yield Server("timescaledb", url)
    elif (binaries := find_timescaledb()) is not None:
        with timescaledb_server(binaries) as url:
            yield Server("timescaledb", url)
    else:
        pytest.skip("there is no TimescaleDB: set FLEETMETER_TEST_DATABASE_URL")


@contextmanager
def fresh_database(server: Server) -> Iterator[str]:
    """The URL of an empty database on the server, dropped afterwards."""
    name = f"fleetmeter_test_{secrets.token_hex(4)}"
    admin = Db(server.url)
    admin.fetch(f"create database {name}")
    try:
        yield urlunsplit(urlsplit(server.url)._replace(path=f"/{name}"))
    finally:
        admin.fetch(f"drop database {name} with (force)")


@pytest.fixture
def empty_database_url(server: Server) -> Iterator[str]:
    """A database of the test's own that nothing has been done to."""
    with fresh_database(server) as url:
        yield url


@pytest.fixture(scope="session")
def database_url(server: Server) -> Iterator[str]:
    """A migrated database, shared by the tests of a run: use ids under `uid`."""
    with fresh_database(server) as url:
        migrated = asyncio.run(migrate(url, RETENTION_DAYS))
        assert migrated.engine == server.engine, "FLEETMETER_TEST_DATABASE_URL has no TimescaleDB"
        yield url


@pytest.fixture(scope="session")
def db(database_url: str) -> Db:
    """SQL on the shared database."""
    return Db(database_url)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_service(
    folder: Path,
    environ: dict[str, str],
    command: Sequence[str] = (sys.executable, "-m", "fleetmeter"),
    probe: str = "/health/ready",
    options: Sequence[str] = (),
) -> Iterator[Service]:
    """A service process of the test's own, ready; stopped afterwards if it still runs."""
    port = free_port()
    log = folder / f"service-{port}.log"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FLEETMETER_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "serve", *options],
            cwd=folder,
            env=inherited | {"FLEETMETER_PORT": str(port)} | environ,
            stdout=output,
            stderr=output,
        )
    base_url = f"http://127.0.0.1:{port}"
    try:
        eventually(
            lambda: process.poll() is not None or _answers(f"{base_url}{probe}"), timeout_s=60
        )
        assert process.poll() is None, log.read_text()
        yield Service(base_url, process, log)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on the shared database."""
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, {"FLEETMETER_DATABASE_URL": database_url}) as running:
        yield running
        defects = [
            line
            for line in running.log.read_text().splitlines()
            if '"error"' in line and "request failed" in line
        ]
        assert not defects, defects


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx.Client]:
    """An HTTP client of the service."""
    with httpx.Client(base_url=service.base_url, timeout=30) as http:
        yield http


@pytest.fixture
def uid() -> str:
    """A prefix for device ids that no other test has."""
    return new_uid()


def new_uid() -> str:
    """Unique in a run."""
    return f"t{secrets.token_hex(5)}-"


def eventually(probe: Callable[[], Any], timeout_s: float = 5, pause_s: float = 0.05) -> Any:
    """What `probe` returns once it is true; fails when it never is."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_s} s; last answer: {value!r}"
        time.sleep(pause_s)


def hours_ago(hours: float) -> datetime:
    """A whole minute in the past, so that readings a minute apart stay in their hour."""
    return (datetime.now(UTC) - timedelta(hours=hours)).replace(second=0, microsecond=0)


def rfc3339(time_: datetime) -> str:
    """As devices send it."""
    return time_.isoformat().replace("+00:00", "Z")


def vehicle_reading(
    vehicle_id: str, at: datetime, kwh: float = 1.2, **fields: Any
) -> dict[str, Any]:
    """The first payload of the contract."""
    return {
        "vehicleId": vehicle_id,
        "soc": 72,
        "kwhDeliveredDc": kwh,
        "batteryTemp": 36,
        "timestamp": rfc3339(at),
    } | fields


def meter_reading(meter_id: str, at: datetime, kwh: float = 1.5, **fields: Any) -> dict[str, Any]:
    """The second payload of the contract."""
    return {
        "meterId": meter_id,
        "kwhConsumedAc": kwh,
        "voltage": 230,
        "timestamp": rfc3339(at),
    } | fields


def post(client: httpx.Client, *readings: dict[str, Any]) -> dict[str, Any]:
    """Send readings that must all be taken; the outcome."""
    answer = client.post("/v1/ingest", json=list(readings))
    assert answer.status_code == 200, answer.text
    outcome: dict[str, Any] = answer.json()
    return outcome
