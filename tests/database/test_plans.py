"""What statements read, by the plans that ran.

No energy answer reads history beyond the edges of its window, and a batch is merged in a number of
steps that grows as the batch does.
"""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import pytest

from fleetmeter.access.reach import EVERYTHING, ReachParameters
from fleetmeter.database import migrations
from fleetmeter.database.sql import queries
from tests.conftest import RETENTION_DAYS, Db, Server, fresh_database, migrated_database
from tests.support.plans import rows_handled, scans, widest

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DEVICES = """
insert into devices (device, kind, id) overriding system value
select n, 'vehicle', 'V' || n from generate_series(1, 3) as n
union all
select 10 + n, 'meter', 'M' || n from generate_series(1, 3) as n;
insert into meter_vehicles select 10 + n, n from generate_series(1, 3) as n;
insert into live_state (device, time, energy_mwh, last_seen)
select device, now(), 0, now() from devices;
"""
FILL = """
insert into readings (device, time, span_ms, spread, {columns})
select {device}, t, 600000, is_spread(t, 600000, null), {values}
from generate_series($1::timestamptz, $2::timestamptz, interval '10 minutes') as t
cross join generate_series(1, 3) as n
"""
SPREAD = "select put_pieces(array_agg(device), array_agg(time)) from readings where spread"


WHOLE = EVERYTHING.parameters()


class History(NamedTuple):
    """A database with twelve days of history, all but the last hours rolled up."""

    url: str
    engine: str
    begin: datetime


@pytest.fixture(scope="module")
def history(server: Server) -> Iterator[History]:
    with migrated_database(server, jobs=False) as url:
        db = Db(url)
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        begin = (end - HOUR).replace(hour=0) - 12 * DAY  # and more than that, at any hour
        db.run(DEVICES)
        for device, columns, values in (
            ("n", "meter, energy_mwh, soc_bp, battery_temp_cdeg", "10 + n, 1000, 5000, 2000"),
            ("10 + n", "energy_mwh, voltage_mv", "1200, 230000"),
        ):
            db.fetch(FILL.format(device=device, columns=columns, values=values), begin, end)
        db.fetch(SPREAD)
        if server.engine == "timescaledb":
            for rollup in ("quarter_hourly", "hourly"):
                db.fetch(
                    f"call refresh_continuous_aggregate('{rollup}', null,"
                    " now() - interval '1 hour')"
                )
            asyncio.run(account(url))
        yield History(url, server.engine, begin)


