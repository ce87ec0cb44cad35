"""The two engines, a migrated database on each, and a real service in front of it.

Tests that ask for `database_url`, `db`, `service` or `client` run twice: on plain PostgreSQL, and
on TimescaleDB. The first is the server of FLEETMETER_TEST_POSTGRESQL_URL, or else the embedded one.
The second is the server of FLEETMETER_TEST_TIMESCALEDB_URL, or else a local PostgreSQL that has the
extension, started on a folder of its own. Tests that are marked `either`
are of what both do alike: the second run is part of `make slow`.
"""

import asyncio
import gc
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple, TypeVarTuple
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import hypothesis
import pytest
import structlog

from fleetmeter.database.embedded import embedded_postgresql
from fleetmeter.database.migrations import migrate
from tests.support import connections, processes
from tests.support.chromium import NO_CHROMIUM
from tests.support.deploy_tools import MISSING
from tests.support.timescaledb import find_timescaledb, timescaledb_server

RETENTION_DAYS = 400

Ts = TypeVarTuple("Ts")

EXAMPLES = int(os.environ.get("FLEETMETER_TEST_EXAMPLES", "1"))
"""How many times as many examples the slow property tests try; `make deep` takes more."""

SLOW_EXAMPLES = hypothesis.settings(
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
    # the same in each run of `make test`, so that it fails for what was changed; and reported as
    # found, since shrinking an example takes longer than all others do
    derandomize=EXAMPLES == 1,
    database=None,
    phases=set(hypothesis.Phase) - (set() if EXAMPLES > 1 else {hypothesis.Phase.shrink}),
)
"""Of properties that are tried on a database; with max_examples."""


PAUSE_JOBS = (
    "select alter_job(job_id, scheduled => false) from timescaledb_information.jobs"
    " where hypertable_name is not null"
)
"""The database's own jobs would do, or undo, what a test does by hand."""

SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "synchronous_commit": "off",
}
"""Of servers that are started here: no test cuts the power, and plans do not change by chance."""

_GIVEN = {
    "postgresql": ["FLEETMETER_TEST_POSTGRESQL_URL"],
    "timescaledb": ["FLEETMETER_TEST_TIMESCALEDB_URL", "FLEETMETER_TEST_DATABASE_URL"],
}
"""Environment variables with the URL of a server to use, by engine; the last is an old name."""

EVALUATED = (
    "update anomaly_progress"
    " set evaluated_until = date_trunc('hour', now() - interval '5 minutes', 'UTC')"
)
"""All hours that are over have been evaluated, so that what comes for them is late."""

START_JOBS = "select _timescaledb_functions.start_background_workers()"


class Server(NamedTuple):
    """A database server: where it is and what the SQL will run on."""

    engine: str
    url: str
    template: str = ""
    """The name of a migrated database, to be copied."""


class Db:
    """Plain SQL beside the service."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """The rows of one statement."""
        return connections.using(self.url, lambda connection: connection.fetch(sql, *args))

    def value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row."""
        return self.fetch(sql, *args)[0][0]

    def run(self, script: str) -> None:
        """Several statements in one transaction."""
        connections.using(self.url, lambda connection: connection.execute(script))


class Service(NamedTuple):
    """A running `fleetmeter serve`."""

    base_url: str
    process: subprocess.Popen[bytes] | processes.Forked
    log: Path


def pytest_configure() -> None:
    """Restore the signal of Ctrl-C, by which tests stop what they started.

    A shell lets its jobs in the background ignore it, and they hand that down. And no property
    fails because the machine is busy, or is tried for long unless that is asked for.
    """
    hypothesis.settings.register_profile("patient", deadline=None, max_examples=15 * EXAMPLES)
    hypothesis.settings.load_profile("patient")
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[plain])  # to paint a traceback takes longer than most tests
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()


