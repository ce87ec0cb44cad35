"""A database with a little of everything that a storage report counts."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from fleetmeter.operations.storage import Relation, read_storage
from tests.conftest import Db, Server, migrated_database

REPORTED = [
    *("readings", "spread energy", "quarter hours", "hours", "days"),
    *("live state", "accounted energy", "corrections", "other tables"),
]
"""Every line of the report, in its order."""

DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@contextmanager
def stored(server: Server) -> Iterator[Db]:
    """Store three days of two vehicles, 240 readings each; two days are in the columnstore."""
    with migrated_database(server, jobs=False) as url:
        db = Db(url)
        db.run(
            "select number_device('vehicle', 'EV-0'), number_device('vehicle', 'EV-1'),"
            " number_device('meter', 'M')"
        )
        db.fetch(
            "insert into readings (device, time, energy_mwh, soc_bp, battery_temp_cdeg)"
            " select device_of('vehicle', 'EV-' || n % 2),"
            " $1::timestamptz + n / 2 * interval '12 minutes', 1000, 5000, 2000"
            " from generate_series(0, 719) as n",
            TODAY - 4 * DAY,
        )
        meter = "(device, time, energy_mwh, voltage_mv"
        values = "values (device_of('meter', 'M'), $1, 1000, 230000"
        db.fetch(f"insert into readings {meter}) {values})", TODAY)
        db.fetch(f"insert into live_state {meter}, last_seen) {values}, now())", TODAY)
        db.fetch("insert into accounted_hours values ($1), ($2)", TODAY, TODAY - DAY)
        db.fetch(
            f"insert into replaced_readings {meter}, version, replaced_by, reason)"
            f" {values}, 1, 'me', 'a typo')",
            TODAY,
        )
        if server.engine == "timescaledb":
            chunks = db.fetch("select show_chunks('readings') as c order by 1 limit 2")
            for chunk in chunks:
                db.fetch(f"call convert_to_columnstore('{chunk['c']}')")
        yield db


def relations(db: Db) -> dict[str, Relation]:
    """Return the lines of the report, by name."""
    return {each.relation: each for each in asyncio.run(read_storage(db.url)).relations}
