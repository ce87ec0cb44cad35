"""Locks of a data folder are its owner's, and nobody waits for one without a word or an end."""

import os
import stat
from pathlib import Path

import pytest

from fleetmeter.database import folder_lock
from fleetmeter.database.folder_lock import FolderLock, check_owner
from fleetmeter.errors import EmbeddedServerError


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "_LONGEST_WAIT_S", 0)


def test_nobody_else_can_open_it_not_even_one_that_an_older_version_made(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FolderLock(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with FolderLock(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="lock"):
        FolderLock(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()


def test_whoever_holds_it_is_named_and_waited_for_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FolderLock(path) as mine, FolderLock(path) as other:
        with mine.held():
            for wait in (other.share, other.held().__enter__):
                with pytest.raises(EmbeddedServerError, match=f"process {os.getpid()} .*end that"):
                    wait()
        other.share()


def test_it_is_named_where_the_system_does_not_say_who_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", unreadable)
    holder = f"process {os.getpid()} "
    path = tmp_path / "lock"
    with (
        FolderLock(path) as mine,
        FolderLock(path) as other,
        mine.held(),
        pytest.raises(EmbeddedServerError, match=holder),
    ):
        other.share()


def test_the_last_of_those_that_share_it_takes_it_over(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "lock") as last:
        last.share()
        with FolderLock(tmp_path / "lock") as first:
            first.share()
            assert not first.take_over()
        assert last.take_over()


def test_what_belongs_to_another_user_is_told_with_both_names(tmp_path: Path) -> None:
    check_owner(tmp_path, 0, 0)
    with pytest.raises(EmbeddedServerError, match=r"belongs to the user root.*FLEETMETER_DATA_DIR"):
        check_owner(tmp_path, 0, 2**31 - 5)
