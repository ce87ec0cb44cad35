"""The release before this one, taken from the history of the repository."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.repository import ROOT

_FIRST = "82ee35cb"
"""The commit that counts as released as long as there is no tag: its migrations are kept."""


class Release(NamedTuple):
    """The files of a version, run with the packages of this one."""

    revision: str
    folder: Path

    @property
    def command(self) -> list[str]:
        """The command that starts it, with `environ`."""
        return [sys.executable, "-m", "fleetmeter"]

    @property
    def environ(self) -> dict[str, str]:
        """Variables with which its files come before those of this version."""
        return {"PYTHONPATH": str(self.folder / "src")}


def release_before(folder: Path) -> Release:
    """Unpack the newest tagged version before this one, or the first released commit.

    Skips the test where the history is missing, as in a shallow clone or an sdist.
    """
    tag = _git("describe", "--tags", "--abbrev=0", "HEAD^")
    revision = (tag.stdout.decode().strip() if tag.returncode == 0 else "") or _FIRST
    archive = _git("archive", revision, "src", "sql")
    if archive.returncode != 0:
        reason = archive.stderr.decode().strip()
        pytest.skip(f"UPGRADES WERE NOT TESTED: git has no {revision} here ({reason})")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    release = Release(revision, folder)
    used = subprocess.run(
        [sys.executable, "-c", "import fleetmeter; print(fleetmeter.__file__)"],
        env=os.environ | release.environ,
        cwd=folder,
        capture_output=True,
        check=True,
        text=True,
    )
    assert Path(used.stdout.strip()).is_relative_to(folder), "this version would be tested"
    return release


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, check=False)
