"""What is written beside a file that is imported: its rejected lines, and how far it has come.

The progress is only ever about a prefix of the file of which everything is committed, so an import
that was killed goes on from there: what is sent twice is a duplicate.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.model import Batch
from fleetmeter.transfer.sources import Block, Format, Position

_HEAD_BYTES = 64 * 1024
"""How much of a file is looked at to know it again."""


class Identity(msgspec.Struct, frozen=True):
    """What tells a file from what it was before."""

    size: int
    head: str
    """A hash over its first bytes."""

    format: Format


class Counts(msgspec.Struct):
    """What became of the lines so far."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0


class _Progress(msgspec.Struct, rename="camel"):
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


def identity(file: BinaryIO, format_: Format) -> Identity:
    """Of an open file."""
    file.seek(0)
    head = hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()
    file.seek(0)
    return Identity(os.fstat(file.fileno()).st_size, head, format_)


class Ledger:
    """The rejects and the progress of one file."""

    def __init__(self, path: Path, folder: Path | None) -> None:
        """`folder`: where they go instead of beside the file."""
        beside = (folder or path.parent) / path.name
        self.rejects = beside.with_name(f"{path.name}.rejected.ndjson")
        self._progress = beside.with_name(f"{path.name}.progress.json")
        self._temporary = beside.with_name(f"{path.name}.progress.json.new")
        self.counts = Counts()
        self.position = Position()
        self._identity = Identity(0, "", "csv")
        self._rejects_file: BinaryIO | None = None
        self._rejects_bytes = 0

    def check(self) -> None:
        """Raises FleetMeterError when they cannot be written."""
        try:
            self._temporary.touch()
            self._temporary.unlink()
            for path in (self.rejects, self._progress):
                if path.exists():
                    path.open("r+b").close()
        except OSError as error:
            raise FleetMeterError(
                f"{error.filename} cannot be written: {error.strerror}; "
                "choose a folder for it with --out"
            ) from None

    def begin(self, identity: Identity) -> bool:
        """Go on where an earlier import of the same file was stopped; whether there was one."""
        self._identity = identity
        found = self._found()
        if found is None:
            self.rejects.unlink(missing_ok=True)
            return False
        self.position = found.position
        self.counts = found.counts
        self._rejects_bytes = found.rejects_bytes
        if found.rejects_bytes:
            os.truncate(self.rejects, found.rejects_bytes)
        else:
            self.rejects.unlink(missing_ok=True)
        return True

    def _found(self) -> _Progress | None:
        """The progress, if it is this file's and what it speaks of is there."""
        with suppress(OSError, msgspec.DecodeError):
            found = msgspec.json.decode(self._progress.read_bytes(), type=_Progress)
            written = self.rejects.stat().st_size if found.rejects_bytes else 0
            if found.identity == self._identity and written >= found.rejects_bytes:
                return found
        return None

    def committed(self, block: Block, batch: Batch, stored: int) -> None:
        """Note the next block, of which `stored` readings were new."""
        counts, rejected = self.counts, len(batch.rejected)
        counts.accepted += stored
        counts.duplicates += len(block.items) - rejected - stored
        counts.rejected += rejected
        if rejected:
            self._write_rejects(block, batch)
        self.position = block.end

    def _write_rejects(self, block: Block, batch: Batch) -> None:
        if self._rejects_file is None:
            self._rejects_file = self.rejects.open("ab")
        for item in batch.rejected:
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
        progress = _Progress(self._identity, self.position, self.counts, self._rejects_bytes)
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
        """Let go of the files."""
        if self._rejects_file is not None:
            self._rejects_file.close()
            self._rejects_file = None
