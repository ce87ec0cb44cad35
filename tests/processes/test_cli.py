"""A command that cannot start says in one line what to do."""

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from fleetmeter import __version__, cli
from fleetmeter.cli.shared import database
from tests.conftest import COMMAND
from tests.support.processes import fleetmeter


def test_it_prints_its_version(tmp_path: Path) -> None:
    command = [*COMMAND, "--version"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout == f"fleetmeter, version {__version__}\n"


def test_a_wrong_setting_is_one_clear_line(tmp_path: Path) -> None:
    failed = fleetmeter(tmp_path, "serve", FLEETMETER_PORT="http")
    assert failed.returncode == 1
    assert failed.stderr == "Error: FLEETMETER_PORT: Expected `int`, got `str`\n"


def test_a_database_that_is_not_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_DATABASE_WAIT_S", 0)
    monkeypatch.setenv("FLEETMETER_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/fleet")
    failed = CliRunner().invoke(cli.main, ["migrate"])
    assert failed.exit_code == 1
    assert "the database at postgresql://me@127.0.0.1:1/fleet cannot be reached: " in failed.output
    assert "secret" not in failed.output
    assert failed.output.count("\n") == 1


def test_a_data_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    failed = fleetmeter(tmp_path, "migrate")
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: FLEETMETER_DATA_DIR cannot be used")
    assert failed.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_reported_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        failed = fleetmeter(tmp_path, "serve", FLEETMETER_PORT=str(taken.getsockname()[1]))
    assert failed.returncode == 1
    assert "cannot be listened on" in failed.stderr
    assert "FLEETMETER_PORT" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.either
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace("fleetmeter_test_", "nowhere_"), "does not exist"),
        (lambda url: url.replace("://postgres", "://nobody"), "nobody"),
        (lambda url: "postgresql://127.0.0.1:notaport/x", "notaport"),
    ],
)
def test_a_database_url_that_is_wrong_is_one_clear_line(
    empty_database_url: str, tmp_path: Path, change: Callable[[str], str], said: str
) -> None:
    failed = fleetmeter(tmp_path, "migrate", FLEETMETER_DATABASE_URL=change(empty_database_url))
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: FLEETMETER_DATABASE_URL cannot be used: ")
    assert said in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_a_data_folder_may_have_spaces_or_a_long_name(tmp_path: Path) -> None:
    folder = tmp_path / "my data" / ("x" * 100)
    done = fleetmeter(tmp_path, "migrate", FLEETMETER_DATA_DIR=str(folder))
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout
    assert not (folder / "postgresql/postmaster.pid").exists()
