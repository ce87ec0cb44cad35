"""Where an export goes: a file is whole or not there, and what is no file is left what it is."""

import asyncio
import os
import sys
from pathlib import Path

import asyncpg
import pytest

from fleetmeter.database.pool import translated
from fleetmeter.errors import FleetMeterError, NotPermittedError
from fleetmeter.files.exports.to_file import destination


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "link.csv", tmp_path / "real/out.csv"
    link.symlink_to(target)
    for content in (b"first", b"second"):
        with destination(link) as file:
            file.write(content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    assert [*target.parent.iterdir()] == [target]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with destination(pipe) as file:
        file.write(b"readings")
    assert os.read(reader, 100) == b"readings"
    os.close(reader)
    assert pipe.is_fifo()
    assert [*tmp_path.iterdir()] == [pipe]


def test_two_exports_to_one_name_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with destination(path) as first, destination(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"
    assert [*tmp_path.iterdir()] == [path]


def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(b"of yesterday")
    with pytest.raises(FleetMeterError, match=r"out\.csv: No space left"), destination(path):
        raise OSError(28, "No space left on device")
    assert path.read_bytes() == b"of yesterday"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to try")
def test_a_full_disk_behind_standard_output_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115
    monkeypatch.setattr(sys, "stdout", full)
    said = "^standard output: No space left on device$"
    with pytest.raises(FleetMeterError, match=said), destination(None) as file:
        file.write(b"readings")
    full.close()  # would fail if it still had something to write


def test_a_pipe_that_nobody_reads_is_no_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(BrokenPipeError), destination(None) as file:
            file.write(b"readings")


def test_a_role_that_may_not_is_told_so() -> None:
    async def refused() -> None:
        async with translated():
            raise asyncpg.InsufficientPrivilegeError("permission denied for table vehicle_readings")

    with pytest.raises(NotPermittedError, match="lacks a privilege: permission denied for table"):
        asyncio.run(refused())
