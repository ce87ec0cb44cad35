"""Runs a whole import, as `fleetmeter import` does."""

import asyncio
import gc
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec

from fleetmeter.database.pool import connect
from fleetmeter.database.sql import queries
from fleetmeter.errors import DatabaseUnavailableError, FleetMeterError
from fleetmeter.files.imports.correct import CorrectingStore, Corrections, Store
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.options import MappingOptions
from fleetmeter.files.imports.mapping.source import MappedSource, fingerprint
from fleetmeter.files.imports.progress import progress
from fleetmeter.files.imports.sidecar_files import OWN, SidecarFiles, identity
from fleetmeter.files.imports.sources import (
    UNREADABLE,
    ImportFormat,
    Source,
    format_of,
    open_source,
    unpacked,
)
from fleetmeter.files.imports.store import import_blocks
from fleetmeter.files.imports.tables.opening import reader_of
from fleetmeter.intake.door import open_door
from fleetmeter.settings import Settings
from fleetmeter.terminal import say

_PATIENCE_S = 86400.0
"""Maximum time that a block waits for its commit, seconds: a file can wait, unlike a device."""

_COMMIT_READINGS = 50_000
"""Readings per transaction: a device's live state advances once for several of them."""

_GO_ON = "run it again to go on"

_MAYBE_TWICE = "resumed; readings that were stored before the interruption may count as duplicates"


class Import(NamedTuple):
    """A file to import, and the files that are written beside it."""

    path: Path
    format: str
    sidecar: SidecarFiles
    options: MappingOptions | None = None
    """How to read it, unless it has the API's field names."""

    def opened(self, file: BinaryIO) -> tuple[BinaryIO, Source]:
        """Open a file, unpacked, with its source. Raises SourceError and MappingError."""
        content = file if self.format == "parquet" else unpacked(file, self.path.name)
        size = os.fstat(file.fileno()).st_size
        if self.options is not None:
            return content, MappedSource(content, self.options, self.format, size)
        return content, open_source(content, cast(ImportFormat, self.format), size)


def prepared(
    paths: Sequence[Path],
    format_: str | None,
    folder: Path | None,
    options: MappingOptions | None = None,
) -> list[Import]:
    """Return the files to import, after checking everything that needs no database.

    Raises FleetMeterError.
    """
    files = _to_import(paths)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FleetMeterError(f"--out {folder} cannot be used: {error.strerror}") from None
    if format_ == "xlsx" and options is None:
        raise FleetMeterError("a workbook needs --map, --preset or --guess")
    by_ending = format_of if options is None else reader_of
    imports = [
        Import(path, format_ or by_ending(path.name), SidecarFiles(path, folder), options)
        for path in files
    ]
    taken: dict[Path, Path] = {}
    for each in imports:
        rejects = each.sidecar.rejects.resolve()
        if rejects in taken:
            raise FleetMeterError(
                f"{taken[rejects]} and {each.path} would both write {each.sidecar.rejects}; "
                "import them one after the other"
            )
        taken[rejects] = each.path
        each.sidecar.check()
    return imports


def _to_import(paths: Sequence[Path]) -> list[Path]:
    """Leave out files that imports wrote, which a glob finds. Raises FleetMeterError."""
    own = [path for path in paths if path.name.endswith(OWN)]
    if own:
        say(f"skipped, as an import writes them: {', '.join(map(str, own))}", err=True)
    files = [path for path in paths if path not in own]
    if not files:
        raise FleetMeterError("nothing to import")
    for path in files:
        if (path.exists() and not path.is_file()) or path.parent == Path("/dev"):
            raise FleetMeterError(
                f"{path} is not a regular file, so an interrupted import could not "
                "resume; save it to a file first, and import that"
            )
    return files


def corrections(paths: Sequence[Path], who: str | None, reason: str | None) -> Corrections:
    """Return who corrects stored readings, and why. Raises FleetMeterError."""
    names = ", ".join(path.name for path in paths)
    found = Corrections(who or "fleetmeter import", reason or f"imported from {names}"[:1000])
    for option, text, most in (("--who", found.who, 200), ("--reason", found.reason, 1000)):
        if not text.isprintable() or len(text) > most:
            raise FleetMeterError(f"{option} must be at most {most} characters that can be shown")
    return found


