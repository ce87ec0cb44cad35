"""What is written beside a file that is imported: whose it is, and one import at a time."""

import os
from pathlib import Path

import pytest

from fleetmeter.files.blocks import Position
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.sidecar_files import SidecarFiles, identity

HERE = "0b7e1b9e"
"""The id of a database."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of which an import into HERE was stopped after two lines."""
    path = tmp_path / "readings.csv"
    path.write_text("one\ntwo\nthree\n")
    ledger, _ = begun(path, HERE)
    ledger.position = Position(8, 2)
    ledger.save()
    return path


def begun(path: Path, database: str) -> tuple[SidecarFiles, str | None]:
    """A new import of it, and why it does not go on."""
    ledger = SidecarFiles(path, None)
    with path.open("rb") as file:
        why = ledger.begin(identity(file, "csv"), database)
    assert ledger.resumed == (ledger.position != Position())
    return ledger, why


def test_an_import_goes_on_in_its_own_database(path: Path) -> None:
    ledger, why = begun(path, HERE)
    assert why is None
    assert ledger.position == Position(8, 2)


def test_an_import_into_another_database_starts_over(path: Path) -> None:
    ledger, why = begun(path, "another")
    assert why == "that was another database"
    assert ledger.position == Position()


def test_a_file_that_was_written_again_starts_over(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    ledger, why = begun(path, HERE)
    assert why == "the file has changed since"
    assert ledger.position == Position()


@pytest.mark.parametrize("progress", ["", "{}", '{"identity": 1}'])
def test_progress_that_cannot_be_read_is_told(path: Path, progress: str) -> None:
    Path(f"{path}.progress.json").write_text(progress)
    assert begun(path, HERE)[1] == "its progress cannot be read"


def test_a_file_without_progress_begins_without_a_word(path: Path) -> None:
    begun(path, HERE)[0].finish()
    assert begun(path, HERE)[1] is None


def test_files_of_one_name_and_one_folder_are_imported_one_at_a_time(tmp_path: Path) -> None:
    first = SidecarFiles(tmp_path / "a/x.csv", tmp_path)
    second = SidecarFiles(tmp_path / "b/x.csv", tmp_path)
    with first.held():
        assert [each.name for each in tmp_path.iterdir()] == ["x.csv.import.lock"]
        with pytest.raises(SourceError, match="another import"), second.held():
            pass
        with pytest.raises(SourceError), second.held():  # still
            pass
    assert [*tmp_path.iterdir()] == []
    with second.held():
        pass


def test_a_lock_that_a_killed_import_has_left_keeps_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "x.csv.import.lock").touch()
    with SidecarFiles(tmp_path / "x.csv", None).held():
        pass


def test_a_lock_that_was_removed_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "x.csv.import.lock"
    samestat = os.path.samestat
    removed: list[bool] = []

    def one_too_late(ours: os.stat_result, theirs: os.stat_result) -> bool:
        if not removed:
            removed.append(True)
            return False
        return samestat(ours, theirs)

    monkeypatch.setattr(os.path, "samestat", one_too_late)
    with SidecarFiles(tmp_path / "x.csv", None).held():
        assert removed
        assert lock.exists()
