"""Exports into a file or a pipe, as `fleetmeter export` does."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import click
from rich.console import Console

from fleetmeter.database.pool import connect
from fleetmeter.errors import FleetMeterError, NotMigratedError
from fleetmeter.files.exports.encode import Export, ExportFormat, Selection
from fleetmeter.settings import Settings
from fleetmeter.terminal import say


def check(selection: Selection, format_: ExportFormat, path: Path | None) -> None:
    """Check what needs no database. Raises click.UsageError."""
    if selection.start >= selection.end:
        raise click.UsageError("--from must be before --to")
    if selection.vehicle_id is not None and selection.meter_id is not None:
        raise click.UsageError("--vehicle and --meter do not go together")
    if format_ == "parquet" and path is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: give --output FILE, or a pipe")


def export_to(
    path: Path | None, url: str, settings: Settings, selection: Selection, format_: ExportFormat
) -> None:
    """Write the readings to `path`, which exists only once complete, or to standard output.

    Raises FleetMeterError.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: it cleans up
    with destination(path) as output:
        readings, size = asyncio.run(_write(output, url, settings, selection, format_))
    where = path or "standard output"
    say(f"{readings:,} readings, {size:,} bytes, to {where}", err=True)


@contextmanager
def destination(path: Path | None) -> Iterator[BinaryIO]:
    """Open the destination. Raises FleetMeterError, and BrokenPipeError when the reader is gone."""
    try:
        if path is None:  # not sys.stdout, which would keep what a full disk did not take
            with open(sys.stdout.fileno(), "wb", closefd=False) as file:
                yield file
        elif path.exists() and not path.is_file():  # a pipe, a device
            with path.open("wb") as file:
                yield file
        else:
            with _replacing(Path(os.path.realpath(path))) as file:
                yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        where = path or "standard output"
        raise FleetMeterError(f"{where}: {error.strerror or error}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name at the end, and is deleted when it is not completed."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


async def _write(
    output: BinaryIO, url: str, settings: Settings, selection: Selection, format_: ExportFormat
) -> tuple[int, int]:
    """Write the export; return how many readings and bytes were written."""
    database = await connect(url, settings)
    try:
        export = Export(database, selection, format_)
        size = 0
        with _progress() as show:
            async with aclosing(export.blocks()) as blocks:
                async for block in blocks:
                    output.write(block)
                    size += len(block)
                    show(export.readings, size)
    except NotMigratedError as error:
        raise FleetMeterError(
            f"the database is not migrated ({error}); run: fleetmeter migrate"
        ) from error
    finally:
        await database.close()
    return export.readings, size


@contextmanager
def _progress() -> Iterator[Any]:
    """Yield a function that shows the progress on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _readings, _size: None
        return
    began = monotonic()
    with console.status("asking the database") as status:

        def show(readings: int, size: int) -> None:
            rate = readings / max(monotonic() - began, 1e-3)
            status.update(f"{readings:,} readings, {size / 1e6:,.1f} MB, {rate:,.0f} readings/s")

        yield show
