"""What happened to anomalies, as listeners of the stream and webhooks are told."""

from datetime import datetime

import msgspec
from asyncpg import Record

from fleetmeter.anomalies.model import Event
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries


class AnomalyEvent(msgspec.Struct, kw_only=True):
    """Something that happened to an anomaly."""

    event: Event
    at: datetime
    who: str | None
    """Null: a rule."""

    note: str | None
    anomaly: msgspec.Raw
    """As it stood then, in JSON, as GET /v1/anomalies/{id} shows it."""


class Numbered(msgspec.Struct):
    """An event with its place in the order of all; its kind is the anomaly's."""

    id: int
    kind: str
    event: AnomalyEvent


async def events_after(
    connection: Connection, after: int, limit: int, until: int = 2**63 - 1
) -> list[Numbered]:
    """The next events after an id, `limit` at most."""
    rows = queries.events_after(connection, after=after, until=until, limit=limit)
    return [_numbered(row) async for row in rows]


def _numbered(row: Record) -> Numbered:
    event = AnomalyEvent(
        event=row["event"],
        at=row["at"],
        who=row["who"],
        note=row["note"],
        anomaly=msgspec.Raw(row["anomaly"].encode()),
    )
    return Numbered(row["id"], row["kind"], event)
