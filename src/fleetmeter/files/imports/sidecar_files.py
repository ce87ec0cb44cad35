"""Writes files beside an imported one: its rejected lines, and its progress.

The progress covers only a prefix of the file that is completely committed, so an import that was
killed continues from there; readings sent twice are duplicates.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import msgspec

from fleetmeter.errors import FleetMeterError
from fleetmeter.files.blocks import Block, Position
from fleetmeter.files.imports.correct import CorrectedOutcome
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.intake.door import IngestOutcome
from fleetmeter.readings.model import Rejection

_HEAD_BYTES = 64 * 1024
"""Bytes of a file that are hashed to recognize it."""


_REJECTS = ".rejected.ndjson"
_PROGRESS = ".progress.json"
_LOCK = ".import.lock"

OWN = (_REJECTS, _PROGRESS, f"{_PROGRESS}.new", _LOCK)
"""Suffixes of the files that an import writes beside a file."""


class Identity(msgspec.Struct, frozen=True):
    """Identifies a file, to recognize whether it is still the same."""

    size: int
    mtime_ns: int
    head: str
    """A hash of its first bytes."""

    format: str

    mapping: str = ""
    """A hash of the mapping that it is read with."""


class Counts(msgspec.Struct):
    """The outcome of the lines so far."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    corrected: int = 0
    """Stored readings corrected with the values of the file."""
    dropped: int = 0
    """Values left out of readings that were stored."""


class _Progress(msgspec.Struct, rename="camel"):
    database: str
    identity: Identity
    position: Position
    counts: Counts
    rejects_bytes: int


class _Reject(msgspec.Struct, omit_defaults=True):
    line: int
    code: str
    detail: str
    text: str
    path: str = ""


def identity(file: BinaryIO, format_: str, mapping: str = "") -> Identity:
    """Return the identity of an open file."""
    file.seek(0)
    head = hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()
    file.seek(0)
    status = os.fstat(file.fileno())
    return Identity(status.st_size, status.st_mtime_ns, head, format_, mapping)


class SidecarFiles:
    """The rejects and the progress of one file."""

    def __init__(self, path: Path, folder: Path | None) -> None:
        """Write into `folder` if given, else beside the file."""
        beside = (folder or path.parent) / path.name
        self.rejects = beside.with_name(path.name + _REJECTS)
        self._progress = beside.with_name(path.name + _PROGRESS)
        self._temporary = beside.with_name(f"{path.name}{_PROGRESS}.new")
        self._lock = beside.with_name(path.name + _LOCK)
        self.counts = Counts()
        self.position = Position()
        self.resumed = False
        """Whether it continues an import that was stopped."""
        self._identity = Identity(0, 0, "", "csv")
        self._database = ""
        self._rejects_file: BinaryIO | None = None
        self._rejects_bytes = 0

    def check(self) -> None:
        """Raise FleetMeterError when the files cannot be written."""
        try:
            TemporaryFile(dir=self.rejects.parent).close()
            for path in (self.rejects, self._progress):
                if path.exists():
                    path.open("r+b").close()
        except OSError as error:
            raise FleetMeterError(
                f"{error.filename} cannot be written: {error.strerror}; "
                "choose a folder for it with --out"
            ) from None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the files for one import. Raises SourceError when another import has it."""
        while True:
            with self._lock.open("ab") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise SourceError(
                        f"another import that writes {self.rejects} is running"
                    ) from None
                if not _is_at(file, self._lock):
                    continue  # the one before has just removed it
                try:
                    yield
                finally:
                    self._lock.unlink(missing_ok=True)
                return

    def begin(self, identity: Identity, database: str) -> str | None:
        """Continue an earlier import of this file into this database, if there was one.

        Returns why its progress is unusable, if it is; then the file is imported from the start.
        """
        self._identity = identity
        self._database = database
        found = self._found()
        if isinstance(found, str) or found is None:
            self.rejects.unlink(missing_ok=True)
            return found
        self.resumed = True
        self.position = found.position
        self.counts = found.counts
        self._rejects_bytes = found.rejects_bytes
        if found.rejects_bytes:
            os.truncate(self.rejects, found.rejects_bytes)
        else:
            self.rejects.unlink(missing_ok=True)
        return None

    def _found(self) -> _Progress | str | None:
        """Return the progress of an earlier import, or why it cannot be continued."""
        try:
            found = msgspec.json.decode(self._progress.read_bytes(), type=_Progress)
            written = self.rejects.stat().st_size if found.rejects_bytes else 0
        except FileNotFoundError:
            return "its rejects are gone" if self._progress.exists() else None
        except msgspec.DecodeError:
            return "its progress cannot be read"
        if found.identity != self._identity:
            is_file = found.identity.mapping == self._identity.mapping
            return "the file has changed since" if is_file else "its mapping was another"
        if found.database != self._database:
            return "that was another database"
        if written < found.rejects_bytes:
            return "its rejects are gone"
        return found

    def committed(self, block: Block, outcome: IngestOutcome) -> None:
        """Record the next block and the outcome of its readings."""
        counts = self.counts
        counts.accepted += outcome.accepted
        counts.duplicates += outcome.duplicates
        counts.rejected += len(outcome.rejected)
        if isinstance(outcome, CorrectedOutcome):
            counts.corrected += outcome.corrected
        warnings = outcome.warnings or []
        counts.dropped += len(warnings)
        if rejections := [*outcome.rejected, *warnings]:
            self._write_rejects(block, sorted(rejections, key=lambda item: item.index))
        self.position = block.end

    def _write_rejects(self, block: Block, rejections: list[Rejection]) -> None:
        if self._rejects_file is None:
            self._rejects_file = self.rejects.open("ab")
        for item in rejections:
            reject = _Reject(
                block.numbers[item.index],
                item.code,
                item.detail,
                block.text(item.index),
                item.path,
            )
            self._rejects_bytes += self._rejects_file.write(msgspec.json.encode(reject) + b"\n")

    def save(self) -> None:
        """Write the progress atomically."""
        if self._rejects_file is not None:
            self._rejects_file.flush()
            os.fsync(self._rejects_file.fileno())
        progress = _Progress(
            self._database, self._identity, self.position, self.counts, self._rejects_bytes
        )
        with self._temporary.open("wb") as file:
            file.write(msgspec.json.encode(progress))
            file.flush()
            os.fsync(file.fileno())
        self._temporary.replace(self._progress)

    def finish(self) -> None:
        """Finish once the whole file is committed."""
        self.close()
        self._progress.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files; progress that was not saved is lost."""
        if self._rejects_file is not None:
            with suppress(OSError):
                self._rejects_file.close()
            self._rejects_file = None


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Return whether an open file still has a name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
