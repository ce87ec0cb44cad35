"""History of a device: its readings, and the versions that corrections replaced."""

from collections import defaultdict
from datetime import datetime
from typing import Any, NamedTuple

from asyncpg import Record

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.devices.reach import require_within
from fleetmeter.devices.state import require_device
from fleetmeter.readings.kinds import DeviceKind
from fleetmeter.readings.stored import attribute, reading_fields

MOST_VERSIONS = 1000
"""Versions on one page: it ends before the readings that would exceed them."""


class Version(NamedTuple):
    """A reading before a correction, and who replaced it, when and why."""

    fields: dict[str, Any]
    version: int
    replaced_at: datetime
    replaced_by: str
    reason: str


class Stored(NamedTuple):
    """A reading as answers show it, by the attributes of its fields."""

    time: datetime
    fields: dict[str, Any]
    voided: bool = False
    versions: tuple[Version, ...] = ()


async def history(
    connection: Connection,
    kind: DeviceKind,
    device_id: str,
    start: datetime,
    end: datetime,
    most: int,
    reach: Reach,
) -> list[Stored]:
    """Return a device's first readings of start ≤ t < end. Raises UnknownDeviceError."""
    await require_within(connection, kind.name, device_id, reach)
    rows = [
        row
        async for row in queries.device_history(
            connection,
            kind=kind.name,
            device_id=device_id,
            start=start,
            end=end,
            limit=most,
            **reach.parameters(),
        )
    ]
    if not rows:
        await require_device(connection, kind.name, device_id)
    return [Stored(row["time"], reading_fields(kind, row)) for row in rows]


async def history_with_versions(
    connection: Connection,
    kind: DeviceKind,
    device_id: str,
    start: datetime,
    end: datetime,
    limit: int,
    reach: Reach,
) -> tuple[list[Stored], int]:
    """Return the same with all versions, and with voided readings among them.

    Returns one more reading than `limit` if there is one, and how many have all their versions.
    Raises UnknownDeviceError.
    """
    key = {"kind": kind.name, "device_id": device_id}
    readings = await history(connection, kind, device_id, start, end, limit + 1, reach)
    readings += [
        Stored(row["time"], {attribute(kind.id_field): row["id"], "timestamp": row["time"]}, True)
        async for row in queries.voided_history(
            connection, **key, start=start, end=end, limit=limit + 1
        )
    ]
    readings = sorted(readings, key=lambda reading: reading.time)[: limit + 1]
    if not readings:
        return [], limit
    replaced = [
        row
        async for row in queries.replaced_readings(
            connection,
            **key,
            start=readings[0].time,
            end=readings[-1].time,
            most=MOST_VERSIONS + 1,
            **reach.parameters(),
        )
    ]
    versions: dict[datetime, list[Version]] = defaultdict(list)
    for row in replaced:
        versions[row["time"]].append(_version(kind, row))
    if len(replaced) > MOST_VERSIONS:  # the last one's may not be all there
        last = max(versions)
        limit = min(limit, sum(reading.time < last for reading in readings))
    return [each._replace(versions=tuple(versions[each.time])) for each in readings], limit


def _version(kind: DeviceKind, row: Record) -> Version:
    return Version(
        reading_fields(kind, row),
        row["version"],
        row["replaced_at"],
        row["replaced_by"],
        row["reason"],
    )
