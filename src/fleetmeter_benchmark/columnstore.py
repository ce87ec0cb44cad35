"""Measures how small a day of readings becomes, and what late and resent readings then cost.

A day of a fleet (`fleetmeter_benchmark.realistic_day`) is copied into history minute by minute, as
a writer does, once on exact minutes and once with jitter. Where the database has a columnstore, its
own policy converts the day; then 1 % is sent again, and 1 % arrives late, half a minute after
others.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from operator import itemgetter
from statistics import median
from time import perf_counter

import msgspec

from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.operations.storage import Relation
from fleetmeter.readings.model import time_of
from fleetmeter_benchmark.history import History, empty_history
from fleetmeter_benchmark.options import ColumnstoreOptions, Progress
from fleetmeter_benchmark.realistic_day import MINUTES, Day, Minute, minutes

CLOCKS = (("exact minutes", 0, 8.0), ("jitter of a second", 1000, 12.0))
"""Name, largest delay of a reading in milliseconds, and target in bytes a reading."""

AGE = timedelta(days=10)
"""Age of the day: the policy converts what is older than a week."""

_SHARE = 100
"""One in so many readings is sent again, and one arrives late."""

_LATE_BY_US = 30_000_000
_BATCH = 1000
"""Readings in a transaction, as a gateway would send them."""


_COLUMNS = (
    *("device", "meter", "time", "energy_mwh"),
    *("soc_bp", "battery_temp_cdeg", "voltage_mv"),
)

_Row = tuple[int, int | None, datetime, int, int | None, int | None, int | None]
"""A reading of either kind, by _COLUMNS."""


class Packed(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Holds one line of the table of the columnstore: bytes and microseconds a reading."""

    scenario: str
    readings: int
    rows_bytes: float
    """Size as rows, before conversion, with indexes and what is stored beside them."""

    rows_resend_us: float
    rows_late_us: float
    columnstore_bytes: float | None = None
    limit_bytes: float | None = None
    resend_us: float | None = None
    late_us: float | None = None
    late_bytes: float | None = None
    """Size with the late readings beside it."""

    updated_bytes: float | None = None
    """Size once the policy has packed them, and the database has cleaned up."""

    rewritten_bytes: float | None = None
    """Size after the whole day was converted again."""


_FIGURES = tuple(name for name in Packed.__struct_fields__ if name.endswith(("_bytes", "_us")))


async def measure(server_url: str, options: ColumnstoreOptions, progress: Progress) -> list[Packed]:
    """Measure every line, in the order of the table. Raises FleetMeterError if a reading is
    missing.
    """
    start = datetime.combine(datetime.now(UTC).date(), time(), UTC) - AGE
    lines = []
    for name, jitter_ms, limit in CLOCKS:
        day = Day(devices=options.devices, start=start, jitter_ms=jitter_ms)
        async with empty_history(server_url, options.devices, progress) as history:
            lines.append(await _Packing(history, name, progress).measure(day, limit))
    return lines


