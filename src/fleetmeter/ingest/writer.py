"""A writer: stores the parts that share a transaction.

Readings newer than all of their device cannot be duplicates and go straight into history: few in
one statement, many by COPY, and those that may be rolled up already (a backlog, an import) in a
transaction of their own. Late and resent ones are merged: copied into a temporary table, then
inserted where the primary key does not know them. So are readings of registers, whose energy the
database derives from the readings around them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import asyncpg

from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.ingest.memory import FOREVER, NEVER, LastTimes, RememberedAssignments
from fleetmeter.ingest.queue import Part
from fleetmeter.ingest.work import (
    METERS,
    REGISTERS,
    SENDS_A_REGISTER,
    VEHICLES,
    Work,
    Writing,
    key_of,
    registers_first,
    share_of,
    works_of,
)
from fleetmeter.readings.model import (
    METER_COLUMNS,
    VEHICLE_COLUMNS,
    Row,
    microseconds,
    time_of,
)

_FEW = 600
"""Rows that go in one statement: a round trip costs as much as copying some hundred rows."""

_HOUR = 3_600_000_000
"""Microseconds, in which rows count from a whole hour."""


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
    connection: Connection, kind: Writing, rows: Iterable[Any], parts: Iterable[int] | None = None
) -> None:
    """Into history, or with the part of each row into the session's temporary table."""

    async def whole() -> AsyncIterator[bytes]:  # as the driver wants it: piece by piece, all in one
        yield kind.copy(rows, parts)

    table, columns = kind.table, kind.columns
    if parts is not None:
        table, columns = f"incoming_{table}", ("part", *columns)
    await connection.copy_to_table(table, columns=columns, source=whole(), format="binary")


