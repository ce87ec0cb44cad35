"""Prepares what `fleetmeter import` is asked to do, without a database."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from fleetmeter.errors import FleetMeterError
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.guess import guess
from fleetmeter.files.imports.mapping.model import MappingError
from fleetmeter.files.imports.mapping.options import MappingOptions, mapping_options
from fleetmeter.files.imports.mapping.samples import sample_of
from fleetmeter.files.imports.presets import presets
from fleetmeter.files.imports.preview import Preview
from fleetmeter.files.imports.run import Import, prepared
from fleetmeter.files.imports.sidecar_files import SidecarFiles
from fleetmeter.files.imports.sources import format_of, unpacked
from fleetmeter.files.imports.tables.opening import open_first, reader_of
from fleetmeter.readings.validate import Invalid
from fleetmeter.settings import Settings
from fleetmeter.terminal import say

_HEAD_BYTES = 1024 * 1024
"""Bytes of a text that suffice for a guess."""


def prepare(
    settings: Settings,
    *,
    files: Sequence[Path],
    mapping: Path | None,
    preset: str | None,
    device: str | None,
    zone: str | None,
    guess: bool,
    dry_run: bool,
    evaluate: bool,
    format_: str | None,
    out: Path | None,
) -> tuple[list[Import], bool]:
    """Return the imports, and whether to evaluate them afterwards. Raises FleetMeterError.

    A guess and a dry run end here, with SystemExit.
    """
    if guess:
        if mapping is not None or preset is not None:
            raise MappingError("--guess is for files without --map and --preset")
        raise SystemExit(_show_guesses(files, format_, device, zone))
    wanted = mapping_options(mapping, preset, device, zone)
    if dry_run:
        by_ending: Any = reader_of if wanted is not None else format_of
        imports = [
            Import(path, format_ or by_ending(path.name), SidecarFiles(path, out), wanted)
            for path in files
        ]
        preview = Preview(settings.retention_days)
        outcomes = [preview.show(each) for each in imports]
        raise SystemExit(not all(outcomes))
    return prepared(files, format_, out, wanted), evaluate


def list_presets() -> None:
    """Print the presets."""
    for name, layouts in presets().items():
        for layout in layouts.values():
            say(f"{name:16} {layout['description']}")


def _show_guesses(
    files: Sequence[Path], format_: str | None, device: str | None, zone: str | None
) -> int:
    """Print a mapping for each file; return the exit status."""
    status = 0
    for path in files:
        try:
            say(_guessed(path, format_ or reader_of(path.name), device, zone), nl=False)
        except SourceError as error:
            say(f"{path}: {error}", err=True)
            status = 1
    return status


def _head(file: BinaryIO, path: Path, reader: str) -> BinaryIO:
    """Return the first lines of a text; other files are needed completely."""
    if reader != "csv" or ".xml" in path.suffixes:
        return file
    head = file.read(_HEAD_BYTES)
    return BytesIO(head if len(head) < _HEAD_BYTES else head[: head.rfind(b"\n") + 1])


def _guessed(path: Path, reader: str, device: str | None, zone: str | None) -> str:
    """Return a mapping that may fit a file. Raises SourceError."""
    try:
        with path.open("rb") as raw:
            file = _head(unpacked(raw, path.name), path, reader)
            for preset, layouts in presets().items():
                placeholder = device or "ID"
                if any(layout.get("header") is False for layout in layouts.values()):
                    continue  # it would fit anything
                try:
                    layout, _, table, _ = open_first(
                        file, MappingOptions(preset=preset, device=placeholder).candidates(), reader
                    )
                    row = next(table.rows(), None)
                    if row is None or isinstance(row.cells, Invalid):
                        continue
                except FleetMeterError:
                    continue
                said = [f"# {layouts[layout]['description']}", f'preset = "{preset}"']
                if not {"meterId", "vehicleId"} & {*layouts[layout]["fields"]} or device:
                    said.append(f'device = "{placeholder}"' + "  # which one?" * (device is None))
                return "\n".join(said) + "\n"
            return guess(sample_of(file, reader), device, zone)
    except OSError as error:
        raise SourceError(f"it cannot be read: {error.strerror or error}") from None
