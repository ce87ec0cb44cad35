"""Purging a device: removes everything stored about it; rollups follow."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fleetmeter.access.audit import record
from fleetmeter.database.pool import Connection, connected, retried, translated
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.kinds import KINDS, KindName

_PASSES = 2
"""Readings that arrive during a purge are purged too, once."""


class Stored(NamedTuple):
    """Rows of a relation; `change` says what is cleared in rows of other devices, None: removed."""

    relation: str
    change: str | None
    rows: int


async def kind_of(url: str, device_id: str) -> KindName | None:
    """Return the kind of the device with an id, or None.

    Raises FleetMeterError when devices of several kinds have it.
    """

    async with connected(url) as connection:
        rows = queries.kinds_of_device(
            connection, kinds=[kind.name for kind in KINDS], device_id=device_id
        )
        found = {row["kind"] async for row in rows}
    kinds = [kind.name for kind in KINDS if kind.name in found]
    if len(kinds) > 1:
        names = " and ".join(f"a {kind} {device_id}" for kind in kinds)
        raise FleetMeterError(f"there is {names}; say which with --kind")
    return kinds[0] if kinds else None


async def count(url: str, kind: KindName, device_id: str) -> list[Stored]:
    """Count what is stored about a device."""
    async with connected(url) as connection:
        return await _purge(connection, kind, device_id, True)


async def purge(url: str, kind: KindName, device_id: str) -> list[Stored]:
    """Remove everything stored about a device; return what has arrived meanwhile.

    Readings, rollups and settings go all or none; run it again after an interruption.
    """

    async with connected(url) as connection:

        async def run(query: Callable[..., Awaitable[object]]) -> None:
            async with translated():
                await query(connection, kind=kind, device_id=device_id)

        left: list[Stored] = []
        for _ in range(_PASSES):
            await retried(lambda: run(queries.purge_assignments))
            await retried(lambda: _purge(connection, kind, device_id, False))
            await retried(lambda: run(queries.forget_device))
            left = await _purge(connection, kind, device_id, True)
            if not left:
                break
        return left


async def _purge(
    connection: Connection, kind: KindName, device_id: str, count_only: bool
) -> list[Stored]:
    async with translated(), connection.transaction():
        stored = [
            Stored(row["relation"], row["change"], row["stored"])
            async for row in queries.purge_device(
                connection, kind=kind, device_id=device_id, count_only=count_only
            )
        ]
        if stored and not count_only:
            rows = {each.relation: each.rows for each in stored}
            await record(connection, "purge", f"{kind} {device_id}", before=rows)
        return stored
