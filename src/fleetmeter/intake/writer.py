"""A writer: stores the readings that share a transaction.

Readings newer than all of their device cannot be duplicates and go straight into history: few in
one statement, many by COPY, and those that may be rolled up already (a backlog, an import) in a
transaction of their own. Late and resent ones are merged: copied into a temporary table, then
inserted where history does not know them, and derived from the readings around them; and so is a
register that does more than rise or flutter.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
import numpy as np

from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.intake.copy_format import packed
from fleetmeter.intake.intervals import MAX_SPAN_MS, is_spread, pieces
from fleetmeter.intake.registers import advance, derive, gaps, unusual
from fleetmeter.intake.rows import (
    CONFLICT,
    DEVICE,
    DUPLICATE,
    ENERGY,
    METER,
    MIXED,
    NEW,
    NULL,
    REGISTER,
    START,
    TIME,
    VALUES,
    Column,
    Mask,
    Matrix,
    Statuses,
    begins,
    last_of_each,
)
from fleetmeter.intake.writer_cache import NEVER, WriterCache
from fleetmeter.readings.kinds import MEASUREMENTS
from fleetmeter.readings.model import microseconds, time_of

_FEW = 600
"""Readings that go in one statement: a round trip costs as much as copying some hundred."""

_HOUR_US = 3_600_000_000

_TRIES = 4
"""How often versions are asked for again before a batch is merged."""


def _at(value: str) -> str:
    """Return the column of live state with the time of a value."""
    return "energy_at" if value == "energy_mwh" else f"{value}_at"


_TYPES = {
    "item": "integer",
    "expected": "timestamptz",
    "device": "integer",
    "meter": "integer",
    "time": "timestamptz",
    "energy_mwh": "bigint",
    "register_mwh": "bigint",
    "highest_mwh": "bigint",
    "span_ms": "bigint",
    "meter_declared": "boolean",
    "reset": "boolean",
    "spread": "boolean",
    **{each.column: each.sql_type for each in MEASUREMENTS},
    "interval_start": "timestamptz",
    "energy_expected": "timestamptz",
    "derivation": "integer",
    **{_at(value): "timestamptz" for value in ("energy_mwh", *(m.column for m in MEASUREMENTS))},
    "since": "timestamptz",
    "late_hours_until": "bigint",
    "bucket": "timestamptz",
    "starts": "timestamptz",
    "ends": "timestamptz",
    "covered_ms": "bigint",
}
_STORED = tuple(_TYPES)[2 : 12 + len(MEASUREMENTS)]
"""The columns of history, in the order in which append_readings() takes them."""

_KNOWN_BY = {
    "energy_mwh": ("energy_mwh", "register_mwh", "highest_mwh", "span_ms", "reset", "spread"),
    **{each.column: (each.column,) for each in MEASUREMENTS},
}
"""What live state has of the newest reading that gives a value, by that value."""

_BEGINNING = microseconds(datetime(1, 1, 1, tzinfo=UTC))
"""Before any reading, as advance_state() knows it."""

_STATE_CHANGED = "FM001"
"""SQLSTATE of refuse_batch(): live state is not what the writer remembers."""

_APPEND = (
    "select append_readings("
    + ", ".join(f"${place + 1}" for place in range(8 + len(_STORED)))
    + ")"
)


class StaleNumbersError(FleetMeterError):
    """The numbers of devices are stale, since some were purged; ask again."""


class _OvertakenError(Exception):
    """Somebody else has stored newer readings of a device."""


class DatabaseWriter:
    """Commits readings; the writers of a service share a cache, and may meet at a device."""

    def __init__(self, database: Database, cache: WriterCache | None = None) -> None:
        self._database = database
        self._cache = cache or WriterCache()

    async def commit(self, rows: Matrix, devices_version: int) -> Statuses:
        """Store the readings; return what became of each.

        Raises StaleNumbersError (nothing was stored), DatabaseUnavailableError (nothing was
        acknowledged, sending again is safe).
        """
        order = np.lexsort((rows[TIME], rows[DEVICE]))
        rows = rows[:, order]
        if (repeated := _repeated(rows)).any():
            copies, originals = _copies(rows, repeated)
            distinct = np.ones(len(order), np.bool_)
            distinct[copies] = False
            statuses = np.empty(len(order), np.int8)
            statuses[distinct] = await self._store(rows[:, distinct], devices_version)
            statuses[copies] = np.where(statuses[originals] == NEW, DUPLICATE, statuses[originals])
        else:
            statuses = await self._store(rows, devices_version)
        unsorted = np.empty_like(statuses)
        unsorted[order] = statuses
        return unsorted

    async def _store(self, rows: Matrix, devices_version: int) -> Statuses:
        """Store readings that are sorted by key, each once; as commit()."""
        statuses = np.full(rows.shape[1], DUPLICATE, np.int8)
        cache = self._cache
        cache.make_room(int(rows[DEVICE, -1]))
        await self._learn(rows[DEVICE], devices_version)

        # an interval that says when it began may overlap others; what else may be is asked below
        in_order = (rows[TIME] > cache.time[rows[DEVICE]]) & (rows[START] == NULL)
        in_order &= ~_repeated(rows) & ~unusual(rows, cache)
        before = rows[TIME] <= cache.horizon
        for chosen in (in_order & before, in_order & ~before):
            # what was rolled up first, so that the rest is still newer than all of its device
            if chosen.any():
                if await self._went_in(rows[:, chosen], devices_version):
                    statuses[chosen] = NEW
                else:
                    in_order &= ~chosen
        if (late := np.flatnonzero(~in_order)).size:
            statuses[late] = await self._merged(rows[:, late], devices_version)
        return statuses

    async def _learn(self, devices: Column, devices_version: int) -> None:
        """Ask for what is not known of the devices. Raises StaleNumbersError."""
        cache = self._cache

        async def ask() -> None:
            async with self._database.transaction() as connection:
                await self._begin(connection, devices_version)
                unknown, version = cache.unknown(np.unique(devices)), cache.version
                rows = [
                    row async for row in queries.writer_state(connection, devices=unknown.tolist())
                ]
                cache.learn(rows, version)

        while cache.unknown(devices).size:
            await retried(ask)

    async def _begin(self, connection: Connection, devices_version: int) -> None:
        """Begin a batch. Raises StaleNumbersError."""
        terms = await queries.begin_batch(connection)
        if terms["devices_version"] != devices_version:
            raise StaleNumbersError("devices were purged meanwhile")
        self._cache.at_version(terms["assignments_version"])
        self._cache.horizon = microseconds(terms["horizon"])

    async def _went_in(self, rows: Matrix, devices_version: int) -> bool:
        """Return whether readings newer than all of their device went in; if not, nothing did."""
        cache, devices = self._cache, rows[DEVICE]
        for _ in range(_TRIES):
            await self._learn(devices, devices_version)
            append = self._append_few if self._is_few(rows) else self._append
            try:
                if await retried(partial(append, rows, devices_version)):
                    self._advance(rows)
                    return True
            except (_OvertakenError, asyncpg.UniqueViolationError):
                break  # somebody else has written newer ones, or some of them
            except asyncpg.PostgresError as error:
                if error.sqlstate != _STATE_CHANGED:
                    raise
                cache.forget(devices)  # another replica has written to these devices
        return False

    def _advance(self, rows: Matrix) -> None:
        """Remember readings newer than all of their device, which have been stored."""
        devices = rows[DEVICE]
        newest = last_of_each(devices)
        self._cache.advance(devices[newest], rows[TIME, newest])
        advance(rows, self._cache)

    def _is_few(self, rows: Matrix) -> bool:
        """Return whether one statement will do: one of each device, live state, no questions."""
        cache, devices = self._cache, rows[DEVICE]
        return len(devices) <= _FEW and bool(
            np.all(devices[1:] != devices[:-1])
            and np.all(cache.time[devices] != NEVER)
            and np.all((rows[METER] != 0) | (rows[TIME] >= cache.since[devices]))
        )

    def _may_append(self, rows: Matrix) -> bool:
        """Return whether all is known of the devices. Raises _OvertakenError for old readings.

        Asked where columns are made of what is remembered, and nothing is waited for in between:
        another writer may have stored newer readings since. What it stores later, the database
        finds, by what was expected.
        """
        cache, devices = self._cache, rows[DEVICE]
        if cache.unknown(devices).size:
            return False
        if (rows[TIME] <= cache.time[devices]).any() or unusual(rows, cache).any():
            raise _OvertakenError
        return True

    async def _append_few(self, rows: Matrix, devices_version: int) -> bool:
        """Store in one statement; return False, and store nothing, when versions have changed."""
        cache, version = self._cache, self._cache.version
        if not self._may_append(rows):
            return False
        columns = self._stored_columns(rows, self._assigned(rows))
        meters, vehicles = self._new_pairs(columns)
        expected = _times(cache.time[rows[DEVICE]])
        energy_expected = _times(cache.energy_time[rows[DEVICE]])
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
                time_of(int(_starts(columns).min())),
                *(_values(columns[name], _TYPES[name]) for name in _STORED),
            )
        if stored:
            cache.paired[vehicles] = meters
        else:
            async with self._database.transaction() as connection:
                await self._begin(connection, devices_version)
        return stored

    async def _append(self, rows: Matrix, devices_version: int) -> bool:
        """Store by COPY; return False, and store nothing, when assignments have changed."""
        cache = self._cache
        async with self._database.transaction() as connection:
            await self._begin(connection, devices_version)
            if cache.unknown(rows[DEVICE]).size:
                return False
            meter = await self._meters_then(connection, rows, self._assigned(rows))
            if not self._may_append(rows):
                return False
            columns = self._stored_columns(rows, meter)
            newest = self._newest(columns)
            # live state before history, as every other change of readings: see docs/locks.md
            await _copy(connection, "newest", newest)
            await queries.advance_state(connection)
            await _copy(connection, "readings", columns)
            await self._spread(connection, columns)
            meters, vehicles = self._new_pairs(columns)
            if len(meters):
                await queries.note_pairs(
                    connection, meters=meters.tolist(), vehicles=vehicles.tolist()
                )
            await self._note_late(connection, columns)
        cache.paired[vehicles] = meters
        return True

    async def _note_late(self, connection: Connection, columns: dict[str, Column]) -> None:
        """Do what note_late() does in SQL, for many readings of few hours, sorted by device."""
        starts = _starts(columns)
        late = starts < self._cache.horizon
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
            await _copy(connection, "late_devices", marks)

    @staticmethod
    async def _spread(connection: Connection, columns: dict[str, Column]) -> None:
        """Put energy into the quarter hours of its interval that lie in several."""
        spread = columns["spread"] == 1
        if not spread.any():
            return
        names = ("device", "meter", "time", "energy_mwh", "span_ms")
        short = spread & (columns["span_ms"] < MAX_SPAN_MS)
        if short.any():
            await _copy(
                connection, "spread_energy", pieces(*(columns[name][short] for name in names))
            )
        if (long := spread & ~short).any():
            await queries.put_pieces(
                connection,
                devices=columns["device"][long].tolist(),
                times=_values(columns["time"][long], "timestamptz"),
            )

    async def _merged(self, rows: Matrix, devices_version: int) -> Statuses:
        """Merge, and again when a device was changed through another service meanwhile."""
        self._cache.forget(rows[DEVICE])
        try:
            return await retried(partial(self._merge, rows, devices_version))
        except asyncpg.UniqueViolationError:
            return await retried(partial(self._merge, rows, devices_version))

    async def _merge(self, rows: Matrix, devices_version: int) -> Statuses:
        """Merge through the temporary table; return what became of each reading."""
        meter = np.where(rows[METER] == 0, NULL, rows[METER])
        columns = self._stored_columns(rows, meter, as_sent=True)
        items = np.arange(rows.shape[1])
        async with self._database.transaction() as connection:
            await self._begin(connection, devices_version)
            await _copy(connection, "incoming", {"item": items, **columns})
            outcome = await queries.store_readings(connection)
        statuses = np.full(len(items), DUPLICATE, np.int8)
        for of_status, status in (
            (outcome["stored"], NEW),
            (outcome["mixed"], MIXED),
            (outcome["conflicts"], CONFLICT),
        ):
            if of_status:
                statuses[of_status] = status
        return statuses

    def _assigned(self, rows: Matrix) -> Column:
        """Return the meters that readings were charged from: their own, or the newest assigned."""
        meter = np.where(rows[METER] == 0, self._cache.meter[rows[DEVICE]], rows[METER])
        return np.where(meter == 0, NULL, meter)

    async def _meters_then(self, connection: Connection, rows: Matrix, meter: Column) -> Column:
        """Ask for the meters of readings from before their vehicle's newest assignment."""
        earlier = (rows[METER] == 0) & (rows[TIME] < self._cache.since[rows[DEVICE]])
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

    def _stored_columns(
        self, rows: Matrix, meter: Column, *, as_sent: bool = False
    ) -> dict[str, Column]:
        """Return the columns of history; energy as it was sent, or derived for registers."""
        register = rows[REGISTER]
        nothing = np.full_like(register, NULL)
        columns = {
            "device": rows[DEVICE],
            "meter": meter,
            "time": rows[TIME],
            "energy_mwh": rows[ENERGY].copy(),
            "register_mwh": register,
            "highest_mwh": nothing.copy(),
            "span_ms": nothing,
            "meter_declared": (rows[METER] != 0).astype(np.int64),
            "reset": np.zeros_like(register),
            "spread": np.zeros_like(register),
        }
        if as_sent:
            columns["interval_start"] = rows[START]
        else:
            self._derive(columns)
        for number, each in enumerate(MEASUREMENTS):
            columns[each.column] = rows[VALUES + number]
        return columns

    def _derive(self, columns: dict[str, Column]) -> None:
        """Fill in what follows from the reading with energy before, in the batch or earlier."""
        cache, register = self._cache, columns["register_mwh"]
        has = (columns["energy_mwh"] != NULL) | (register != NULL)
        if not has.all():
            chosen = {name: column[has] for name, column in columns.items()}
            if has.any():
                self._derive(chosen)
            for name in ("energy_mwh", "highest_mwh", "span_ms", "spread"):
                columns[name][has] = chosen[name]
            return
        devices, time = columns["device"], columns["time"]
        gap_ms = gaps(devices, time, cache.energy_time)
        columns["span_ms"] = np.minimum(gap_ms, cache.interval_ms[devices])
        if (sent := register != NULL).any():
            for name, derived in derive(devices[sent], register[sent], gap_ms[sent], cache).items():
                columns[name][sent] = derived
        columns["spread"] = is_spread(time, columns["span_ms"]).astype(np.int64)

    def _newest(self, columns: dict[str, Column]) -> dict[str, Column]:
        """Return what is known of each device by its readings, for advance_state()."""
        cache, devices, time = self._cache, columns["device"], columns["time"]
        newest = last_of_each(devices)
        result = {name: column[newest] for name, column in columns.items()}
        expected, energy_time = cache.time[result["device"]], cache.energy_time[result["device"]]
        same = energy_time == expected
        result["expected"] = _or_null(expected)
        if (derivation := cache.derivation[result["device"]]).any():
            result["derivation"] = derivation.astype(np.int64)
        result["energy_expected"] = np.where(same, NULL, np.maximum(energy_time, _BEGINNING))
        if len(newest) == len(devices):
            return result

        for value, names in _KNOWN_BY.items():
            places = _last_with(devices, newest, columns[value])
            older = (places >= 0) & (places != newest)
            if older.any():
                chosen = places[older]
                for name in names:
                    result[name][older] = columns[name][chosen]
                result[_at(value)] = np.where(older, time[places], NULL)
        return result

    def _new_pairs(self, columns: dict[str, Column]) -> tuple[Column, Column]:
        """Return meters and vehicles that charged there and are not known to be noted."""
        meter, device = columns["meter"], columns["device"]
        new = (meter != NULL) & (self._cache.paired[device] != meter)
        if not new.any():
            return meter[:0], device[:0]
        pairs = np.unique(np.stack([meter[new], device[new]]), axis=1)
        return pairs[0], pairs[1]


