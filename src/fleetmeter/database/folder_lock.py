"""Locks of a data folder: files that only their owner can open, and a wait that is bounded."""

import fcntl
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Self

import psutil
import structlog

from fleetmeter.errors import EmbeddedServerError

_LONGEST_WAIT_S = 75.0
"""Longest wait for a lock, seconds: somewhat longer than a server may take to start or stop."""

_PATIENCE_S = 3.0
"""Wait after which the log says what is waited for, seconds."""

_LOOK_S = 0.05

_log = structlog.get_logger()


class FolderLock:
    """A lock file, which several processes may share or one may hold alone."""

    def __init__(self, path: Path) -> None:
        """Open the file, created if it is missing. Raises OSError and EmbeddedServerError."""
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            check_owner(path, os.fstat(self._file).st_uid, os.geteuid())
            os.fchmod(self._file, 0o600)  # older versions let everybody read it, and so lock it
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def share(self) -> None:
        """Hold it together with others until it is closed. Raises EmbeddedServerError."""
        self._wait(fcntl.LOCK_SH)

    def take_over(self) -> bool:
        """Hold it alone from now on, unless somebody else holds it; return whether that worked."""
        return self._try(fcntl.LOCK_EX)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it alone for the length of the block. Raises EmbeddedServerError."""
        self._wait(fcntl.LOCK_EX)
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _try(self, operation: int) -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(self._file, operation | fcntl.LOCK_NB)
            return True
        return False

    def _wait(self, operation: int) -> None:
        began, said = monotonic(), False
        while not self._try(operation):
            waited_s = monotonic() - began
            if waited_s > _LONGEST_WAIT_S:
                raise EmbeddedServerError(
                    f"{self._path} has been held by {self._holder()} for {waited_s:.0f} s; "
                    "end that process, and try again"
                )
            if waited_s > _PATIENCE_S and not said:
                said = True
                _log.warning("waiting for a lock", lock=str(self._path), held_by=self._holder())
            sleep(_LOOK_S)

    def _holder(self) -> str:
        """Name the processes that hold the lock, as far as the system says."""
        status = os.fstat(self._file)
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        try:
            locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
            pids = {int(lock[4]) for lock in locks if lock[1] == "FLOCK" and lock[5] == device}
        except (OSError, ValueError, IndexError):  # not Linux: whoever held it alone says so in it
            written = os.pread(self._file, 20, 0).strip()
            pids = {int(written)} if written.isdigit() else set()
        return " and ".join(f"process {pid}{_name(pid)}" for pid in sorted(pids)) or "a process"


def _name(pid: int) -> str:
    with suppress(psutil.Error):
        return f" ({psutil.Process(pid).name()})"
    return ""


def check_owner(path: Path, owner: int, user: int) -> None:
    """Raise EmbeddedServerError if a file does not belong to the user that needs it."""
    if owner != user:
        raise EmbeddedServerError(
            f"{path} belongs to the user {_user_name(owner)}, and the embedded PostgreSQL runs as "
            f"{_user_name(user)}: run this as {_user_name(owner)}, or set FLEETMETER_DATA_DIR to "
            "another folder"
        )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
