"""History with every version of a reading: what corrections replaced, by whom, when and why."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import GenericAlias
from typing import Annotated, Any, Literal

from asyncpg import Record
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.http.shared.parameters import Page, Window, page
from fleetmeter.readings.kinds import KINDS, DeviceKind
from fleetmeter.readings.stored import attribute, reading_fields
from fleetmeter.readings.wire import READINGS, Struct, struct

Versions = Annotated[
    Literal["all"] | None,
    QueryParameter(
        required=False,
        description="`all`: with each reading, the versions that corrections replaced, and voided "
        "readings too; a page may be shorter than `limit` for it.",
    ),
]

_TRACE = (
    ("version", Annotated[int, Meta(description="1 is what the device sent.")]),
    ("replaced_at", Annotated[datetime, Meta(description="When the correction replaced it.")]),
    ("replaced_by", Annotated[str, Meta(description="Who corrected it.")]),
    ("reason", Annotated[str, Meta(description="Why it was corrected.")]),
)

_Voided = Annotated[
    bool, Meta(description="It was taken out by a correction; what it had is its last version.")
]

VERSIONS: dict[str, Struct] = {
    kind.name: struct(
        f"{kind.name.title()}Version",
        f"What a {kind.name}'s reading was until a correction.",
        _TRACE,
        module=__name__,
        base=READINGS[kind.name],
    )
    for kind in KINDS
}
"""VehicleVersion and so on, by the name of the kind."""

STORED: dict[str, Struct] = {
    kind.name: struct(
        f"Stored{kind.name.title()}Reading",
        f"A {kind.name}'s reading as it stands, and with `versions=all` what it was before.",
        [
            ("voided", _Voided | UnsetType, UNSET),
            ("versions", GenericAlias(list, VERSIONS[kind.name]) | UnsetType, UNSET),
        ],
        module=__name__,
        base=READINGS[kind.name],
    )
    for kind in KINDS
}
"""StoredVehicleReading and so on, by the name of the kind."""

MOST_VERSIONS = 1000
"""Of a page: it ends before the readings that would bring more."""


def readings_page(kind: DeviceKind, rows: Sequence[Record], limit: int) -> Page[Any]:
    """Return a page of the rows of a device's history."""
    return _page([STORED[kind.name](**reading_fields(kind, row)) for row in rows], limit)


async def versions_page(
    connection: Connection,
    kind: DeviceKind,
    device_id: str,
    rows: Sequence[Record],
    span: Window,
    limit: int,
) -> Page[Any]:
    """Return a page of the rows of a device's history with all versions, and voided readings."""
    key = {"kind": kind.name, "device_id": device_id}
    readings: list[Any] = [STORED[kind.name](**reading_fields(kind, row)) for row in rows]
    readings += [
        STORED[kind.name](
            **{attribute(kind.id_field): row["id"]}, timestamp=row["time"], voided=True
        )
        async for row in queries.voided_history(
            connection, **key, start=span.start, end=span.end, limit=limit + 1
        )
    ]
    readings = sorted(readings, key=_time)[: limit + 1]
    if not readings:
        return _page([], limit)
    replaced = [
        row
        async for row in queries.replaced_readings(
            connection,
            **key,
            start=readings[0].timestamp,
            end=readings[-1].timestamp,
            most=MOST_VERSIONS + 1,
        )
    ]
    versions: dict[datetime, list[Any]] = defaultdict(list)
    for row in replaced:
        values = dict(row)
        trace = {name: values[name] for name, _ in _TRACE}
        versions[row["time"]].append(VERSIONS[kind.name](**reading_fields(kind, row), **trace))
    if len(replaced) > MOST_VERSIONS:  # the last one's may not be all there
        last = max(versions)
        limit = min(limit, sum(reading.timestamp < last for reading in readings))
    for reading in readings:
        reading.versions = versions[reading.timestamp]
    return _page(readings, limit)


def _time(reading: Any) -> datetime:
    time: datetime = reading.timestamp
    return time


def _page(readings: Sequence[Any], limit: int) -> Page[Any]:
    return page(readings, limit, key=lambda item: item.timestamp + timedelta(microseconds=1))
