"""Programs of PostgreSQL fit the server, or are newer."""

from pathlib import Path

import pytest

from fleetmeter.database import programs
from fleetmeter.errors import FleetMeterError


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders with a pg_dump of PostgreSQL 15, 17 and 18, the first one on the PATH."""
    made = []
    for version in ("15.18 (Debian 15.18-0+deb12u1)", "17beta2", "18.4"):
        folder = tmp_path / version.split()[0]
        folder.mkdir()
        path = folder / "pg_dump"
        path.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
        path.chmod(0o755)
        made.append(folder)
    monkeypatch.setattr(programs, "_folders", lambda: made)
    return made


@pytest.mark.parametrize(("major", "wanted"), [(15, 0), (16, 1), (17, 1), (18, 2)])
def test_the_nearest_version_is_taken(folders: list[Path], major: int, wanted: int) -> None:
    assert programs.program("pg_dump", major) == folders[wanted] / "pg_dump"


def test_an_older_one_is_not(folders: list[Path]) -> None:
    with pytest.raises(FleetMeterError, match="no pg_dump for PostgreSQL 19 or newer"):
        programs.program("pg_dump", 19)


def test_the_embedded_servers_own_are_found() -> None:
    found = programs.program("pg_dump", 18)
    assert programs.major_version(found) >= 18
