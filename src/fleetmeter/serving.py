"""Serves HTTP with one process or several, until a signal."""

import os
import resource
import socket as socket_module
from collections.abc import Callable
from math import ceil
from socket import AF_INET, AF_INET6, IPPROTO_TCP, create_server, socket
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from litestar import Litestar
from uvicorn.supervisors import Multiprocess

from fleetmeter.app import create_app
from fleetmeter.connections.protocol import Config
from fleetmeter.connections.security_headers import SECURITY_HEADERS
from fleetmeter.errors import FleetMeterError, SettingsError
from fleetmeter.log import configure_logging
from fleetmeter.operations.monitoring import FILES
from fleetmeter.settings import Settings, load_settings

_UVICORN: dict[str, Any] = {
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "ws": "none",
    "headers": SECURITY_HEADERS,
}

_OTHER_FILES = 256
"""Files that a process needs beside its connections: the database's, sockets, pipes."""

_SILENT_MS = 60_000
"""Maximum time that sent data stays unacknowledged before the connection is dropped, ms."""


class _Server(uvicorn.Server):
    """A uvicorn server that reports when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[str], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            self._listening(url_of(sockets[0]))


def serve(url: str, settings: Settings, listener: socket, listening: Callable[[str], None]) -> None:
    """Serve HTTP until a signal; requests in flight are finished first."""
    server = _Server(config_of(create_app(url, settings), settings), listening)
    server.run(sockets=[listener])
    if not server.started:
        raise FleetMeterError("the service did not start; the log shows why")


def serve_with_workers(url: str, settings: Settings, workers: int, listener: socket) -> None:
    """Serve HTTP with several processes on one socket; one that dies is restarted."""
    os.environ["FLEETMETER_DATABASE_URL"] = url  # they are new processes, and read it from there
    os.environ.pop("FLEETMETER_DATABASE_URL_FILE", None)
    app = "fleetmeter.serving:worker_app"
    config = config_of(app, settings, factory=True, workers=workers)
    with TemporaryDirectory(prefix="fleetmeter-metrics-") as folder:
        os.environ[FILES] = folder
        Multiprocess(config, sockets=[listener]).run()


def config_of(app: Callable[..., Any] | str, settings: Settings, **options: Any) -> Config:
    """Return the configuration of a server, in a process that may open as many files as it needs.

    Raises SettingsError when the system does not allow so many connections.
    """
    needed = settings.connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SettingsError(
            f"FLEETMETER_CONNECTIONS: {settings.connections} connections need {needed} open files, "
            f"and the system allows {hard} (ulimit -Hn)"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return Config(app, settings, **(_UVICORN | _grace(settings) | options))


def _grace(settings: Settings) -> dict[str, Any]:
    """Return how long a stop waits for requests: longer than any of them may take."""
    longest = max(settings.body_timeout_s + settings.commit_wait_s, settings.database_timeout_s)
    return {"timeout_graceful_shutdown": ceil(longest) + 2}


def worker_app() -> Litestar:
    """Create the application of one of several processes."""
    settings = load_settings()
    configure_logging(settings, for_good=True)
    return create_app(settings.database_url or "", settings)


def url_of(listener: socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listening_socket(settings: Settings) -> socket:
    """Listen on the configured address, before anything else is started."""
    try:
        family = AF_INET6 if ":" in settings.host else AF_INET
        listener = create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise FleetMeterError(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}; "
            "set FLEETMETER_PORT or FLEETMETER_HOST"
        ) from error
    if hasattr(socket_module, "TCP_USER_TIMEOUT"):  # Linux; what is accepted inherits it
        listener.setsockopt(IPPROTO_TCP, socket_module.TCP_USER_TIMEOUT, _SILENT_MS)
    return listener
