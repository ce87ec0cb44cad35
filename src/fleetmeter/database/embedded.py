"""The embedded PostgreSQL: a server in a folder, for trying out, tests and small fleets.

Several processes may use one folder (`fleetmeter migrate` beside a running service): the first
starts the server, the last to leave stops it, and one that was killed counts as gone. Each watches
the server meanwhile, and one of them starts it again when it has ended: it was killed, or its disk
was full. The socket stays where it was, so that whoever is connected connects again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import structlog

from fleetmeter.database.embedded_server import EmbeddedServer
from fleetmeter.database.folder_lock import FolderLock
from fleetmeter.errors import EmbeddedServerError

_LOOK_S = 0.5
"""Time between two looks at the server, and until the first attempt to start it again, seconds."""

_LONGEST_PAUSE_S = 15.0
"""Longest pause between attempts, seconds."""

_STEADY_S = 60.0
"""Time that a server must run for its next end to count as the first one, seconds."""

_log = structlog.get_logger()


@contextmanager
def embedded_postgresql(data_dir: Path) -> Iterator[str]:
    """Run PostgreSQL in `data_dir`/postgresql for the length of the block; yields its URL.

    Raises EmbeddedServerError.
    """
    server = EmbeddedServer(data_dir.expanduser().absolute() / "postgresql")
    with _usable():
        server.folder.parent.mkdir(parents=True, exist_ok=True)
        used = FolderLock(server.folder.with_suffix(".lock"))
    with used:
        used.share()  # waits for a server that is just being stopped
        try:
            with _usable(), _starting(server):
                server.prepare()
                url = server.start()
            with _watched(server):
                yield url
        finally:
            if used.take_over():  # nobody else uses it
                server.stop()


def is_initialised(data_dir: Path) -> bool:
    """Return whether `data_dir` has a database. Raises EmbeddedServerError."""
    with _usable():
        return (data_dir.expanduser() / "postgresql" / "PG_VERSION").exists()


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedServerError(
            f"FLEETMETER_DATA_DIR cannot be used: {error}; set it to a folder that you may write to"
        ) from error


@contextmanager
def _starting(server: EmbeddedServer) -> Iterator[None]:
    """Let one process at a time start the server."""
    with FolderLock(server.folder.with_suffix(".start.lock")) as lock, lock.held():
        yield


@contextmanager
def _watched(server: EmbeddedServer) -> Iterator[None]:
    """Start the server again whenever it ends during the block."""
    leaving = Event()
    watch = Thread(target=_watch, args=(server, leaving), name="embedded server", daemon=True)
    watch.start()
    try:
        yield
    finally:
        leaving.set()
        watch.join()


def _watch(server: EmbeddedServer, leaving: Event) -> None:
    ends, steady_at = 0, 0.0
    while not leaving.wait(min(_LOOK_S * 2**ends, _LONGEST_PAUSE_S)):
        if server.runs():
            ends = 0 if monotonic() > steady_at else ends
            continue
        ends += 1
        try:
            reason = server.last_words()
            with _starting(server):
                if server.runs():  # another process was faster
                    continue
                server.start()
        except Exception as error:
            again_in_s = min(_LOOK_S * 2**ends, _LONGEST_PAUSE_S)
            _log.error("the embedded PostgreSQL is down", reason=str(error), again_in_s=again_in_s)
        else:
            _log.warning("the embedded PostgreSQL had ended; it was started again", reason=reason)
        steady_at = monotonic() + _STEADY_S