def pytest_collection_finish() -> None:
    """Let no search for garbage go through thousands of tests: there is none in them."""
    gc.freeze()
    gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a server once on each engine."""
    if "server" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker
        engines: list[Any] = ["postgresql", "timescaledb"]
        engines = [engine for engine in engines if marker(engine)] or engines
        if marker("either"):
            engines = [engines[0], *(pytest.param(e, marks=pytest.mark.slow) for e in engines[1:])]
        metafunc.parametrize("server", engines, indirect=True, scope="session")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly what was not tested: the production engine, alerts, chart, proxy or page."""
    skipped = [report.nodeid for report in terminalreporter.stats.get("skipped", [])]
    if any("[timescaledb" in test for test in skipped):
        terminalreporter.write_sep("!", "TimescaleDB WAS NOT TESTED", red=True, bold=True)
        terminalreporter.write_line(
            "No FLEETMETER_TEST_TIMESCALEDB_URL, and no local PostgreSQL with the extension: "
            "these tests ran on the embedded PostgreSQL alone. See CONTRIBUTING.md, 'Two engines'.",
            red=True,
        )
    if any("docker/test_prometheus.py" in test for test in skipped):
        terminalreporter.write_sep("!", "THE ALERTS WERE NOT TESTED", red=True, bold=True)
        terminalreporter.write_line(
            "There is no promtool on the PATH; it comes with Prometheus (Debian: prometheus).",
            red=True,
        )
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    if any(MISSING in reason for reason in reasons):
        terminalreporter.write_sep("!", "CHART OR PROXY WAS NOT TESTED", red=True, bold=True)
        terminalreporter.write_line(f"Helm or Caddy {MISSING}", red=True)
    from tests.support.mosquitto import NO_MOSQUITTO  # which needs what is here

    if any(NO_MOSQUITTO in reason for reason in reasons):
        terminalreporter.write_sep("!", "MQTT WAS NOT TESTED", red=True, bold=True)
        terminalreporter.write_line(f"With a broker: {NO_MOSQUITTO} (Debian: mosquitto).", red=True)
    if any(NO_CHROMIUM in reason for reason in reasons):
        terminalreporter.write_sep("!", "THE PAGE WAS NOT TESTED", red=True, bold=True)
        terminalreporter.write_line(
            f"In a browser: {NO_CHROMIUM} (Debian: chromium), nor in FLEETMETER_TEST_CHROMIUM.",
            red=True,
        )


@pytest.fixture(scope="session")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of the engine that the test is run for."""
    given = next(filter(None, map(os.environ.get, _GIVEN[request.param])), None)
    with ExitStack() as stack:
        if given:
            url = given
        elif request.param == "postgresql":
            url = stack.enter_context(embedded_postgresql(tmp_path_factory.mktemp("embedded")))
            for setting, value in SETTINGS.items():
                Db(url).fetch(f"alter system set {setting} = {value}")
            Db(url).fetch("select pg_reload_conf()")
        elif (binaries := find_timescaledb()) is not None:
            url = stack.enter_context(timescaledb_server(binaries, SETTINGS))
        else:
            pytest.skip("there is no TimescaleDB: set FLEETMETER_TEST_TIMESCALEDB_URL")
        stack.callback(connections.close, url)
        template = stack.enter_context(_template(request.param, url))
        yield Server(request.param, url, template)


@contextmanager
def _template(engine: str, url: str) -> Iterator[str]:
    """Migrate a database once, so that tests copy it instead of migrating their own; its name."""
    with _created(url) as template_url:
        template = Db(template_url)
        if engine == "timescaledb":
            # A database with connections cannot be copied, and the scheduler of jobs has one.
            # It is stopped before there are any, so that no copy shows that they have run.
            template.fetch("create extension if not exists timescaledb")
            template.fetch("select _timescaledb_functions.stop_background_workers()")
        migrated = asyncio.run(migrate(template_url, RETENTION_DAYS))
        assert migrated.engine == engine, f"{_GIVEN[engine]} is a server of {migrated.engine}"
        connections.close(template_url)
        name = urlsplit(template_url).path.removeprefix("/")
        Db(url).fetch(f"alter database {name} allow_connections false")
        yield name


@contextmanager
def _created(server_url: str, options: str = "") -> Iterator[str]:
    """Create a database, and drop it afterwards; yields its URL."""
    name = f"fleetmeter_test_{secrets.token_hex(4)}"
    admin = Db(server_url)
    admin.fetch(f"create database {name} {options}")
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    try:
        yield url
    finally:
        connections.close(url)
        admin.fetch(f"drop database {name} with (force)")


@contextmanager
def fresh_database(server: Server) -> Iterator[str]:
    """Create a database that nothing has been done to; yields its URL."""
    with _created(server.url) as url:
        yield url


@contextmanager
def migrated_database(server: Server, jobs: bool = True) -> Iterator[str]:
    """Create a database as `migrate` leaves it with the default settings; yields its URL.

    Without `jobs` the policies of TimescaleDB are paused, and have never run.
    """
    with _created(server.url, f"template {server.template} strategy file_copy") as url:
        if server.engine == "timescaledb":
            Db(url).fetch(START_JOBS if jobs else PAUSE_JOBS)
        yield url


@pytest.fixture
def empty_database_url(server: Server) -> Iterator[str]:
    """A database of the test's own that nothing has been done to."""
    with fresh_database(server) as url:
        yield url


@pytest.fixture
def migrated_database_url(server: Server) -> Iterator[str]:
    """A migrated database of the test's own."""
    with migrated_database(server) as url:
        yield url


@pytest.fixture
def quiet_database_url(server: Server) -> Iterator[str]:
    """A migrated database of the test's own, with nothing in the background."""
    with migrated_database(server, jobs=False) as url:
        yield url


