"""Reads and shows storage figures: what is stored, its size, and the database's last jobs."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from rich.console import Console
from rich.table import Table

from fleetmeter.database.pool import connected
from fleetmeter.database.sql import queries
from fleetmeter.operations.amounts import duration, size
from fleetmeter.terminal import printable

_PIPED_WIDTH = 200
_MANY = 1000
"""Number of rows from which the size of a row is meaningful."""


class Relation(msgspec.Struct, rename="camel", kw_only=True):
    """A table or rollup; the figures of chunks are null where it has none."""

    relation: str
    about_rows: int
    bytes: int
    """On disk, with indexes."""

    chunks: int | None
    columnstore_chunks: int | None
    columnstore_rows: int | None
    """Rows of those chunks when they were converted."""

    columnstore_bytes_before: int | None
    """Size of those chunks before they were converted."""

    columnstore_bytes: int | None
    oldest: datetime | None
    """Start of the first chunk."""

    newest: datetime | None
    """Start of the last chunk."""

    columnstore_bytes_per_row: float | None = None
    bytes_per_row: float | None = None
    """Bytes per row outside the columnstore."""

    def __post_init__(self) -> None:
        packed_rows, packed_bytes = self.columnstore_rows or 0, self.columnstore_bytes or 0
        self.columnstore_bytes_per_row = _quotient(packed_bytes, packed_rows)
        self.bytes_per_row = _quotient(self.bytes - packed_bytes, self.about_rows - packed_rows)


class Job(msgspec.Struct, rename="camel", kw_only=True):
    """A job on stored data and its last run; null when it never ran or is unknown."""

    job: str
    relation: str
    every: timedelta | None
    last_run: datetime | None
    outcome: str | None
    """succeeded, failed or running."""

    error: str | None
    """The newest error, when it failed."""

    took: timedelta | None
    next_run: datetime | None
    readings: int | None
    """Readings that retention moved into kept quarter hours, where the service does it."""


class Storage(msgspec.Struct, rename="camel", kw_only=True):
    """Everything that is stored, in the order of display."""

    relations: list[Relation]
    database_bytes: int
    """Size of the database with its catalogue: more than the relations together."""

    jobs: list[Job]


async def read_storage(url: str) -> Storage:
    """Read the figures from the database. Raises FleetMeterError."""
    async with connected(url) as connection:
        return Storage(
            relations=[Relation(**dict(row)) async for row in queries.stored_relations(connection)],
            database_bytes=await queries.database_bytes(connection),
            jobs=[Job(**dict(row)) async for row in queries.storage_jobs(connection)],
        )


def show(storage: Storage) -> None:
    """Print tables, or plain columns when standard output is not a terminal."""
    _print(_relations(storage))
    if chunked := [each for each in storage.relations if each.columnstore_chunks]:
        _print(_columnstore(chunked))
    _print(_jobs(storage.jobs))


def _relations(storage: Storage) -> Table:
    table = _table(
        "stored", "rows", "size", "bytes a row", "chunks", "oldest chunk", "newest chunk"
    )
    for each in storage.relations:
        table.add_row(
            each.relation,
            f"≈ {each.about_rows:,}",
            size(each.bytes),
            _decimal(_quotient(each.bytes, each.about_rows) if each.about_rows >= _MANY else None),
            "" if each.chunks is None else f"{each.chunks:,}",
            _date(each.oldest),
            _date(each.newest),
        )
    table.add_section()
    table.add_row("database", "", size(storage.database_bytes))
    table.caption = "Rows are estimates. The database's own catalogue is in its size alone."
    return table


def _columnstore(relations: Sequence[Relation]) -> Table:
    table = _table(
        *("columnstore", "chunks", "of", "rows", "before", "now", "share"),
        *("bytes a row", "bytes a row outside"),
    )
    for each in relations:
        before, now = each.columnstore_bytes_before or 0, each.columnstore_bytes or 0
        table.add_row(
            each.relation,
            f"{each.columnstore_chunks:,}",
            f"{each.chunks:,}",
            f"≈ {each.columnstore_rows:,}",
            size(before),
            size(now),
            f"{now / before:.1%}" if before else "",
            _decimal(each.columnstore_bytes_per_row),
            _decimal(each.bytes_per_row),
        )
    return table


def _jobs(jobs: Sequence[Job]) -> Table:
    table = _table("job", "of", "every", "last run", "took", "next run", "outcome")
    for column in table.columns[1:]:
        column.justify = "left"
    for job in jobs:
        ended = job.outcome or "never ran"
        if job.readings is not None:
            ended += f", {job.readings:,} readings moved into kept quarter hours"
        table.add_row(
            job.job,
            job.relation,
            "" if job.every is None else duration(job.every),
            _time(job.last_run),
            "" if job.took is None else duration(job.took),
            _time(job.next_run),
            printable(f"{ended}: {job.error}" if job.error else ended),
        )
    table.caption = "Times are UTC."
    return table


def _table(first: str, *headings: str) -> Table:
    table = Table(first, caption_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _print(table: Table) -> None:
    terminal = sys.stdout.isatty()
    if not terminal:
        table.box = None
        table.pad_edge = False
    console = Console(
        width=None if terminal else _PIPED_WIDTH, highlight=False, markup=False, emoji=False
    )
    console.print(table)
    console.print()


def _quotient(bytes_: int, rows: int) -> float | None:
    return bytes_ / rows if rows > 0 else None


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def _date(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d}"


def _time(time: datetime | None) -> str:
    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"
