"""Events of anomalies, as the stream and webhooks send them."""

from datetime import datetime

import msgspec
from asyncpg import Record

from fleetmeter.anomalies.model import Event
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries


class AnomalyEvent(msgspec.Struct, kw_only=True):
    """An event in the life of an anomaly."""

    event: Event
    at: datetime
    who: str | None
    """None for a rule."""

    note: str | None
    anomaly: msgspec.Raw
    """The anomaly as it was then, in JSON, as GET /v1/anomalies/{id} shows it."""


class Numbered(msgspec.Struct):
    """An event with its id, which orders all events, and its anomaly's kind."""

    id: int
    kind: str
    event: AnomalyEvent


async def events_after(
    connection: Connection, after: int, limit: int, until: int = 2**63 - 1
) -> list[Numbered]:
    """Return the next events after an id, at most `limit`."""
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