def medians(rounds: Sequence[Sequence[Packed]]) -> list[Packed]:
    """Return the median of each line over the rounds."""
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
    """Takes one day into the columnstore."""

    def __init__(self, history: History, name: str, progress: Progress) -> None:
        self._connection = history.connection
        self._name = name
        self._progress = progress
        self._numbers: dict[str, int] = {}
        self._some: list[_Row] = []
        self._figures: dict[str, float] = {}
        self._readings = 2 * history.devices * MINUTES

    async def measure(self, day: Day, limit: float) -> Packed:
        """Measure its line."""
        await queries.prepare_session(self._connection)
        await self._load(day)
        steps = 9
        name = f"columnstore: {self._name}"
        self._progress(name, 0, steps)
        await self._size("rows_bytes")
        await self._merge("rows_resend_us", 0, keep=False)
        await self._merge("rows_late_us", _LATE_BY_US, keep=False)
        self._progress(name, 3, steps)
        if (await self._history()).chunks is not None:
            await self._run_policies()
            await self._size("columnstore_bytes")
            await self._merge("resend_us", 0)
            self._progress(name, 5, steps)
            await self._merge("late_us", _LATE_BY_US)
            await self._size("late_bytes")
            await self._all_found()
            self._progress(name, 6, steps)
            await self._run_policies()
            await self._connection.execute("vacuum readings")
            await self._size("updated_bytes")
            self._progress(name, 8, steps)
            for chunk in await self._connection.fetch(_CHUNKS):
                await self._connection.execute(_REWRITE, *chunk)
            await self._size("rewritten_bytes")
            await self._all_found()
        self._progress(name, steps, steps)
        return Packed(
            scenario=self._name,
            readings=self._readings,
            limit_bytes=limit if "columnstore_bytes" in self._figures else None,
            **self._figures,
        )

    async def _load(self, day: Day) -> None:
        name = f"columnstore: a day, {self._name}"
        for number, minute in enumerate(minutes(day)):
            if number == 0:
                await self._number(minute)
            if number % 60 == 0:
                self._progress(name, 2 * day.devices * number, self._readings)
            rows = self._rows(minute)
            await self._connection.copy_records_to_table("readings", columns=_COLUMNS, records=rows)
            self._some += rows[number % _SHARE :: _SHARE]
        self._progress(name, self._readings, self._readings)

    async def _number(self, minute: Minute) -> None:
        """Look up the numbers of all devices."""
        ids = [("vehicle", row[0]) for row in minute.vehicles]
        ids += [("meter", row[0]) for row in minute.meters]
        rows = queries.number_devices(
            self._connection, kinds=[kind for kind, _ in ids], ids=[id_ for _, id_ in ids]
        )
        self._numbers = {row["id"]: row["device"] async for row in rows}

    def _rows(self, minute: Minute) -> list[_Row]:
        """Return the rows that arrive at once, in the order of history's key."""
        numbers = self._numbers
        rows: list[_Row] = [
            (numbers[vehicle_id], numbers[meter_id], time_of(at), energy_mwh, soc_bp, cdeg, None)
            for vehicle_id, at, energy_mwh, soc_bp, cdeg, meter_id in minute.vehicles
        ]
        rows += [
            (numbers[meter_id], None, time_of(at), energy_mwh, None, None, voltage_mv)
            for meter_id, at, energy_mwh, voltage_mv in minute.meters
        ]
        return sorted(rows, key=itemgetter(0))

    async def _merge(self, figure: str, later_us: int, *, keep: bool = True) -> None:
        """Send some readings through the path of late and resent ones; those that stay, twice."""
        later = timedelta(microseconds=later_us)
        rows: list[_Row] = [(*row[:2], row[2] + later, *row[3:]) for row in self._some]
        stored, seconds = await self._stored(rows, keep)
        again = (await self._stored(rows, keep))[0] if keep else 0
        if stored != (len(rows) if later_us else 0) or again:
            raise FleetMeterError(
                f"{self._name}: of {len(rows):,} readings {stored:,} were stored as new, "
                f"and {again:,} when they came again"
            )
        self._figures[figure] = seconds * 1_000_000 / len(rows)

    async def _stored(self, rows: Sequence[_Row], keep: bool) -> tuple[int, float]:
        """Return how many readings were new, and the seconds that took, without the commit."""
        stored, seconds = 0, 0.0
        for at in range(0, len(rows), _BATCH):
            batch = sorted(rows[at : at + _BATCH], key=itemgetter(0, 2))
            transaction = self._connection.transaction()
            await transaction.start()
            started = perf_counter()
            await self._connection.copy_records_to_table(
                "incoming",
                columns=("item", "meter_declared", "reset", "spread", *_COLUMNS),
                records=[(item, False, False, False, *row) for item, row in enumerate(batch)],
            )
            stored += len((await queries.store_readings(self._connection))["stored"] or ())
            seconds += perf_counter() - started
            await (transaction.commit() if keep else transaction.rollback())
        return stored, seconds

    async def _run_policies(self) -> None:
        for (job,) in await self._connection.fetch(_POLICIES):
            await self._connection.execute(f"call run_job({job})")
        history = await self._history()
        if history.chunks != history.columnstore_chunks:
            raise FleetMeterError("the columnstore policy left a chunk")

    async def _history(self) -> Relation:
        rows = queries.stored_relations(self._connection)
        readings = (row async for row in rows if row["relation"] == "readings")
        return Relation(**dict(await anext(readings)))

    async def _size(self, figure: str) -> None:
        late = len(self._some) if "late_us" in self._figures else 0
        self._figures[figure] = (await self._history()).bytes / (self._readings + late)

    async def _all_found(self) -> None:
        late = len(self._some)
        (found,) = await self._connection.fetch(_FOUND)
        if tuple(found) != (self._readings + late, late):
            raise FleetMeterError(f"{self._name}: readings are missing or there twice")


_POLICIES = """
select job_id
from timescaledb_information.jobs
where hypertable_name = 'readings'
    and proc_name like 'policy\\_%'
    and proc_name not like '%retention%'
"""

_CHUNKS = """
select format('%I.%I', chunk_schema, chunk_name)
from timescaledb_information.chunks
where hypertable_name = 'readings'
"""

_REWRITE = "call convert_to_columnstore($1::text::regclass, recompress => true)"

_FOUND = """
select count(*), count(*) filter (where extract(second from time) >= 30)
from readings
"""
