"""A writer: stores the parts that share a transaction.

Fresh readings (newer than all of their device) cannot be duplicates and go straight into history:
few of them in one statement, many by COPY. Late and resent ones are merged in a transaction of
their own: copied into a temporary table, then inserted where the primary key does not know them.
So are readings of registers, whose energy the database derives from the readings around them.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, pairwise, repeat
from operator import itemgetter
from typing import Any, NamedTuple

import asyncpg

from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.ingest.copy import meters_copy, vehicles_copy
from fleetmeter.ingest.memory import FOREVER, NEVER, LastTimes, RememberedAssignments
from fleetmeter.ingest.queue import Part
from fleetmeter.readings.model import (
    METER_COLUMNS,
    VEHICLE_COLUMNS,
    Kind,
    Row,
    microseconds,
    time_of,
)
from fleetmeter.readings.stored import meter_as_sent, vehicle_as_sent


class _Kind(NamedTuple):
    """What differs between vehicles and meters."""

    name: Kind
    table: str
    columns: tuple[str, ...]
    copy: Callable[..., bytes]
    horizon: str
    last_times: Any
    advance: str
    merge: Any
    as_sent: Callable[[asyncpg.Record], Row]


_VEHICLES = _Kind(
    "vehicles",
    "vehicle_readings",
    VEHICLE_COLUMNS,
    vehicles_copy,
    "vehicles_rolled_up_before",
    queries.last_vehicle_times,
    queries.advance_vehicles.sql,
    queries.store_vehicle_readings,
    vehicle_as_sent,
)
_METERS = _Kind(
    "meters",
    "meter_readings",
    METER_COLUMNS,
    meters_copy,
    "meters_rolled_up_before",
    queries.last_meter_times,
    queries.advance_meters.sql,
    queries.store_meter_readings,
    meter_as_sent,
)

_REGISTERS = (
    _VEHICLES._replace(name="vehicle_registers", merge=queries.store_vehicle_registers),
    _METERS._replace(name="meter_registers", merge=queries.store_meter_registers),
)

_SENDS_A_REGISTER = "FM001"
"""SQLSTATE of refuse_register(): interval energy of a device that sends a register."""

_FEW = 600
"""Rows that go in one statement: a round trip costs as much as copying some hundred rows."""

_key = itemgetter(0, 1)


class _Merged(NamedTuple):
    """What a merge did with the late rows of a kind."""

    new: list[tuple[int, int]]
    """Parts, and how many of their readings were new."""

    refused: set[str]
    """Devices whose readings were not taken."""

    as_stored: dict[tuple[str, int], Row]
    """What history has of the keys that came with other values."""


_NOTHING_MERGED = _Merged([], set(), {})


class _Terms(NamedTuple):
    """What a batch was last stored under; times in microseconds."""

    assignments_version: int
    horizons: dict[str, int]


async def _copy(
    connection: Connection, kind: _Kind, rows: Iterable[Any], parts: Iterable[int] | None = None
) -> None:
    """Into history, or with the part of each row into the session's temporary table."""

    async def whole() -> AsyncIterator[bytes]:  # as the driver wants it: piece by piece, all in one
        yield kind.copy(rows, parts)

    table, columns = kind.table, kind.columns
    if parts is not None:
        table, columns = f"incoming_{table}", ("part", *columns)
    await connection.copy_to_table(table, columns=columns, source=whole(), format="binary")


