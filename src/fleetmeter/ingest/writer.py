"""A writer: stores the parts that share a transaction.

Fresh readings (newer than all of their device) cannot be duplicates and go straight into history
by COPY. Late and resent ones are merged in a transaction of their own: copied into a temporary
table, then inserted where the primary key does not know them yet.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.ingest.memory import LastTimes, RememberedAssignments
from fleetmeter.ingest.queue import Part
from fleetmeter.readings.model import MeterRow, VehicleRow


class _Kind(NamedTuple):
    """What differs between vehicles and meters."""

    table: str
    columns: tuple[str, ...]
    rows_of: Callable[[Part], Sequence[Any]]
    horizon: str
    last_times: Any
    advance: Any
    merge: Any


_VEHICLES = _Kind(
    "vehicle_readings",
    VehicleRow._fields,
    lambda part: part.vehicles,
    "vehicles_rolled_up_before",
    queries.last_vehicle_times,
    queries.advance_vehicles,
    queries.store_vehicle_readings,
)
_METERS = _Kind(
    "meter_readings",
    MeterRow._fields,
    lambda part: part.meters,
    "meters_rolled_up_before",
    queries.last_meter_times,
    queries.advance_meters,
    queries.store_meter_readings,
)


class _Work:
    """The rows of one kind in one commit, in the order of their keys, and the part of each."""

    def __init__(self, kind: _Kind, parts: Sequence[Part]) -> None:
        self.kind = kind
        self.owners: dict[tuple[str, datetime], int] = {}
        self.rows: list[Any] = []
        for number, part in enumerate(parts):
            for row in kind.rows_of(part):
                if self.owners.setdefault(row[:2], number) == number:
                    self.rows.append(row)
        self.rows.sort(key=_key)
        self.fresh: list[Any] = []
        self.late: list[Any] = []

    def sort_out(self, times: LastTimes, horizon: datetime) -> None:
        """Fresh: newer than the device's last, and than anything that may be rolled up."""
        self.fresh, self.late = [], []
        for row in self.rows:
            last = times.get(row[0])
            if row[1] >= horizon and (last is None or row[1] > last):
                self.fresh.append(row)
            else:
                self.late.append(row)


def _key(row: Any) -> Any:
    return row[:2]


class DatabaseWriter:
    """Commits parts, with a memory of its own devices."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._times = {_VEHICLES.table: LastTimes(), _METERS.table: LastTimes()}
        self._assignments = RememberedAssignments()

    async def commit(self, parts: Sequence[Part]) -> list[int]:
        """How many readings of each part were new.

        Raises DatabaseUnavailableError: nothing was acknowledged, sending again is safe.
        """
        stored = [0] * len(parts)
        works = [work for kind in (_VEHICLES, _METERS) if (work := _Work(kind, parts)).rows]
        unsure = []
        for work in works:
            if self._times[work.kind.table].holds(work.rows):
                work.late = work.rows
            else:
                unsure.append(work)
        try:
            if unsure:
                await retried(lambda: self._append(unsure))
            for work in unsure:
                for row in work.fresh:
                    stored[work.owners[row[:2]]] += 1
        except asyncpg.UniqueViolationError:
            # another replica has written some of them: the memory was wrong
            for work in unsure:
                work.late = work.rows
                self._times[work.kind.table].forget({row[0] for row in work.rows})
        late = [work for work in works if work.late]
        if late:
            for part, new in await retried(lambda: self._merge(late)):
                stored[part] += new
        return stored

    async def _append(self, works: Sequence[_Work]) -> None:
        """One transaction for what is fresh, by COPY."""
        newest: dict[str, dict[str, Any]] = {}
        pairs: list[tuple[str, str]] = []
        async with self._database.transaction() as connection:
            terms = await queries.begin_batch(connection)
            self._assignments.at_version(terms["assignments_version"])
            for work in works:
                kind = work.kind
                await self._learn_times(connection, work)
                work.sort_out(self._times[kind.table], terms[kind.horizon])
                if not work.fresh:
                    continue
                rows = work.fresh
                if kind is _VEHICLES:
                    rows = await self._stamped(connection, rows)
                    pairs = await self._pair(connection, rows)
                await connection.copy_records_to_table(
                    kind.table, columns=kind.columns, records=rows
                )
                newest[kind.table] = {row[0]: row for row in rows}
                columns = zip(*newest[kind.table].values(), strict=True)
                await kind.advance(connection, **dict(zip(kind.columns, columns, strict=True)))
        for table, rows_by_id in newest.items():
            self._times[table].learn({id_: row[1] for id_, row in rows_by_id.items()})
        self._assignments.learn_pairs(pairs)

    async def _merge(self, works: Sequence[_Work]) -> list[tuple[int, int]]:
        """One transaction for what is late, through the temporary tables; new ones by part."""
        new = []
        async with self._database.transaction() as connection:
            for work in works:
                await connection.copy_records_to_table(
                    f"incoming_{work.kind.table}",
                    columns=("part", *work.kind.columns),
                    records=[(work.owners[row[:2]], *row) for row in work.late],
                )
                new += [(row[0], row[1]) async for row in work.kind.merge(connection)]
        return new

    async def _learn_times(self, connection: Connection, work: _Work) -> None:
        times = self._times[work.kind.table]
        if unknown := times.unknown({row[0] for row in work.rows}):
            found: dict[str, datetime | None] = dict.fromkeys(unknown)
            async for row in work.kind.last_times(connection, ids=unknown):
                found[row["id"]] = row["time"]
            times.learn(found)

    async def _stamped(
        self, connection: Connection, rows: Sequence[VehicleRow]
    ) -> list[VehicleRow]:
        """The rows with the meter that each charged from: its own, or the assigned one."""
        remembered = self._assignments
        if unknown := remembered.unknown({row.vehicle_id for row in rows}):
            found: dict[str, list[tuple[datetime, str | None]]] = {id_: [] for id_ in unknown}
            async for row in queries.assignments_of(connection, ids=unknown):
                found[row["vehicle_id"]].append((row["since"], row["meter_id"]))
            remembered.learn(found)
        return [
            row
            if row.meter_declared
            or (meter := remembered.meter_at(row.vehicle_id, row.time)) is None
            else row._replace(meter_id=meter)
            for row in rows
        ]

    async def _pair(
        self, connection: Connection, rows: Sequence[VehicleRow]
    ) -> list[tuple[str, str]]:
        """Note the pairs of meter and vehicle that are not known to be noted."""
        pairs = self._assignments.new_pairs(
            {(row.meter_id, row.vehicle_id) for row in rows if row.meter_id is not None}
        )
        if pairs:
            meter_ids, vehicle_ids = zip(*pairs, strict=True)
            await queries.pair(connection, meter_ids=meter_ids, vehicle_ids=vehicle_ids)
        return pairs