class Stop:
    """A request to stop, and the signal that made it."""

    def __init__(self) -> None:
        self.number = 0
        self.importing = False
        """Set once there is something to finish before a stop."""

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.number != 0

    def ask(self, number: int, frame: object = None) -> None:
        """Ask to stop; what was begun is finished first, so a second signal changes nothing."""
        self.number = self.number or number
        if not self.importing:
            raise SystemExit(128 + number)

    @contextmanager
    def on_signals(self) -> Iterator["Stop"]:
        """Let SIGINT and SIGTERM ask to stop."""
        handlers = {n: signal.signal(n, self.ask) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def run(
    imports: Sequence[Import],
    url: str,
    settings: Settings,
    stop: Stop,
    corrections: Corrections | None = None,
    *,
    evaluate: bool = False,
) -> int:
    """Import one file after the other; return the exit status. Raises FleetMeterError.

    With `corrections`, readings stored with other values are corrected. With `evaluate`, the rules
    are then evaluated over the time of the files, however long ago it was.
    """
    patient = msgspec.structs.replace(
        settings,
        commit_wait_s=_PATIENCE_S,
        commit_readings=_COMMIT_READINGS,
        queue_readings=10_000_000,
    )
    stop.importing = True
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # a block makes many objects, and no cycles
    return asyncio.run(_import_all(imports, url, patient, stop, corrections, evaluate))


async def _import_all(
    imports: Sequence[Import],
    url: str,
    settings: Settings,
    stop: Stop,
    corrections: Corrections | None,
    evaluate: bool,
) -> int:
    database = await connect(url, settings)
    try:
        async with database.connection() as connection:
            days = await queries.retention_days(connection)
            database_id = str(await queries.installation_id(connection))
        settings = msgspec.structs.replace(settings, retention_days=days)
        async with open_door(database, settings) as door:
            store = CorrectingStore(door, database, corrections) if corrections else door
            status = 0
            for each in imports:
                if stop():
                    return 128 + stop.number
                outcome = await _import_one(each, database_id, store, stop)
                if outcome is None:
                    return 128 + stop.number
                status |= not outcome
        if evaluate:
            from fleetmeter.files.imports.evaluate import evaluate_files  # rules are large

            await evaluate_files(database, imports, settings, stop)
        return 128 + stop.number if stop() else status
    finally:
        await database.close()


async def _import_one(
    each: Import,
    database_id: str,
    store: Store,
    stop: Stop,
) -> bool | None:
    """Import a file; return whether all of it was right, or None when it was stopped."""
    sidecar = each.sidecar
    try:
        with sidecar.held(), each.path.open("rb") as file:
            mapping = "" if each.options is None else fingerprint(each.options)
            known = identity(file, each.format, mapping)
            content, source = each.opened(file)
            for note in notes_of(source):
                say(f"{each.path}: {note}", err=True)
            if why := sidecar.begin(known, database_id):
                say(
                    f"{each.path}: an earlier import of it was stopped, but {why}; starting over",
                    err=True,
                )

            def read_bytes() -> int:
                if content is not file or each.options is not None:
                    return file.tell()
                return known.size * sidecar.position.offset // max(source.size, 1)

            with progress(each.path.name, known.size, sidecar, read_bytes) as show_progress:
                whole = await import_blocks(source, sidecar, store, stop, show_progress)
            if whole:
                sidecar.finish()
                if left_out := getattr(source, "left_out", 0):
                    say(
                        f"{each.path}: {left_out:,} rows left out, as nothing in them is wanted",
                        err=True,
                    )
    except SourceError as error:
        say(f"{each.path}: {error}", err=True)
        return False
    except UNREADABLE as error:
        say(
            f"{each.path}: after line {sidecar.position.lines:,} it cannot be unpacked: {error}",
            err=True,
        )
        return False
    except OSError as error:
        raise FleetMeterError(
            f"{error.filename or each.path} cannot be used: {error.strerror or error}; {_GO_ON}"
        ) from error
    except DatabaseUnavailableError as error:
        raise DatabaseUnavailableError(
            f"{each.path}: the database was lost after line {sidecar.position.lines:,}: {error}; "
            f"{_GO_ON}"
        ) from error
    finally:
        sidecar.close()
    if not whole:
        say(f"{each.path}: stopped after line {sidecar.position.lines:,}; {_GO_ON}", err=True)
        return None
    say(_summary(each))
    return not sidecar.counts.rejected


def notes_of(source: Source) -> list[str]:
    """Return notes about how a file is read."""
    notes = [*getattr(source, "notes", ())]
    if source.ignored:
        notes.append(f"columns that mean nothing here: {', '.join(source.ignored)}")
    return notes


def _summary(each: Import) -> str:
    counts = each.sidecar.counts
    rejects = f" ({each.sidecar.rejects})" if counts.rejected or counts.dropped else ""
    dropped = f", {counts.dropped:,} values left out" if counts.dropped else ""
    corrected = f"{counts.corrected:,} corrected, " if counts.corrected else ""
    return (
        f"{each.path}: {counts.accepted:,} accepted, {corrected}{counts.duplicates:,} duplicates, "
        f"{counts.rejected:,} rejected{dropped}{rejects}"
        f"{f' ({_MAYBE_TWICE})' * each.sidecar.resumed}"
    )
