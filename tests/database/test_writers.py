"""Writers of one service that meet at a device: the result does not depend on who is first."""

import asyncio
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from fleetmeter.database.pool import Connection, connect
from fleetmeter.database.sql import queries
from fleetmeter.intake import writer
from fleetmeter.intake.append import Appender
from fleetmeter.intake.rows import (
    DEVICE,
    ENERGY,
    ITEM,
    METER,
    NEW,
    NULL,
    ROWS,
    TIME,
    Column,
    Matrix,
)
from fleetmeter.intake.writer import DatabaseWriter
from fleetmeter.intake.writer_cache import WriterCache
from fleetmeter.readings.model import microseconds
from fleetmeter.settings import Settings
from tests.conftest import Db

MINUTE = timedelta(minutes=1)


def rows_of(device: int, *times: datetime) -> Matrix:
    rows = np.full((ROWS, len(times)), NULL, np.int64)
    rows[DEVICE], rows[METER], rows[ITEM] = device, 0, np.arange(len(times))
    rows[TIME] = [microseconds(time) for time in times]
    rows[ENERGY] = 1_000
    return rows


class Overtaken(Appender):
    """Lets somebody else commit when it has begun, once."""

    other: DatabaseWriter
    rows: Matrix | None = None
    version = 0

    async def _meters_then(self, connection: Connection, rows: Matrix) -> Column:
        found = await super()._meters_then(connection, rows)
        if self.rows is not None:
            overtaking, self.rows = self.rows, None
            assert (await self.other.commit(overtaking, self.version) == NEW).all()
        return found


def test_a_writer_that_is_overtaken_never_moves_live_state_back(
    db: Db, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_FEW", 0)
    now = datetime.now(UTC).replace(microsecond=0) - 10 * MINUTE

    async def run() -> int:
        database = await connect(database_url, Settings(database_url=database_url))
        try:
            async with database.connection() as connection:
                numbers = queries.number_devices(connection, kinds=["meter"], ids=["overtaken"])
                [row] = [row async for row in numbers]
            device, Overtaken.version = row["device"], row["version"]
            cache = WriterCache()
            slow, fast = DatabaseWriter(database, cache), DatabaseWriter(database, cache)
            slow.appender = overtaken = Overtaken(database, cache)
            overtaken.other = fast

            async def commit(by: DatabaseWriter, *minutes: int) -> None:
                rows = rows_of(device, *(now + n * MINUTE for n in minutes))
                assert (await by.commit(rows, Overtaken.version) == NEW).all()

            await commit(fast, 0)
            overtaken.rows = rows_of(device, now + 2 * MINUTE)
            await commit(slow, 1, 3)
            overtaken.rows = rows_of(device, now + 5 * MINUTE)
            await commit(slow, 4)
            return int(device)
        finally:
            await database.close()

    device = asyncio.run(run())
    assert db.value("select time from live_state where device = $1", device) == now + 5 * MINUTE
    stored = db.fetch("select time, span_ms from readings where device = $1 order by time", device)
    assert [tuple(row) for row in stored] == [(now + n * MINUTE, 60_000) for n in range(6)]
