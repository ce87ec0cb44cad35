"""Finds a local PostgreSQL that has TimescaleDB, and runs it on a folder of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PLACES = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
]


def find_timescaledb() -> Path | None:
    """The folder of the newest PostgreSQL's programs that has the extension."""
    folders = [folder for place in _PLACES for folder in sorted(Path("/").glob(place[1:]))]
    if (postgres := shutil.which("postgres")) is not None:
        folders.append(Path(postgres).resolve().parent)
    for folder in reversed(folders):
        if (folder / "initdb").exists() and (folder / "pg_config").exists():
            share = subprocess.run(
                [folder / "pg_config", "--sharedir"], capture_output=True, text=True, check=True
            ).stdout.strip()
            if (Path(share) / "extension" / "timescaledb.control").exists():
                return folder
    return None


@contextmanager
def timescaledb_server(binaries: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Run that PostgreSQL for the length of the block; yields its URL."""
    folder = Path(tempfile.mkdtemp(prefix="fleetmeter-"))  # short: it holds the socket
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = next(name for name in ("postgres", "nobody") if name in _users())
        shutil.chown(folder, user)
    data = folder / "data"
    options = (
        f"-c listen_addresses= -c unix_socket_directories={folder} "
        "-c shared_preload_libraries=timescaledb -c timescaledb.telemetry_level=off "
        "-c max_worker_processes=24 -c max_connections=100 -c max_locks_per_transaction=256 "
        + " ".join(f"-c {setting}={value}" for setting, value in settings.items())
    )

    def run(program: str, *args: str | Path) -> None:
        with (folder / f"{program}.log").open("ab") as log:
            subprocess.run(
                [binaries / program, *args],
                check=True,
                user=user,
                cwd=folder,
                stdout=log,
                stderr=log,
            )

    try:
        run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "--encoding=UTF8")
        run("pg_ctl", "-w", "-D", data, "-l", folder / "server.log", "-o", options, "start")
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-w", "-m", "fast", "-D", data, "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _users() -> set[str]:
    return {entry.pw_name for entry in pwd.getpwall()}
