"""What is written beside a file that is imported: its rejected lines, and how far it has come.

The progress is only ever about a prefix of the file of which everything is committed, so an import
that was killed goes on from there: what is sent twice is a duplicate.
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
"""How much of a file is looked at to know it again."""


_REJECTS = ".rejected.ndjson"
_PROGRESS = ".progress.json"
_LOCK = ".import.lock"

OWN = (_REJECTS, _PROGRESS, f"{_PROGRESS}.new", _LOCK)
"""How the names of the files end that an import writes beside a file."""


class Identity(msgspec.Struct, frozen=True):
    """What tells a file from what it was before."""

    size: int
    mtime_ns: int
    head: str
    """A hash over its first bytes."""

    format: str

    mapping: str = ""
    """A hash over the mapping that it is read by."""


class Counts(msgspec.Struct):
    """What became of the lines so far."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    corrected: int = 0
    """Stored readings that got the values of the file."""
    dropped: int = 0
    """Values that were left out of readings which are stored."""


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
    """Of an open file."""
    file.seek(0)
    head = hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()
    file.seek(0)
    status = os.fstat(file.fileno())
    return Identity(status.st_size, status.st_mtime_ns, head, format_, mapping)


class Ledger:
    """The rejects and the progress of one file."""

    def __init__(self, path: Path, folder: Path | None) -> None:
        """`folder`: where they go instead of beside the file."""
        beside = (folder or path.parent) / path.name
        self.rejects = beside.with_name(path.name + _REJECTS)
        self._progress = beside.with_name(path.name + _PROGRESS)
        self._temporary = beside.with_name(f"{path.name}{_PROGRESS}.new")
        self._lock = beside.with_name(path.name + _LOCK)
        self.counts = Counts()
        self.position = Position()
        self.resumed = False
        """Whether it goes on where an earlier import was stopped."""
        self._identity = Identity(0, 0, "", "csv")
        self._database = ""
        self._rejects_file: BinaryIO | None = None
        self._rejects_bytes = 0

    def check(self) -> None:
        """Raises FleetMeterError when they cannot be written."""
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
        """By one import at a time. Raises SourceError when another one has it."""
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
        """Go on where an earlier import of the same file into the same database was stopped.

        Why not, when there was one but it is of no use; the file is imported from its beginning.
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
        """The progress of an earlier import, or why it cannot be gone on with."""
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
        """Note the next block and what became of its readings."""
        counts = self.counts
        counts.accepted += outcome.accepted
        counts.duplicates += outcome.duplicates
        counts.rejected += len(outcome.rejected)
        if isinstance(outcome, CorrectedOutcome):
            counts.corrected += outcome.corrected
        warnings = outcome.warnings or []
        counts.dropped += len(warnings)
        if told := [*outcome.rejected, *warnings]:
            self._write_rejects(block, sorted(told, key=lambda item: item.index))
        self.position = block.end

    def _write_rejects(self, block: Block, told: list[Rejection]) -> None:
        if self._rejects_file is None:
            self._rejects_file = self.rejects.open("ab")
        for item in told:
            reject = _Reject(
                block.numbers[item.index],
                item.code,
                item.detail,
                block.text(item.index),
                item.path,
            )
            self._rejects_bytes += self._rejects_file.write(msgspec.json.encode(reject) + b"\n")

    def save(self) -> None:
        """Write the progress, so that it is whole whatever happens."""
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
        """The whole file is committed."""
        self.close()
        self._progress.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the files; what was not saved does not count."""
        if self._rejects_file is not None:
            with suppress(OSError):
                self._rejects_file.close()
            self._rejects_file = None


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file still has that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
