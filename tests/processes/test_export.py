"""`fleetmeter export`: a file under its final name is complete, and no export sorts history."""

import asyncio
import io
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from pyarrow import parquet

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.database.pool import connect
from fleetmeter.database.sql import queries
from fleetmeter.files.column_names import EXPORTED
from fleetmeter.files.exports import encode
from fleetmeter.files.exports.encode import PAGE, Export, Selection
from fleetmeter.settings import Settings
from tests.conftest import Db, Server, eventually, migrated_database
from tests.support.processes import Forked, fleetmeter

WINDOW = ("--from", "2026-01-01", "--to", "2026-01-03T12:00:00+12:00")
READINGS = 40_000
DEVICES = """
insert into devices (device, kind, id)
overriding system value
select 1000 + n, 'vehicle', 'EV-' || n from generate_series(0, 19) as n
union all select 1020, 'vehicle', 'late, "too"'
union all select 2000, 'meter', 'MTR-1'
"""
FILL = """
insert into readings (device, meter, time, energy_mwh, soc_bp, battery_temp_cdeg)
select 1000 + n % 20, 2000, timestamptz '2026-01-01 00:00Z' + n / 20 * interval '1 minute',
    n, 5000, 2000
from generate_series(0, $1 - 1) as n
"""


@pytest.fixture(scope="module")
def history(server: Server) -> Iterator[Db]:
    """More than a day of vehicles' readings, the first day in the columnstore."""
    with migrated_database(server, jobs=False) as url:
        db = Db(url)
        db.fetch(DEVICES)
        db.fetch(FILL, READINGS)
        db.fetch(
            "insert into live_state (device, time, energy_mwh, last_seen)"
            " values (1003, now(), 0, now())"
        )
        if server.engine == "timescaledb":
            db.fetch(
                "select compress_chunk(c) from show_chunks('readings',"
                " older_than => timestamptz '2026-01-02 00:00Z') as c"
            )
        db.fetch(
            "insert into readings (device, time, energy_mwh, soc_bp, battery_temp_cdeg)"
            " values (1020, '2026-01-01 10:00:00.5Z', 1, 1, 1)"
        )
        db.fetch("analyze readings")
        yield db


def count(db: Db) -> int:
    """Return the number of readings in the window."""
    found: int = db.value("select count(*) from readings where time < '2026-01-03'")
    return found