async def _copy(connection: Connection, table: str, columns: dict[str, Column]) -> None:
    """COPY columns into a table; those without any value, or true, are left out."""
    columns = {name: column for name, column in columns.items() if _says(column, _TYPES[name])}

    async def whole() -> AsyncIterator[bytes]:  # as the driver wants it: piece by piece, all in one
        yield packed(columns, _TYPES)

    await connection.copy_to_table(table, columns=list(columns), source=whole(), format="binary")


def _has_energy(rows: Matrix) -> Mask:
    """Return which readings give energy."""
    has: Mask = (rows[ENERGY] != NULL) | (rows[REGISTER] != NULL)
    return has


def _last_with(devices: Column, newest: Column, column: Column) -> Column:
    """Return the place of each device's last reading that has a value; -1: none has."""
    places = np.maximum.accumulate(np.where(column == NULL, -1, np.arange(len(column))))[newest]
    starts = np.zeros_like(newest)
    starts[1:] = newest[:-1] + 1
    return np.where(places >= starts, places, -1)


def _or_null(times: Column) -> Column:
    return np.where(times == NEVER, NULL, times)


def _times(times: Column) -> list[datetime | None]:
    """Return times as the driver takes them; None for NEVER."""
    return [None if time == NEVER else time_of(time) for time in times.tolist()]


