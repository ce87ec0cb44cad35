"""The embedded server is started again however it ended, and says what it cannot use."""

import getpass
import threading
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from fleetmeter.database import embedded, embedded_server
from fleetmeter.database.embedded_server import EmbeddedServer
from fleetmeter.errors import EmbeddedServerError


class Fake(EmbeddedServer):
    """A server that ended, and starts at the third attempt."""

    def __init__(self, folder: Path, done: threading.Event) -> None:
        super().__init__(folder)
        self.attempts = 0
        self._done = done

    def runs(self) -> bool:
        return self.attempts == 3

    def start(self) -> str:
        self.attempts += 1
        if self.attempts < 3:
            raise EmbeddedServerError("no space left on device")
        self._done.set()
        return ""


def test_it_is_tried_again_after_ever_longer_pauses_and_each_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_LOOK_S", 0.001)
    done = threading.Event()
    server = Fake(tmp_path / "postgresql", done)
    (tmp_path / "postgresql.log").write_text(
        "2026-02-09 10:00:00.0 UTC [1] LOG:  database system is ready\n"
        '2026-02-09 10:00:01.0 UTC [1] PANIC:  could not write to file "pg_wal/xlogtemp.9": full\n'
        "2026-02-09 10:00:01.0 UTC [1] HINT:  Free some.\n"
        "2026-02-09 10:00:01.0 UTC [1] STATEMENT:  insert into secrets\n"
        "2026-02-09 10:00:02.0 UTC [1] LOG:  database system is shut down\n"
    )
    with capture_logs() as logs, embedded._watched(server):
        assert done.wait(20)
    first, second, last = (dict(line) for line in logs)
    assert first["reason"] == second["reason"] == "no space left on device"
    assert first["again_in_s"] < second["again_in_s"]
    assert last["event"].endswith("it was started again")
    assert last["reason"].startswith(
        'could not write to file "pg_wal/xlogtemp.9": full; Free some.'
    )
    assert "secrets" not in str(logs)


def test_a_folder_of_another_version_is_told_with_both_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_server, "check_owner", lambda *_: None)
    monkeypatch.setattr(EmbeddedServer, "_let_the_user_in", lambda _: None)
    folder = tmp_path / "postgresql"
    folder.mkdir()
    (folder / "PG_VERSION").write_text("16\n")
    with pytest.raises(
        EmbeddedServerError, match=r"by PostgreSQL 16, .* runs PostgreSQL 18: export"
    ):
        EmbeddedServer(folder).prepare()


def test_a_full_disk_is_named_even_if_the_log_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = cast("object", type("Usage", (), {"free": 1_000_000})())
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    said = EmbeddedServer(tmp_path / "postgresql").last_words()
    assert said == f"{tmp_path} has 1 MB left on its disk: free some space"


def test_the_socket_of_a_long_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is connected connects again, and whoever comes meanwhile finds the same."""
    folder = tmp_path / ("long" * 22) / "postgresql"
    folder.parent.mkdir()
    monkeypatch.setattr(embedded_server, "_SERVER_USER", getpass.getuser())
    first, second = (EmbeddedServer(folder)._choose_sockets() for _ in range(2))
    assert first == second
    assert len(str(first)) < 88
    first.rmdir()
    again = EmbeddedServer(folder)._choose_sockets()
    assert again.is_dir()
    again.rmdir()
