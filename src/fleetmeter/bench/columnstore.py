"""How small a day of readings becomes, and what late and resent readings cost once it is.

A day of a fleet (`fleetmeter.bench.day`) is copied into history minute by minute as a writer does,
once on exact minutes and once with jitter. Where the database has a columnstore, its own policy
converts the day; then 1 % of it comes again, and 1 % late, half a minute after others.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from fleetmeter.bench.day import MINUTES, Day, minutes
from fleetmeter.bench.history import History, empty_history
from fleetmeter.bench.options import ColumnstoreOptions, Progress
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.ingest.copy import meters_copy, vehicles_copy
from fleetmeter.readings.model import METER_COLUMNS, VEHICLE_COLUMNS
from fleetmeter.storage import Relation

CLOCKS = (("exact minutes", 0, 8.0), ("jitter of a second", 1000, 12.0))
"""Their name, by how many milliseconds a reading comes later at most, most bytes a reading."""

AGE = timedelta(days=10)
"""The policy converts what is older than a week."""

_SHARE = 100
"""Of so many readings one comes again, and one late."""

_LATE_BY_US = 30_000_000
_BATCH = 1000
"""Readings in a transaction, as a gateway would send them."""


class _Kind(NamedTuple):
    name: str
    table: str
    columns: tuple[str, ...]
    copy: Callable[..., bytes]
    store: Any


_KINDS = (
    _Kind(
        *("vehicles", "vehicle_readings", VEHICLE_COLUMNS, vehicles_copy),
        queries.store_vehicle_readings,
    ),
    _Kind(
        *("meters", "meter_readings", METER_COLUMNS, meters_copy),
        queries.store_meter_readings,
    ),
)


class Packed(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of the table of the columnstore: bytes and microseconds a reading."""

    scenario: str
    readings: int
    rows_bytes: float
    """Before, as rows: with indexes and what is stored beside them."""

    rows_resend_us: float
    rows_late_us: float
    columnstore_bytes: float | None = None
    limit_bytes: float | None = None
    resend_us: float | None = None
    late_us: float | None = None
    late_bytes: float | None = None
    """With the late readings beside it."""

    updated_bytes: float | None = None
    """When the policy has taken them in, and the database has cleaned up."""

    rewritten_bytes: float | None = None
    """Converted anew as a whole."""


_FIGURES = tuple(name for name in Packed.__struct_fields__ if name.endswith(("_bytes", "_us")))


async def measure(server_url: str, options: ColumnstoreOptions, progress: Progress) -> list[Packed]:
    """Every line, in the order of the table. Raises FleetMeterError when a reading is missing."""
    start = datetime.combine(datetime.now(UTC).date(), time(), UTC) - AGE
    lines = []
    for name, jitter_ms, limit in CLOCKS:
        day = Day(devices=options.devices, start=start, jitter_ms=jitter_ms)
        async with empty_history(server_url, options.devices, progress) as history:
            lines += await _Packing(history, name, progress).measure(day, limit)
    return lines


def medians(rounds: Sequence[Sequence[Packed]]) -> list[Packed]:
    """Each line's median over the rounds."""
    return [
        msgspec.structs.replace(
            same[0],
            **{
                name: median(getattr(line, name) for line in same)
                for name in _FIGURES
                if getattr(same[0], name) is not None
            },
        )
        for same in zip(*rounds, strict=True)
    ]