def _hours_of(rows: Iterable[Any]) -> list[datetime]:
    """The hours that the rows' times are in."""
    return [time_of(hour * _HOUR) for hour in sorted({row[1] // _HOUR for row in rows})]


def _columns(rows: Iterable[Any]) -> list[Sequence[Any]]:
    """The rows as arrays, times as the driver takes them."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    columns[1] = [time_of(time) for time in columns[1]]
    return columns


class DatabaseWriter:
    """Commits parts, with a memory of its own devices."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._times = {VEHICLES.table: LastTimes(), METERS.table: LastTimes()}
        self._assignments = RememberedAssignments()
        self._terms: _Terms | None = None

    async def commit(self, parts: Sequence[Part]) -> list[int]:
        """How many readings of each part were new; adds to its refused devices and conflicts.

        Raises DatabaseUnavailableError: nothing was acknowledged, sending again is safe.
        """
        later = registers_first(parts)
        if not later:
            return await self._commit(parts)
        stored = [0] * len(parts)
        for turn in (False, True):
            shares = [share_of(part, later, turn) for part in parts]
            for number, new in enumerate(await self._commit(shares)):
                stored[number] += new
                parts[number].refused |= shares[number].refused
                parts[number].conflicts |= shares[number].conflicts
        return stored

    async def _commit(self, parts: Sequence[Part]) -> list[int]:
        stored = [0] * len(parts)
        works = works_of((VEHICLES, METERS), parts)
        unsure = []
        for work in works:
            if self._times[work.kind.table].holds(work.rows):
                work.late = work.rows
            else:
                unsure.append(work)
        if await self._went_in(partial(self._append_fresh, unsure), unsure):
            for work in unsure:
                work.count(work.fresh, stored)
                times = self._times[work.kind.table]
                work.older, work.late = times.sorted_out(work.late, NEVER)
            older = [work for work in unsure if work.older]
            went_in = await self._went_in(partial(self._append_older, older), older)
            for work in older:
                if went_in:
                    work.count(work.older, stored)
                else:
                    work.late += work.older
        else:
            for work in unsure:
                work.late = work.rows
        registers = works_of(REGISTERS, parts)
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

    def _tell(self, parts: Sequence[Part], work: Work, merged: _Merged) -> None:
        """Tell every request what of it was not taken; refused devices are asked for at once."""
        kind, conflicts = work.kind, work.conflicts(merged.as_stored)
        for part in parts if merged.refused or conflicts else ():
            rows = getattr(part, kind.name)
            there = merged.refused.intersection(row[0] for row in rows)
            part.refused.update((kind.name, device) for device in there)
            part.conflicts.update((kind.name, row) for row in conflicts.intersection(rows))
        if kind in (VEHICLES, METERS):
            self._times[kind.table].learn(dict.fromkeys(merged.refused, FOREVER))

    async def _merged(self, works: Sequence[Work]) -> dict[str, _Merged]:
        """Merge, and again when a device has shown its kind through another service meanwhile."""
        try:
            return await retried(partial(self._merge, works))
        except asyncpg.PostgresError as error:
            if error.sqlstate != SENDS_A_REGISTER:
                raise
            return await retried(partial(self._merge, works))

    async def _went_in(self, append: Callable[[], Awaitable[None]], works: Sequence[Work]) -> bool:
        """Whether rows could be appended; if not, nothing was stored, and they are to be merged."""
        try:
            if works:
                await append()
            return True
        except asyncpg.UniqueViolationError:
            # another replica has written some of them: the memory was wrong
            for work in works:
                self._times[work.kind.table].forget({row[0] for row in work.rows})
        except asyncpg.PostgresError as error:
            if error.sqlstate != SENDS_A_REGISTER:
                raise
        return False

    async def _append_fresh(self, works: Sequence[Work]) -> None:
        """What is fresh, in a statement or by COPY."""
        if not await retried(lambda: self._append_few(works)):
            await retried(lambda: self._append(works))

    async def _append_older(self, works: Sequence[Work]) -> None:
        """What is newer than all of its device, but may be rolled up already, by COPY.

        In a transaction of its own, as all that is late: a rollup's range that is to be refreshed
        reaches from the oldest to the newest change of a transaction.
        """
        await retried(partial(self._append, works, older=True))

    async def _append_few(self, works: Sequence[Work]) -> bool:
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
            if kind is VEHICLES:
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
                *columns.get(VEHICLES.table, [()] * len(VEHICLE_COLUMNS)),
                *columns.get(METERS.table, [()] * len(METER_COLUMNS)),
            )
        if stored:
            for work in works:
                self._times[work.kind.table].learn({row[0]: row[1] for row in work.rows})
        return stored

    async def _append(self, works: Sequence[Work], *, older: bool = False) -> None:
        """One transaction for rows that are newer than all of their device, by COPY."""
        newest: dict[str, dict[str, Any]] = {}
        pairs: list[tuple[str, str]] = []
        async with self._database.transaction() as connection:
            terms = await self._begin(connection)
            self._assignments.at_version(terms.assignments_version)
            for work in works:
                kind = work.kind
                if not older:
                    await self._learn_times(connection, work)
                    work.fresh, work.late = self._times[kind.table].sorted_out(
                        work.rows, terms.horizons[kind.table]
                    )
                rows = work.older if older else work.fresh
                if not rows:
                    continue
                if kind is VEHICLES:
                    await self._learn_assignments(connection, {row[0] for row in rows})
                    rows = self._assignments.stamped(rows)
                    pairs = self._assignments.new_pairs(rows)
                newest[kind.table] = {row[0]: row for row in rows}
                await _copy(connection, kind, rows)
                if kind is VEHICLES and pairs:
                    meter_ids, vehicle_ids = zip(*pairs, strict=True)
                    await queries.pair(connection, meter_ids=meter_ids, vehicle_ids=vehicle_ids)
                if older:
                    oldest = {row[0]: time_of(row[1]) for row in reversed(rows)}
                    await queries.note_late(
                        connection,
                        source=kind.table,
                        hours=_hours_of(rows),
                        ids=list(oldest),
                        sinces=list(oldest.values()),
                    )
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
        horizons = {kind.table: microseconds(row[kind.horizon]) for kind in (VEHICLES, METERS)}
        return _Terms(row["assignments_version"], horizons)

    async def _merge(self, works: Sequence[Work]) -> dict[str, _Merged]:
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
                        outcome.as_stored[key_of(there)] = there
                    else:
                        outcome.new.append((row["part"], row["readings"]))
                outcomes[work.kind.name] = outcome
        return outcomes

    async def _learn_times(self, connection: Connection, work: Work) -> None:
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