@pytest.mark.either
def test_a_file_gets_its_name_once_it_is_complete(history: Db, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    done = fleetmeter(
        tmp_path, "export", *WINDOW, "--output", "out.csv", FLEETMETER_DATABASE_URL=history.url
    )
    assert done.returncode == 0, done.stderr
    text = target.read_text()
    assert done.stderr == f"{count(history):,} readings, {len(text):,} bytes, to out.csv\n"
    assert text.splitlines()[0] == ",".join(EXPORTED)
    assert len(text.splitlines()) == count(history) + 1
    assert list(tmp_path.iterdir()) == [target]

    piped = fleetmeter(tmp_path, "export", *WINDOW, FLEETMETER_DATABASE_URL=history.url)
    assert piped.stdout == text


@pytest.mark.either
def test_parquet_goes_to_a_pipe_but_not_to_a_terminal(history: Db, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fleetmeter", "export", *WINDOW, "--format", "parquet"]
    environ = os.environ | {"FLEETMETER_DATABASE_URL": history.url}
    piped = subprocess.run([*command, "--vehicle", "EV-3"], env=environ, capture_output=True)
    table = parquet.read_table(io.BytesIO(piped.stdout))
    assert set(table["vehicleId"].to_pylist()) == {"EV-3"}

    ours, theirs = pty.openpty()
    refused = subprocess.run(command, env=environ, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    os.close(ours)
    assert refused.returncode == 2
    assert b"give --output FILE, or a pipe" in refused.stderr


@pytest.mark.either
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_export_leaves_the_old_file(
    history: Db, tmp_path: Path, number: int
) -> None:
    target = tmp_path / "out.csv"
    target.write_text("the export of yesterday")

    async def interrupt() -> int:
        connection, watcher = [await asyncpg.connect(history.url) for _ in range(2)]
        try:
            async with connection.transaction():
                await connection.execute("lock table readings in access exclusive mode")
                process = Forked(
                    ["export", *WINDOW, "--output", str(target)],
                    {"FLEETMETER_DATABASE_URL": history.url},
                    tmp_path,
                )
                try:
                    waits = (
                        "select count(*) from pg_stat_activity"
                        " where wait_event_type = 'Lock' and datname = current_database()"
                    )
                    async with asyncio.timeout(20):
                        while not await watcher.fetchval(waits):  # noqa: ASYNC110
                            await asyncio.sleep(0.05)
                    assert len(os.listdir(tmp_path)) == 2  # noqa: PTH208
                    process.send_signal(number)
                    process.communicate(timeout=20)
                    return process.wait()
                finally:
                    process.kill()
        finally:
            await connection.close()
            await watcher.close()

    assert asyncio.run(interrupt()) != 0
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("out.csv", "the export of yesterday")
    ]
    eventually(
        lambda: (
            history.value(
                "select count(*) from pg_stat_activity where application_name = 'fleetmeter'"
                " and datname = current_database()"
            )
            == 0
        )
    )


@pytest.mark.either
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "2026-01-02", "--to", "2026-01-02"), "--from must be before --to"),
        (("--from", "yesterday", "--to", "2026-01-02"), "write 2026-01-31 or 2026-01-31T10:00:00Z"),
        (("--from", "2026-01-01T00:00:00", "--to", "2026-01-02"), "end it with Z"),
        ((*WINDOW, "--vehicle", "a", "--meter", "b"), "do not go together"),
        ((*WINDOW, "--vehicle", "\udcff"), "must be 1 to 64 printable ASCII characters"),
        ((*WINDOW, "--vehicle", "nobody"), "the vehicle nobody has never reported"),
        ((*WINDOW, "--output", "missing/out.csv"), "missing/out.csv: No such file"),
    ],
)
def test_an_export_that_fails_is_one_clear_line(
    history: Db, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    failed = fleetmeter(tmp_path, "export", *options, FLEETMETER_DATABASE_URL=history.url)
    assert failed.returncode
    assert said in failed.stderr.splitlines()[-1]
    assert "Traceback" not in failed.stderr
    assert list(tmp_path.iterdir()) == []


def test_pages_of_any_size_make_the_same_file(history: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    start = datetime(2026, 1, 1, 9, 59, tzinfo=UTC)
    selection = Selection(start=start, end=start + timedelta(minutes=3), reach=EVERYTHING)

    async def exported() -> list[str]:
        database = await connect(history.url, Settings())
        try:
            blocks = [block async for block in Export(database, selection, "csv").blocks()]
        finally:
            await database.close()
        return b"".join(blocks).decode().splitlines()

    whole = asyncio.run(exported())
    assert len(whole) == 62
    assert [line for line in whole if line.startswith('"')] == [
        '"late, ""too""",,2026-01-01T10:00:00.5Z,,0.000001,,0.01,0.01' + "," * (len(EXPORTED) - 8)
    ]
    for size in (1, 7, 60, 61, 62):
        monkeypatch.setattr(encode, "PAGE", size)
        assert asyncio.run(exported()) == whole


@pytest.mark.either
def test_an_export_selects_what_its_header_says(history: Db) -> None:
    async def selected() -> list[str]:
        connection = await asyncpg.connect(history.url)
        try:
            page = await connection.prepare(queries.export_page.sql)
            return [column.name for column in page.get_attributes()]
        finally:
            await connection.close()

    assert asyncio.run(selected()) == [*EXPORTED]


def test_no_export_sorts_history(history: Db, server: Server) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    day = timedelta(days=1)

    async def plans() -> list[str]:
        connection = await asyncpg.connect(history.url, server_settings={"timezone": "UTC"})
        try:
            found = []
            for start, first, last in (
                (begin, 0, 1 << 30),
                (begin, 1003, 1 << 30),
                (begin + day, 0, 1 << 30),
                (begin, 1003, 1003),
            ):
                async with connection.transaction():
                    await queries.begin_export(connection)
                    for query, until in (
                        (queries.export_page_end.sql, str(PAGE)),
                        (queries.export_page.sql, f"'{start + day}'"),
                    ):
                        literals = [f"'{start}'", f"'{start + day}'", str(first), str(last)]
                        literals += [f"'{start}'", until]
                        if query is queries.export_page.sql:  # its reach comes first
                            literals = ["null::text[]", "null::text[]", *literals]
                        for place, literal in enumerate(literals, 1):
                            query = query.replace(f"${place}", literal)
                        rows = await connection.fetch(f"explain (costs off) {query}")
                        found.append("\n".join(row[0] for row in rows))
            return found
        finally:
            await connection.close()

    for plan in asyncio.run(plans()):
        assert "Seq Scan on readings" not in plan
        if server.engine == "postgresql":
            assert re.search("Index (Only )?Scan using readings_pkey", plan)
            assert "Sort" not in plan
        else:  # what may be sorted is batches, of a thousand readings each, or one device's few
            assert re.search("readings_pkey|compress_hyper", plan)
            assert "Seq Scan on _hyper" not in plan
