"""Columns as the driver takes them: as the bytes of a COPY, or as lists for a statement."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from fleetmeter.database.pool import Connection
from fleetmeter.intake.column_types import TYPES
from fleetmeter.intake.copy_format import packed
from fleetmeter.intake.rows import NULL, Column
from fleetmeter.intake.writer_cache import NEVER
from fleetmeter.readings.model import time_of


async def copy_into(connection: Connection, table: str, columns: dict[str, Column]) -> None:
    """COPY columns into a table; leave out those without any value, or true."""
    columns = {name: column for name, column in columns.items() if _has_values(column, TYPES[name])}

    async def whole() -> AsyncIterator[bytes]:  # as the driver wants it: piece by piece, all in one
        yield packed(columns, TYPES)

    await connection.copy_to_table(table, columns=list(columns), source=whole(), format="binary")


def values_of(column: Column, type_: str) -> list[Any]:
    """Return a column as the driver takes it; without any value, or true, empty."""
    if not _has_values(column, type_):
        return []
    null = column == NULL
    result: list[Any] = column.tolist()
    if type_ == "timestamptz":
        result = [time_of(value) for value in result]
    elif type_ == "boolean":
        result = [value == 1 for value in result]
    if null.any():
        result = [None if absent else value for value, absent in zip(result, null, strict=True)]
    return result


def times_of(times: Column) -> list[datetime | None]:
    """Return times as the driver takes them; None for NEVER."""
    return [None if time == NEVER else time_of(time) for time in times.tolist()]


def _has_values(column: Column, type_: str) -> bool:
    """Return whether a column has any value that is not what the table has without it."""
    return bool(column.any() if type_ == "boolean" else (column != NULL).any())