class _Packing:
    """One day on its way into the columnstore."""

    def __init__(self, history: History, name: str, progress: Progress) -> None:
        self._connection = history.connection
        self._name = name
        self._progress = progress
        self._some: dict[str, list[Any]] = {kind.table: [] for kind in _KINDS}
        self._figures: dict[str, dict[str, float]] = {kind.table: {} for kind in _KINDS}
        self._readings = history.devices * MINUTES

    async def measure(self, day: Day, limit: float) -> list[Packed]:
        """The lines of each kind, and of both together."""
        await queries.prepare_session(self._connection)
        await self._load(day)
        steps = 9
        name = f"columnstore: {self._name}"
        self._progress(name, 0, steps)
        await self._size("rows_bytes")
        await self._merge("rows_resend_us", 0, keep=False)
        await self._merge("rows_late_us", _LATE_BY_US, keep=False)
        self._progress(name, 3, steps)
        if (await self._relations())["vehicle_readings"].chunks is not None:
            await self._run_policies()
            await self._size("columnstore_bytes")
            await self._merge("resend_us", 0)
            self._progress(name, 5, steps)
            await self._merge("late_us", _LATE_BY_US)
            await self._size("late_bytes")
            await self._all_found()
            self._progress(name, 6, steps)
            await self._run_policies()
            await self._connection.execute("vacuum vehicle_readings, meter_readings")
            await self._size("updated_bytes")
            self._progress(name, 8, steps)
            for chunk in await self._connection.fetch(_CHUNKS):
                await self._connection.execute(_REWRITE, *chunk)
            await self._size("rewritten_bytes")
            await self._all_found()
        self._progress(name, steps, steps)
        return [*map(self._line, _KINDS), self._together(limit)]

    async def _load(self, day: Day) -> None:
        name, total = f"columnstore: a day, {self._name}", 2 * self._readings
        for number, minute in enumerate(minutes(day)):
            if number % 60 == 0:
                self._progress(name, 2 * day.devices * number, total)
            both: tuple[list[Any], list[Any]] = minute
            for kind, rows in zip(_KINDS, both, strict=True):
                await self._copy(kind, rows)
                self._some[kind.table] += rows[number % _SHARE :: _SHARE]
        self._progress(name, total, total)

    async def _copy(self, kind: _Kind, rows: Sequence[Any], part: int | None = None) -> None:
        parts = None if part is None else [part] * len(rows)

        async def whole() -> AsyncIterator[bytes]:
            yield kind.copy(rows, parts)

        table, columns = kind.table, kind.columns
        if parts is not None:
            table, columns = f"incoming_{table}", ("part", *columns)
        await self._connection.copy_to_table(
            table, columns=columns, source=whole(), format="binary"
        )

    async def _merge(self, figure: str, later_us: int, *, keep: bool = True) -> None:
        """Send some readings through the path of late and resent ones; those that stay, twice."""
        for kind in _KINDS:
            rows = [(row[0], row[1] + later_us, *row[2:]) for row in self._some[kind.table]]
            stored, seconds = await self._stored(kind, rows, keep)
            again = (await self._stored(kind, rows, keep))[0] if keep else 0
            if stored != (len(rows) if later_us else 0) or again:
                raise FleetMeterError(
                    f"{self._name}: of {len(rows):,} {kind.name} {stored:,} were stored as new, "
                    f"and {again:,} when they came again"
                )
            self._figures[kind.table][figure] = seconds * 1_000_000 / len(rows)

    async def _stored(self, kind: _Kind, rows: Sequence[Any], keep: bool) -> tuple[int, float]:
        """How many readings were new, and the seconds that took, without the commit."""
        stored, seconds = 0, 0.0
        for at in range(0, len(rows), _BATCH):
            batch = sorted(rows[at : at + _BATCH])
            transaction = self._connection.transaction()
            await transaction.start()
            started = perf_counter()
            await self._copy(kind, batch, 0)
            stored += sum([row["readings"] or 0 async for row in kind.store(self._connection)])
            seconds += perf_counter() - started
            await (transaction.commit() if keep else transaction.rollback())
        return stored, seconds

    async def _run_policies(self) -> None:
        for (job,) in await self._connection.fetch(_POLICIES):
            await self._connection.execute(f"call run_job({job})")
        for kind in _KINDS:
            relation = (await self._relations())[kind.table]
            if relation.chunks != relation.columnstore_chunks:
                raise FleetMeterError(f"the columnstore policy left a chunk of {kind.name}")

    async def _relations(self) -> dict[str, Relation]:
        rows = queries.stored_relations(self._connection)
        return {row["relation"]: Relation(**row) async for row in rows}

    async def _size(self, figure: str) -> None:
        relations = await self._relations()
        for kind in _KINDS:
            late = len(self._some[kind.table]) if "late_us" in self._figures[kind.table] else 0
            size = relations[kind.table].bytes / (self._readings + late)
            self._figures[kind.table][figure] = size

    async def _all_found(self) -> None:
        for kind in _KINDS:
            late = len(self._some[kind.table])
            (found,) = await self._connection.fetch(_FOUND.format(kind.table))
            if tuple(found) != (self._readings + late, late):
                raise FleetMeterError(f"{self._name}: {kind.name} are missing or there twice")

    def _line(self, kind: _Kind) -> Packed:
        return Packed(
            scenario=f"{self._name}, {kind.name}",
            readings=self._readings,
            **self._figures[kind.table],
        )

    def _together(self, limit: float) -> Packed:
        """Both kinds have as many readings."""
        first, second = (self._figures[kind.table] for kind in _KINDS)
        figures = {name: (first[name] + second[name]) / 2 for name in first}
        if "columnstore_bytes" in figures:
            figures["limit_bytes"] = limit
        return Packed(scenario=self._name, readings=2 * self._readings, **figures)


_POLICIES = """
select job_id
from timescaledb_information.jobs
where hypertable_name in ('vehicle_readings', 'meter_readings')
    and proc_name like 'policy\\_%'
    and proc_name not like '%retention%'
"""

_CHUNKS = """
select format('%I.%I', chunk_schema, chunk_name)
from timescaledb_information.chunks
where hypertable_name in ('vehicle_readings', 'meter_readings')
"""

_REWRITE = "call convert_to_columnstore($1::text::regclass, recompress => true)"

_FOUND = """
select count(*), count(*) filter (where extract(second from time) >= 30)
from {}
"""
