"""Starts what a benchmark needs, each a process of its own, and measures what they use."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import psutil

from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.load_job import Job, Result

SAMPLE_S = 0.5
_LONGEST_LINE = 1 << 28
"""Bytes; a Result has the latency of every request."""


class Version(msgspec.Struct, frozen=True):
    """Describes an installation of FleetMeter, and how to start its command line."""

    name: str
    python: str = sys.executable
    environ: dict[str, str] = {}
    """Variables that differ from the environment of this process."""

    folder: Path | None = None
    """Where it is started, if not here."""

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        """Return the environment of its processes, with what differs for one of them."""
        return os.environ | self.environ | more

    async def start(
        self,
        arguments: Sequence[str],
        environ: dict[str, str],
        *,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> asyncio.subprocess.Process:
        """Start its Python, with additional environment variables."""
        return await asyncio.create_subprocess_exec(
            self.python,
            *arguments,
            env=self.environment(environ),
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )

    async def run(self, url: str, *arguments: str) -> bytes:
        """Return what a command prints on a database. Raises FleetMeterError."""
        process = await self.start(
            ["-m", "fleetmeter", *arguments],
            {"FLEETMETER_DATABASE_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, error = await process.communicate()
        if process.returncode:
            text = (error or said).decode(errors="replace").strip()
            raise FleetMeterError(f"{self.name}: fleetmeter {arguments[0]} failed: {text}")
        return said


THIS = Version("this version")


class Running(msgspec.Struct):
    """Describes a server that answers HTTP."""

    target: str
    process: psutil.Process


@asynccontextmanager
async def connected(url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """Connect to a database for the length of the block."""
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def new_database(server_url: str, template: str | None = None) -> AsyncIterator[str]:
    """Create a database, empty or a copy of another, and drop it afterwards."""
    name = f"fleetmeter_bench_{secrets.token_hex(4)}"
    async with connected(server_url) as admin:
        await admin.execute(
            f"create database {name}" + (f" template {template}" if template else "")
        )
        try:
            yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        finally:
            await admin.execute(f"drop database {name} with (force)")


async def made_template(server_url: str, url: str) -> str:
    """Return the name of a database that nobody can connect to any more, so it can be copied."""
    name = urlsplit(url).path.removeprefix("/")
    async with connected(server_url) as admin:
        await admin.execute(f"alter database {name} allow_connections false")
        await admin.execute(_DISCONNECT, name)
        while await admin.fetchval(_CONNECTED, name):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.1)
    return name


# also a worker that a database's own jobs wait in
_DISCONNECT = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1"
_CONNECTED = "select count(*) from pg_stat_activity where datname = $1"


@asynccontextmanager
async def fresh_database(server_url: str, devices: int) -> AsyncIterator[str]:
    """Create a migrated database with every vehicle assigned, and drop it afterwards."""
    async with new_database(server_url) as url:
        await THIS.run(url, "migrate")
        async with connected(url) as connection:
            await connection.execute(_ASSIGN, devices // 2)
        yield url


_ASSIGN = """
insert into assignments (vehicle, since, meter, restamped_at)
select
    number_device('vehicle', 'EV-' || lpad(number::text, 6, '0')),
    '2000-01-01 00:00:00+00',
    number_device('meter', 'MTR-' || lpad(number::text, 6, '0')),
    now()
from generate_series(0, $1::integer - 1) as number
"""


async def stored(url: str) -> int:
    """Count the readings in history."""
    async with connected(url) as connection:
        count: int = await connection.fetchval("select count(*) from readings")
    return count


async def database_process(server_url: str) -> psutil.Process | None:
    """Find the server's first process, if it runs on this machine."""
    async with connected(server_url) as connection:
        with suppress(psutil.Error):
            backend = psutil.Process(await connection.fetchval("select pg_backend_pid()"))
            if backend.name() == "postgres" and (server := backend.parent()) is not None:
                return server
    return None


@asynccontextmanager
async def service(
    url: str,
    workers: int,
    version: Version = THIS,
    *,
    key: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Running]:
    """Run `fleetmeter serve` on a database, with the settings of this environment and `environ`.

    `environ` has more. It knows a key, by default that of FLEETMETER_KEY; if empty, it needs none.
    """
    settings = {
        "FLEETMETER_DATABASE_URL": url,
        "FLEETMETER_HOST": "127.0.0.1",
        "FLEETMETER_PORT": "0",
        "FLEETMETER_LOG_FORMAT": "json",
        "FLEETMETER_LOG_LEVEL": "info",
    }
    if key is None:
        key = os.environ.get("FLEETMETER_KEY")
    if key:
        settings["FLEETMETER_ADMIN_KEY"] = key
    settings |= environ or {}
    command = ["-m", "fleetmeter", "serve", "--workers", str(workers)]
    async with _server(command, settings, version) as running:
        yield running


@asynccontextmanager
async def empty_handler() -> AsyncIterator[Running]:
    """Run a Litestar handler that does nothing."""
    async with _server(["-m", "fleetmeter_benchmark.baseline_app"], {}) as running:
        yield running


@asynccontextmanager
async def _server(
    command: Sequence[str], environ: dict[str, str], version: Version = THIS
) -> AsyncIterator[Running]:
    """Run a Python process that logs JSON with its URL; stop it at the end of the block."""
    process = await version.start(command, environ, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None  # noqa: S101 - it was asked for
    log = process.stderr
    last = b""
    try:
        while line := await log.readline():
            last = line
            if line.startswith(b"{") and (url := msgspec.json.decode(line).get("url")):
                break
        else:
            said = last.decode(errors="replace").strip()
            raise FleetMeterError(f"the benchmark's server ended ({version.name}): {said}")
        reading = asyncio.create_task(_forward(log))
        yield Running(urlsplit(url).netloc, psutil.Process(process.pid))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    await reading


async def _forward(log: asyncio.StreamReader) -> None:
    """Pass on what a server logs while it is measured."""
    while line := await log.readline():
        sys.stderr.write(line.decode(errors="replace"))


async def load(job: Job, progress: Callable[[int], None]) -> Result:
    """Do a job in a process of its own, and report its progress in readings."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fleetmeter_benchmark.load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
    try:
        process.stdin.write(msgspec.json.encode(job))
        process.stdin.close()
        while line := await process.stdout.readline():
            if line.startswith(b'{"done"'):
                progress(msgspec.json.decode(line)["done"])
            else:
                return msgspec.json.decode(line, type=Result)
        raise FleetMeterError("the benchmark's load failed; its message is above")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
        await process.wait()


class Usage:
    """Measures CPU and memory of a process and its children over the length of a block."""

    def __init__(self, process: psutil.Process | None, every_s: float = SAMPLE_S) -> None:
        """Prepare to measure; `every_s` is the time between samples of memory."""
        self._process = process
        self._every_s = every_s
        self.cpu_s = 0.0
        self.rss_mib: list[float] = []

    async def __aenter__(self) -> "Usage":
        self._before = self._cpu()
        self._sampling = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sampling.cancel()
        self.cpu_s = self._cpu() - self._before

    async def _sample(self) -> None:
        while True:
            total = 0
            for process in self._tree():
                with suppress(psutil.Error):
                    total += process.memory_info().rss
            self.rss_mib.append(total / (1 << 20))
            await asyncio.sleep(self._every_s)

    def _tree(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        with suppress(psutil.NoSuchProcess):
            return [self._process, *self._process.children(recursive=True)]
        return []  # it has ended

    def _cpu(self) -> float:
        """Return the CPU time, with children that have ended if their parent waited for them."""
        total = 0.0
        for process in self._tree():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
                total += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
        return total