def _columns(rows: Iterable[Any]) -> list[Sequence[Any]]:
    """The rows as arrays, times as the driver takes them."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    columns[1] = [time_of(time) for time in columns[1]]
    return columns


class _Work:
    """The rows of one kind in one commit, in the order of their keys, each key once.

    Where a key comes with several values, the first counts; the others are in conflict with it.
    """

    def __init__(self, kind: _Kind, parts: Sequence[Part]) -> None:
        self.kind = kind
        self._parts: list[list[Any]] = [getattr(part, kind.name) for part in parts]
        rows = sorted(chain.from_iterable(self._parts), key=_key)
        self.rows: list[Any] = rows[:1] + [
            row for before, row in pairwise(rows) if row[1] != before[1] or row[0] != before[0]
        ]
        self._others = len(self.rows) < len(rows)
        self.fresh: list[Any] = []
        self.late: list[Any] = []

    def owners(self, rows: Sequence[Any]) -> list[int]:
        """The number of the part that each of these rows came in."""
        if len(self._parts) == 1:
            return [0] * len(rows)
        owners = {id(row): number for number, part in enumerate(self._parts) for row in part}
        return [owners[id(row)] for row in rows]

    def count(self, rows: Sequence[Any], stored: list[int]) -> None:
        """Add to what is stored of each part."""
        if len(rows) == sum(map(len, self._parts)):
            for number, part in enumerate(self._parts):
                stored[number] += len(part)
        else:
            for number in self.owners(rows):
                stored[number] += 1

    def conflicts(self, as_stored: Mapping[tuple[str, int], Row]) -> set[Row]:
        """The rows whose values are not those that their key has in history now."""
        if not as_stored and not self._others:
            return set()
        kept = {**{_key(row): row for row in self.rows}, **as_stored}
        return {row for row in chain.from_iterable(self._parts) if row != kept[_key(row)]}


def _works(kinds: Iterable[_Kind], parts: Sequence[Part]) -> list[_Work]:
    """What there is to do of these kinds."""
    return [work for kind in kinds if (work := _Work(kind, parts)).rows]


class DatabaseWriter:
    """Commits parts, with a memory of its own devices."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._times = {_VEHICLES.table: LastTimes(), _METERS.table: LastTimes()}
        self._assignments = RememberedAssignments()
        self._terms: _Terms | None = None

    async def commit(self, parts: Sequence[Part]) -> list[int]:
        """How many readings of each part were new; adds to its refused devices and conflicts.

        Raises DatabaseUnavailableError: nothing was acknowledged, sending again is safe.
        """
        stored = [0] * len(parts)
        works = _works((_VEHICLES, _METERS), parts)
        unsure = []
        for work in works:
            if self._times[work.kind.table].holds(work.rows):
                work.late = work.rows
            else:
                unsure.append(work)
        try:
            if unsure and not await retried(lambda: self._append_few(unsure)):
                await retried(lambda: self._append(unsure))
            for work in unsure:
                work.count(work.fresh, stored)
        except asyncpg.UniqueViolationError:
            # another replica has written some of them: the memory was wrong
            for work in unsure:
                work.late = work.rows
                self._times[work.kind.table].forget({row[0] for row in work.rows})
        except asyncpg.PostgresError as error:
            if error.sqlstate != _SENDS_A_REGISTER:
                raise
            for work in unsure:
                work.late = work.rows
        registers = _works(_REGISTERS, parts)
        for work in registers:
            work.late = work.rows
        merged: dict[str, _Merged] = {}
        for late in ([work for work in works if work.late], registers):
            if late:
                merged |= await self._merged(late)
        for work in (*works, *registers):
            done = merged.get(work.kind.name, _NOTHING_MERGED)
            for part, new in done.new:
                stored[part] += new
            self._tell(parts, work, done)
        return stored

    def _tell(self, parts: Sequence[Part], work: _Work, merged: _Merged) -> None:
        """Tell every request what of it was not taken; refused devices are asked for at once."""
        kind, conflicts = work.kind, work.conflicts(merged.as_stored)
        for part in parts if merged.refused or conflicts else ():
            rows = getattr(part, kind.name)
            there = merged.refused.intersection(row[0] for row in rows)
            part.refused.update((kind.name, device) for device in there)
            part.conflicts.update((kind.name, row) for row in conflicts.intersection(rows))
        if kind in (_VEHICLES, _METERS):
            self._times[kind.table].learn(dict.fromkeys(merged.refused, FOREVER))

    async def _merged(self, works: Sequence[_Work]) -> dict[str, _Merged]:
        """Merge, and again when a device has shown its kind through another service meanwhile."""
        try:
            return await retried(partial(self._merge, works))
        except asyncpg.PostgresError as error:
            if error.sqlstate != _SENDS_A_REGISTER:
                raise
            return await retried(partial(self._merge, works))

    async def _append_few(self, works: Sequence[_Work]) -> bool:
        """What is fresh in one statement; False, and nothing stored, when that cannot be.

        It can when all is known that `_append` would have to ask for, and the database agrees.
        """
        terms = self._terms
        if terms is None or sum(len(work.rows) for work in works) > _FEW:
            return False
        columns: dict[str, Sequence[Any]] = {}
        for work in works:
            kind = work.kind
            times, rows = self._times[kind.table], work.rows
            work.fresh, work.late = times.sorted_out(rows, terms.horizons[kind.table])
            ids = {row[0] for row in rows}
            if work.late or times.unknown(ids):
                return False
            if kind is _VEHICLES:
                if self._assignments.unknown(ids):
                    return False
                rows = self._assignments.stamped(rows)
                if self._assignments.new_pairs(rows):
                    return False
            columns[kind.table] = _columns(rows)
        async with self._database.connection() as connection:
            stored: bool = await connection.fetchval(
                queries.append_readings.sql,
                terms.assignments_version,
                *columns.get(_VEHICLES.table, [()] * len(VEHICLE_COLUMNS)),
                *columns.get(_METERS.table, [()] * len(METER_COLUMNS)),
            )
        if stored:
            for work in works:
                self._times[work.kind.table].learn({row[0]: row[1] for row in work.rows})
        return stored

    async def _append(self, works: Sequence[_Work]) -> None:
        """One transaction for what is fresh, by COPY."""
        newest: dict[str, dict[str, Any]] = {}
        pairs: list[tuple[str, str]] = []
        async with self._database.transaction() as connection:
            terms = await self._begin(connection)
            self._assignments.at_version(terms.assignments_version)
            for work in works:
                kind = work.kind
                await self._learn_times(connection, work)
                work.fresh, work.late = self._times[kind.table].sorted_out(
                    work.rows, terms.horizons[kind.table]
                )
                if not work.fresh:
                    continue
                rows = work.fresh
                if kind is _VEHICLES:
                    await self._learn_assignments(connection, {row[0] for row in rows})
                    rows = self._assignments.stamped(rows)
                    pairs = self._assignments.new_pairs(rows)
                newest[kind.table] = {row[0]: row for row in rows}
                await _copy(connection, kind, rows)
                if kind is _VEHICLES and pairs:
                    meter_ids, vehicle_ids = zip(*pairs, strict=True)
                    await queries.pair(connection, meter_ids=meter_ids, vehicle_ids=vehicle_ids)
                await _copy(connection, kind, newest[kind.table].values(), parts=repeat(0))
                await connection.execute(kind.advance)
        self._terms = terms
        for table, rows_by_id in newest.items():
            self._times[table].learn({id_: row[1] for id_, row in rows_by_id.items()})
        self._assignments.learn_pairs(pairs)

    @staticmethod
    async def _begin(connection: Connection) -> _Terms:
        row = await connection.fetchrow(queries.begin_batch.sql)
        assert row is not None  # noqa: S101 - it always has one
        horizons = {kind.table: microseconds(row[kind.horizon]) for kind in (_VEHICLES, _METERS)}
        return _Terms(row["assignments_version"], horizons)

    async def _merge(self, works: Sequence[_Work]) -> dict[str, _Merged]:
        """One transaction through the temporary tables; what became of each kind."""
        outcomes: dict[str, _Merged] = {}
        async with self._database.transaction() as connection:
            for work in works:
                await _copy(connection, work.kind, work.late, work.owners(work.late))
                outcome = _Merged([], set(), {})
                async for row in work.kind.merge(connection):
                    if row["refused"]:
                        outcome.refused.update(row["refused"])
                    elif row["conflict"]:
                        there = work.kind.as_sent(row["conflict"])
                        outcome.as_stored[_key(there)] = there
                    else:
                        outcome.new.append((row["part"], row["readings"]))
                outcomes[work.kind.name] = outcome
        return outcomes

    async def _learn_times(self, connection: Connection, work: _Work) -> None:
        times = self._times[work.kind.table]
        if unknown := times.unknown({row[0] for row in work.rows}):
            found = dict.fromkeys(unknown, NEVER)
            async for row in work.kind.last_times(connection, ids=unknown):
                found[row["id"]] = microseconds(row["time"])
            times.learn(found)

    async def _learn_assignments(self, connection: Connection, vehicles: set[str]) -> None:
        if unknown := self._assignments.unknown(vehicles):
            found: dict[str, list[tuple[int, str | None]]] = {id_: [] for id_ in unknown}
            async for row in queries.assignments_of(connection, ids=unknown):
                found[row["vehicle_id"]].append((microseconds(row["since"]), row["meter_id"]))
            self._assignments.learn(found)
