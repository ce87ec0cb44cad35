"""Appends readings newer than all of their device to history: in one statement, or by COPY.

Columns are made of what the cache has, and the database checks that it still holds.
"""

import numpy as np

from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.intake.batch_start import begin_batch
from fleetmeter.intake.column_types import STORED, TYPES
from fleetmeter.intake.driver_values import copy_into, times_of, values_of
from fleetmeter.intake.history_columns import assigned_meters, derived_columns, starts_of
from fleetmeter.intake.intervals import MAX_SPAN_MS, pieces
from fleetmeter.intake.live_state import newest_of_each
from fleetmeter.intake.registers import unusual
from fleetmeter.intake.rows import DEVICE, METER, NULL, TIME, Column, Matrix, begins
from fleetmeter.intake.writer_cache import WriterCache
from fleetmeter.readings.model import time_of

_HOUR_US = 3_600_000_000

_APPEND = (
    "select append_readings(" + ", ".join(f"${place + 1}" for place in range(8 + len(STORED))) + ")"
)


class OvertakenError(Exception):
    """Somebody else has stored newer readings of a device."""


class Appender:
    """Stores readings newer than all of their device, sorted by key."""

    def __init__(self, database: Database, cache: WriterCache) -> None:
        self._database = database
        self._cache = cache

    async def by_statement(self, rows: Matrix, devices_version: int) -> bool:
        """Store in one statement; return False, and store nothing, when versions have changed."""
        cache, version = self._cache, self._cache.version
        if not self._may_append(rows):
            return False
        columns = derived_columns(rows, assigned_meters(rows, cache), cache)
        meters, vehicles = _new_pairs(columns, cache)
        expected = times_of(cache.time[rows[DEVICE]])
        energy_expected = times_of(cache.energy_time[rows[DEVICE]])
        derivation = cache.derivation[rows[DEVICE]]
        async with self._database.connection() as connection:
            stored: bool = await connection.fetchval(
                _APPEND,
                version,
                devices_version,
                meters.tolist(),
                vehicles.tolist(),
                expected,
                energy_expected,
                derivation.tolist() if derivation.any() else [],
                time_of(int(starts_of(columns).min())),
                *(values_of(columns[name], TYPES[name]) for name in STORED),
            )
        if stored:
            cache.paired[vehicles] = meters
        else:
            async with self._database.transaction() as connection:
                await begin_batch(connection, cache, devices_version)
        return stored

    async def by_copy(self, rows: Matrix, devices_version: int) -> bool:
        """Store by COPY; return False, and store nothing, when assignments have changed."""
        cache = self._cache
        async with self._database.transaction() as connection:
            await begin_batch(connection, cache, devices_version)
            if cache.unknown(rows[DEVICE]).size:
                return False
            meter = await self._meters_then(connection, rows)
            if not self._may_append(rows):
                return False
            columns = derived_columns(rows, meter, cache)
            newest = newest_of_each(columns, cache)
            # live state before history, as every other change of readings: see docs/locks.md
            await copy_into(connection, "newest", newest)
            await queries.advance_state(connection)
            await copy_into(connection, "readings", columns)
            await _spread_energy(connection, columns)
            meters, vehicles = _new_pairs(columns, cache)
            if len(meters):
                await queries.note_pairs(
                    connection, meters=meters.tolist(), vehicles=vehicles.tolist()
                )
            await _note_late(connection, columns, cache.horizon)
        cache.paired[vehicles] = meters
        return True

    def _may_append(self, rows: Matrix) -> bool:
        """Return whether the cache knows all of the devices.

        Asked where columns are made of what the cache has, and nothing is waited for in between:
        another writer may have stored newer readings since. What it stores later, the database
        finds, by what was expected. Raises OvertakenError for readings that are not newer.
        """
        cache, devices = self._cache, rows[DEVICE]
        if cache.unknown(devices).size:
            return False
        if (rows[TIME] <= cache.time[devices]).any() or unusual(rows, cache).any():
            raise OvertakenError
        return True

    async def _meters_then(self, connection: Connection, rows: Matrix) -> Column:
        """Return the meters that readings were charged from; ask for those assigned earlier."""
        cache = self._cache
        meter = assigned_meters(rows, cache)
        earlier = (rows[METER] == 0) & (rows[TIME] < cache.since[rows[DEVICE]])
        if earlier.any():
            found = [
                NULL if row["meter"] is None else row["meter"]
                async for row in queries.assigned_meters(
                    connection,
                    vehicles=rows[DEVICE, earlier].tolist(),
                    times=[time_of(time) for time in rows[TIME, earlier].tolist()],
                )
            ]
            meter[earlier] = found
        return meter


async def _spread_energy(connection: Connection, columns: dict[str, Column]) -> None:
    """Put energy into the quarter hours of its interval that lie in several."""
    spread = columns["spread"] == 1
    if not spread.any():
        return
    names = ("device", "meter", "time", "energy_mwh", "span_ms")
    short = spread & (columns["span_ms"] < MAX_SPAN_MS)
    if short.any():
        await copy_into(
            connection, "spread_energy", pieces(*(columns[name][short] for name in names))
        )
    if (long := spread & ~short).any():
        await queries.put_pieces(
            connection,
            devices=columns["device"][long].tolist(),
            times=values_of(columns["time"][long], "timestamptz"),
        )


def _new_pairs(columns: dict[str, Column], cache: WriterCache) -> tuple[Column, Column]:
    """Return meters and vehicles that charged there and are not known to be noted."""
    meter, device = columns["meter"], columns["device"]
    new = (meter != NULL) & (cache.paired[device] != meter)
    if not new.any():
        return meter[:0], device[:0]
    pairs = np.unique(np.stack([meter[new], device[new]]), axis=1)
    return pairs[0], pairs[1]


async def _note_late(connection: Connection, columns: dict[str, Column], horizon: int) -> None:
    """Do what note_late() does in SQL, for many readings of few hours, sorted by device."""
    starts = starts_of(columns)
    late = starts < horizon
    if not late.any():
        return
    devices, starts, ends = columns["device"][late], starts[late], columns["time"][late]
    earliest, last = (times // _HOUR_US for times in (starts, ends - 1))
    spans = np.unique(np.stack([earliest, last]), axis=1).T.tolist()
    hours = {hour for first, last in spans for hour in range(first, last + 1)}
    until = await queries.note_hours(
        connection, hours=[time_of(hour * _HOUR_US) for hour in sorted(hours)]
    )
    if until is not None:
        first = np.flatnonzero(begins(devices))
        marks = {"device": devices[first], "since": np.minimum.reduceat(starts, first)}
        marks["late_hours_until"] = np.full(len(first), until)
        await copy_into(connection, "late_devices", marks)