@pytest.fixture(scope="module")
def database_url(server: Server) -> Iterator[str]:
    """A migrated database, shared by the tests of a module: use ids under `uid`.

    Its policies are paused: what is rolled up is rolled up by a test, at any speed of the machine.
    """
    with migrated_database(server, jobs=False) as url:
        yield url


@pytest.fixture(scope="module")
def db(database_url: str) -> Db:
    """SQL on the shared database."""
    return Db(database_url)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


COMMAND = (sys.executable, "-m", "fleetmeter")
"""The command as users start it; what is forked instead starts in a fraction of the time."""


@contextmanager
def running_service(
    folder: Path,
    environ: dict[str, str],
    command: Sequence[str] = (),
    probe: str = "/health/ready",
    options: Sequence[str] = (),
) -> Iterator[Service]:
    """A service process of the test's own, ready; stopped afterwards if it still runs.

    It is forked from one that has loaded the program, unless there is a command to start it with.
    """
    port = int(environ.get("FLEETMETER_PORT") or free_port())
    log = folder / f"service-{port}.log"
    arguments = ["serve", *options]
    environ = {"FLEETMETER_PORT": str(port)} | environ
    process: subprocess.Popen[bytes] | processes.Forked
    if command:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                env=processes.environment(environ),
                stdout=output,
                stderr=output,
            )
    else:
        process = processes.Forked(arguments, environ, folder, log)
    base_url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: process.poll() is not None or _answers(port, probe), timeout_s=60)
        assert process.poll() is None, log.read_text()
        yield Service(base_url, process, log)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(port: int, path: str) -> bool:
    """Ask without httpx, whose clients take long to make."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def on_migrated(url: str) -> dict[str, str]:
    """The settings of a service on a database that is as `migrate` leaves it, which takes long."""
    return {"FLEETMETER_DATABASE_URL": url, "FLEETMETER_MIGRATE": "false"}


@pytest.fixture(scope="module")
def service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on the shared database."""
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, on_migrated(database_url)) as running:
        yield running
        defects = [
            line
            for line in running.log.read_text().splitlines()
            if '"error"' in line and "request failed" in line
        ]
        assert not defects, defects


@pytest.fixture(scope="module")
def client(service: Service, db: Db) -> Iterator[httpx.Client]:
    """An HTTP client of the service.

    It asks where the energy went once the rollups hold what came late, as they do within seconds.
    """

    def settle(request: httpx.Request) -> None:
        if request.method == "GET" and (
            "/energy" in request.url.path or "/analytics/" in request.url.path
        ):
            settled(db)

    with httpx.Client(
        base_url=service.base_url, timeout=30, event_hooks={"request": [settle]}
    ) as http:
        yield http


def settled(db: Db) -> None:
    """Bring the rollups up to date with late readings now, not when the service looks next."""
    eventually(lambda: _is_settled(db), timeout_s=20)


def _is_settled(db: Db) -> bool:
    late = "select exists (select from late_hours as h where h.hour < rolled_up_until())"
    if not db.value(late):
        return True
    with suppress(asyncpg.LockNotAvailableError):  # a policy is refreshing at this moment
        db.fetch("call refresh_late_hours()")
    return not db.value(late)


@pytest.fixture(scope="module")
def replica(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An HTTP client of another service on the shared database, for the tests of a module."""
    folder = tmp_path_factory.mktemp("replica")
    with (
        running_service(folder, on_migrated(database_url)) as service,
        httpx.Client(base_url=service.base_url, timeout=30) as http,
    ):
        yield http


@pytest.fixture(scope="session", autouse=True)
def shared_certificates() -> Iterator[None]:
    """Let all clients share what they trust: to read it takes longer than most requests."""
    context = cache(httpx.create_ssl_context)
    with patch("httpx._transports.default.create_ssl_context", context):
        yield


@pytest.fixture
def uid() -> str:
    """A prefix for device ids that no other test has."""
    return new_uid()


def new_uid() -> str:
    """Unique in a run."""
    return f"t{secrets.token_hex(5)}-"


def eventually(
    probe: Callable[[*Ts], Any], *args: *Ts, timeout_s: float = 20, pause_s: float = 0.02
) -> Any:
    """What `probe` returns for `args` once it is true; fails when it never is."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = probe(*args)
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
    vehicle_id: str, at: datetime, kwh: float | None = 1.2, **fields: Any
) -> dict[str, Any]:
    """The first payload of the contract."""
    return {
        "vehicleId": vehicle_id,
        "soc": 72,
        "kwhDeliveredDc": kwh,
        "batteryTemp": 36,
        "timestamp": rfc3339(at),
    } | fields


def meter_reading(
    meter_id: str, at: datetime, kwh: float | None = 1.5, **fields: Any
) -> dict[str, Any]:
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