async def account(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("call account_hours(35, 1000)")
    await connection.close()


def questions(start: datetime, end: datetime, reach: ReachParameters = WHOLE) -> dict[str, Any]:
    """The energy queries of the service over one window, within a reach."""
    days = [start, *(start.replace(hour=0, minute=0) + n * DAY for n in range(1, 8)), end]
    page: dict[str, Any] = {
        "after_site": None,
        "sites": 10,
        "after_value": None,
        "after_id": None,
        "vehicles": 10,
    }

    async def rows(cursor: Any) -> int:
        return len([row async for row in cursor])

    return {
        "performance": lambda c: rows(
            queries.vehicle_energy(c, vehicle_id="V1", bounds=[start, end], limit=1, **reach)
        ),
        "series": lambda c: rows(
            queries.vehicle_energy(c, vehicle_id="V1", bounds=days, limit=99, **reach)
        ),
        "meter": lambda c: rows(queries.meters_energy(c, meter_ids=["M1"], bounds=days, limit=99)),
        "load": lambda c: rows(queries.load_of_meters(c, meters=[11], bounds=days)),
        "shares": lambda c: rows(
            queries.meter_shares(c, meter_id="M1", bounds=[start, end], after="", limit=9, **reach)
        ),
        "fleet": lambda c: queries.fleet(
            c, start=start, end=end, sort="loss", reverse=True, **page, **reach
        ),
        "fleet series": lambda c: rows(queries.fleet_energy(c, bounds=days, limit=99, **reach)),
    }


QUESTIONS = ["performance", "series", "meter", "load", "shares", "fleet", "fleet series"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_row_outside_the_window_is_read(history: History, question: str) -> None:
    start, end = history.begin + DAY + 620 * MINUTE, history.begin + 4 * DAY + 920 * MINUTE

    async def rows_read() -> Any:
        connection = await asyncpg.connect(history.url, server_settings={"timezone": "UTC"})
        try:
            async with connection.transaction():
                await connection.execute("set enable_seqscan = off")
                await questions(start, end)[question](connection)
                return await connection.fetchrow(
                    "select coalesce(sum(seq_tup_read), 0) + coalesce(sum(idx_tup_fetch), 0) as all"
                    " from pg_stat_xact_user_tables"
                    " where relname in ('readings', 'spread_energy')"
                    " or schemaname = '_timescaledb_internal' and relname ~ '_chunk$'"
                )
        finally:
            await connection.close()

    read = asyncio.run(rows_read())["all"]
    devices = 6 if question.startswith("fleet") else 2
    # an hour of a device has 6 readings, 2 of them in 2 pieces each; 4 rolled up quarter hours
    an_hour = 4 + (4 if history.engine == "timescaledb" else 6)
    there = devices * an_hour * ((end - start) / HOUR)
    assert 0 < read <= there * 1.01 + 12


@pytest.mark.timescaledb
@pytest.mark.parametrize("question", QUESTIONS)
def test_history_beyond_the_edges_of_a_window_is_not_read(history: History, question: str) -> None:
    start, end = history.begin + DAY + 620 * MINUTE, history.begin + 9 * DAY + 920 * MINUTE
    found = asyncio.run(scans(history.url, questions(start, end)[question]))
    chunks = {
        row["chunk_name"]: row["range_start"]
        for row in Db(history.url).fetch(
            "select chunk_name, range_start from timescaledb_information.chunks"
            " where hypertable_name = 'readings'"
        )
    }
    assert len(chunks) == 13
    read_days = {chunks[scan.relation] for scan in found if scan.relation in chunks}
    assert read_days == {at.replace(hour=0, minute=0) for at in (start, end)}, "only the cut hours"
    for scan in found:
        if scan.relation in chunks:
            assert len(re.findall(r"\"time\" (?:>|<)=? ", scan.condition)) >= 2, scan


@pytest.mark.timescaledb
@pytest.mark.parametrize("question", ["performance", "series", "meter", "load", "shares", "fleet"])
def test_whole_hours_are_answered_without_history(history: History, question: str) -> None:
    start, end = history.begin + DAY + 10 * HOUR, history.begin + 9 * DAY + 15 * HOUR
    found = asyncio.run(scans(history.url, questions(start, end)[question]))
    raw = Db(history.url).fetch(
        "select chunk_name from timescaledb_information.chunks where hypertable_name = 'readings'"
    )
    assert not {scan.relation for scan in found} & {row["chunk_name"] for row in raw}


@pytest.mark.timescaledb
def test_what_both_sides_cover_is_looked_up_in_a_few_chunks_at_a_time(history: History) -> None:
    """Or each quarter hour would cost as much as there are chunks in the whole window."""
    quarters = "array(select generate_series($1::timestamptz, $2, interval '15 minutes'))"
    many = f"cardinality({quarters})"
    named = f"{quarters}, array_fill(11, array[{many}]), array_fill(1, array[{many}]), $1, $2"
    found: list[list[Any]] = []

    def ask(function: str) -> Any:
        async def fetch(connection: Any) -> None:
            statement = f"select * from {function}({named}) order by bucket, device"
            window = (history.begin, history.begin + 12 * DAY)
            found.append(await connection.fetch(statement, *window))

        return fetch

    at_once = asyncio.run(widest(history.url, ask("common_energy_of_days")))
    in_steps = asyncio.run(widest(history.url, ask("common_energy")))
    assert (at_once > 12, in_steps <= 4) == (True, True)
    assert len(found[0]) == 2 * (12 * 96 + 1)
    assert found[0] == found[1]


@pytest.fixture(params=["timescaledb", "postgresql"])
def explained_url(
    request: pytest.FixtureRequest, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A database of either engine, on the server that can explain (the embedded one cannot)."""
    if request.param == server.engine:
        with migrated_database(server, jobs=False) as url:
            yield url
        return

    async def engine(_: Any) -> migrations.Engine:
        return "postgresql"

    monkeypatch.setattr(migrations, "_detect_engine", engine)
    with fresh_database(server) as url:
        asyncio.run(migrations.migrate(url, RETENTION_DAYS))
        yield url


@pytest.mark.timescaledb
def test_a_batch_is_merged_without_joining_it_row_by_row(explained_url: str) -> None:
    """Temporary tables have no statistics, and a nested loop over two of them is quadratic."""
    count, most_per_reading = 1000, 150
    begin = datetime.now(UTC).replace(second=0, microsecond=0) - 5 * HOUR
    db = Db(explained_url)
    db.run(
        "insert into devices (kind, id) select 'vehicle', 'V' || n from generate_series(1, 10) as n"
    )
    devices = [row["device"] for row in db.fetch("select device from devices order by device")]
    readings = [
        (item, devices[item % 10], begin + item // 10 * MINUTE, 1000, 5000) for item in range(count)
    ]
    stored: list[Any] = []

    async def merge(connection: Any) -> None:
        await queries.prepare_session(connection)
        async with connection.transaction():
            await queries.begin_batch(connection)
            await connection.copy_records_to_table(
                "incoming",
                records=readings,
                columns=["item", "device", "time", "energy_mwh", "soc_bp"],
            )
            outcome = await queries.store_readings(connection)
            stored.append(outcome["stored"])

    handled = [asyncio.run(rows_handled(explained_url, merge)) for _ in ("late", "resent")]
    assert [each and len(each) for each in stored] == [count, None]
    for rows in handled:
        assert count < rows < most_per_reading * count
