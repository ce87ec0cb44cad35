"""The embedded server is killed under a running service, or cannot be started at all."""

import asyncio
import subprocess
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import asyncpg
import httpx
import psutil

from tests.conftest import COMMAND, Db, eventually, hours_ago, meter_reading, running_service
from tests.support import connections
from tests.support.processes import environment, fleetmeter

BUSY = "do $$ begin loop end loop; end $$"
"""A statement that does not notice that the server around it is gone."""


def test_a_killed_server_is_started_again_and_no_reading_is_lost_or_doubled(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data/postgresql"
    db = Db(f"postgresql://postgres@/postgres?host={quote(str(folder))}")
    at = hours_ago(3)
    acknowledged: list[int] = []
    done = threading.Event()

    def send(base_url: str) -> None:
        while not done.is_set():
            time = at + timedelta(seconds=len(acknowledged))
            batch = [meter_reading(f"M-{n}", time, kwh=0.001) for n in range(100)]
            with suppress(httpx.TransportError):
                answer = httpx.post(f"{base_url}/v1/ingest", json=batch, timeout=30)
                assert answer.status_code in (200, 503)
                if answer.status_code == 200:
                    acknowledged.append(len(batch))

    def taken_again() -> None:
        before = len(acknowledged)
        eventually(lambda: len(acknowledged) > before + 3, timeout_s=40)

    told = {"FLEETMETER_LOG_LEVEL": "debug"}  # when a worker has started
    with running_service(tmp_path, told, options=("--workers", "2")) as service:
        eventually(lambda: service.log.read_text().count("startup complete") == 2)
        sender = threading.Thread(target=send, args=[service.base_url])
        busy = threading.Thread(target=asyncio.run, args=[run_until_cut(db.url)], daemon=True)
        db.fetch("alter system set fsync = off")  # no test cuts the power
        db.fetch("select pg_reload_conf()")
        try:
            sender.start()
            busy.start()
            eventually(
                db.value, f"select count(*) from pg_stat_activity where query like '{BUSY[:20]}%'"
            )
            kill_server(folder, db)
            taken_again()
            busy.join(timeout=20)
            assert not busy.is_alive()
            [line] = [
                line for line in service.log.read_text().splitlines() if "started again" in line
            ]
            assert '"reason": "terminating connection due to unexpected postmaster exit"' in line

            kill_server(folder, db)
            beside = fleetmeter(tmp_path, "migrate")
            assert beside.returncode == 0, beside.stderr
            taken_again()
        finally:
            done.set()
            sender.join()
        stored = db.fetch("select count(*) as readings, sum(energy_mwh) as mwh from readings")
        connections.close(db.url)
    assert dict(stored[0]) == {"readings": sum(acknowledged), "mwh": sum(acknowledged) * 1000}
    assert not (folder / "postmaster.pid").exists()


async def run_until_cut(url: str) -> None:
    """Keep a process of the server busy until its end."""
    connection = await asyncpg.connect(url)
    with suppress(asyncpg.PostgresError, OSError):
        await connection.execute(BUSY)


def kill_server(folder: Path, db: Db) -> None:
    """Kill the first process of a server, which its others outlive."""
    connections.close(db.url)
    server = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
    server.kill()
    server.wait(10)


def test_a_disk_that_is_full_at_the_first_start_is_told(tmp_path: Path) -> None:
    """A limit of the size of files stands in for it, which the server finds as suddenly."""
    limited = ["bash", "-c", 'ulimit -f 4000; exec "$@"', "-", *COMMAND, "migrate"]
    failed = subprocess.run(
        limited, cwd=tmp_path, env=environment({}), capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: the embedded PostgreSQL does not start")
    assert "File too large" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not [path for path in (tmp_path / "data").iterdir() if path.is_dir()]
