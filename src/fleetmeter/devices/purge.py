"""Forgetting a device: everything that is stored of it goes, and the rollups follow."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import asyncpg

from fleetmeter.database.pool import retried, translated
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.kinds import KINDS, KindName

if TYPE_CHECKING:
    AnyConnection = asyncpg.Connection[asyncpg.Record]

T = TypeVar("T")

Kind = KindName

_PASSES = 2
"""What comes in while a device is purged is purged too, once."""


class Stored(NamedTuple):
    """Rows of a relation, and what is forgotten in them where they are others' (else: all)."""

    relation: str
    change: str | None
    rows: int


async def kind_of(url: str, device_id: str) -> Kind | None:
    """What has that id, or None.

    Raises FleetMeterError when devices of several kinds have it.
    """

    async def ask(connection: "AnyConnection") -> list[Kind]:
        rows = queries.kinds_of_device(
            connection, kinds=[kind.name for kind in KINDS], device_id=device_id
        )
        found = {row["kind"] async for row in rows}
        return [kind.name for kind in KINDS if kind.name in found]

    kinds = await _with_connection(url, ask)
    if len(kinds) > 1:
        names = " and ".join(f"a {kind} {device_id}" for kind in kinds)
        raise FleetMeterError(f"there is {names}; say which with --kind")
    return kinds[0] if kinds else None


async def count(url: str, kind: Kind, device_id: str) -> list[Stored]:
    """What is stored of a device."""
    return await _with_connection(url, lambda connection: _purge(connection, kind, device_id, True))


async def purge(url: str, kind: Kind, device_id: str) -> list[Stored]:
    """Remove all that is stored of a device; what has come in of it meanwhile.

    Readings, rollups and settings go all or none; run it again when it is interrupted.
    """

    async def run(connection: "AnyConnection") -> list[Stored]:
        left: list[Stored] = []
        for _ in range(_PASSES):
            await retried(
                lambda: queries.purge_assignments(connection, kind=kind, device_id=device_id)
            )
            await retried(lambda: _purge(connection, kind, device_id, False))
            await retried(lambda: queries.forget_device(connection, kind=kind, device_id=device_id))
            left = await _purge(connection, kind, device_id, True)
            if not left:
                break
        return left

    return await _with_connection(url, run)


async def _purge(
    connection: "AnyConnection", kind: Kind, device_id: str, count_only: bool
) -> list[Stored]:
    async with translated(), connection.transaction():
        return [
            Stored(row["relation"], row["change"], row["stored"])
            async for row in queries.purge_device(
                connection, kind=kind, device_id=device_id, count_only=count_only
            )
        ]


async def _with_connection(url: str, run: Callable[["AnyConnection"], Awaitable[T]]) -> T:
    async with translated():
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await run(connection)
        finally:
            await connection.close()