def _starts(columns: dict[str, Column]) -> Column:
    """Return when the intervals of readings began; at the latest just before they were stamped."""
    span_ms = columns["span_ms"]
    starts: Column = columns["time"] - np.where(span_ms == NULL, 0, span_ms) * 1000
    return np.minimum(starts, columns["time"] - 1)


def _repeated(rows: Matrix) -> Mask:
    """Return which readings share their key with another of the batch, which is sorted by key."""
    again = ~(begins(rows[DEVICE]) | begins(rows[TIME]))
    repeated = again.copy()
    repeated[:-1] |= again[1:]
    return repeated


def _copies(rows: Matrix, repeated: Mask) -> tuple[Column, Column]:
    """Return which readings are the same as one before them in the batch, and as which."""
    places = np.flatnonzero(repeated)
    whole = np.ascontiguousarray(rows[DEVICE:, places].T)
    _, first, same = np.unique(whole, axis=0, return_index=True, return_inverse=True)
    originals = places[first[same.reshape(-1)]]
    copies = places != originals
    return places[copies], originals[copies]


def _says(column: Column, type_: str) -> bool:
    """Return whether a column has any value that is not what the table has without it."""
    return bool(column.any() if type_ == "boolean" else (column != NULL).any())


def _values(column: Column, type_: str) -> list[Any]:
    """Return a column as the driver takes it; without any value, or true, empty."""
    if not _says(column, type_):
        return []
    null = column == NULL
    values: list[Any] = column.tolist()
    if type_ == "timestamptz":
        values = [time_of(value) for value in values]
    elif type_ == "boolean":
        values = [value == 1 for value in values]
    if null.any():
        values = [None if absent else value for value, absent in zip(values, null, strict=True)]
    return values
