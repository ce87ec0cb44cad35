"""Gets another version of FleetMeter from the repository, and makes it run."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fleetmeter
from fleetmeter.errors import FleetMeterError
from fleetmeter_benchmark.processes import Version

_CHECKOUT = Path(fleetmeter.__file__).resolve().parents[2]


def this_revision() -> str:
    """Name what is measured as new: its commit, with `-dirty` if there are uncommitted changes."""
    return _git("describe", "--always", "--dirty", "--exclude=*")


@contextmanager
def checked_out(revision: str) -> Iterator[Version]:
    """Check a revision out into a temporary folder for the block. Raises FleetMeterError.

    It runs on this Python's packages if they are all it needs, so that nothing else differs;
    otherwise it is installed into a virtual environment.
    """
    commit = _git("rev-parse", "--verify", "--short", f"{revision}^{{commit}}")
    with TemporaryDirectory(prefix="fleetmeter-bench-") as folder:
        source = Path(folder) / "source"
        source.mkdir()
        archive = Path(folder) / "source.tar"
        _git("archive", f"--output={archive}", commit)
        _run(["tar", "-xf", archive, "-C", source])
        version = Version(commit, sys.executable, {"PYTHONPATH": str(source / "src")}, source)
        if not _dependencies(source) <= _dependencies(_CHECKOUT):
            python = _installed(source, Path(folder) / "venv")
            version = Version(commit, python, {"PYTHONPATH": ""}, source)
        _check(version, Path(folder))
        yield version


def _dependencies(source: Path) -> set[str]:
    project: dict[str, Any] = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    return set(project["dependencies"])


def _installed(source: Path, environment: Path) -> str:
    _run([sys.executable, "-m", "venv", environment])
    python = environment / "bin" / "python"
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", source])
    return str(python)


def _check(version: Version, folder: Path) -> None:
    """Raise FleetMeterError if this version would run instead, or none."""
    found = _run(
        [version.python, "-c", "import fleetmeter; print(fleetmeter.__file__)"],
        version.folder,
        version.environment({}),
    )
    if not Path(found).resolve().is_relative_to(folder.resolve()):
        raise FleetMeterError(f"the version {version.name} cannot be run: Python finds {found}")


def _git(*arguments: str) -> str:
    if not (_CHECKOUT / ".git").exists():
        raise FleetMeterError(f"{_CHECKOUT} is not a git checkout; versions are compared in one")
    return _run(["git", "-C", _CHECKOUT, *arguments])


def _run(
    command: Sequence[str | Path], folder: Path | None = None, environ: dict[str, str] | None = None
) -> str:
    """Return what a command prints. Raises FleetMeterError."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environ)  # noqa: S603
    except OSError as error:
        raise FleetMeterError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise FleetMeterError(f"{' '.join(map(str, command))} failed: {done.stderr.strip()}")
    return done.stdout.strip()
