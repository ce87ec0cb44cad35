"""The audit log: who changed what, from where, and what was before.

Whoever changes something records it in the same transaction, so there is no change without its
record.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from fleetmeter.access.actor import acting
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log."""

    id: int
    at: datetime
    who: str
    address: str | None
    request_id: str | None
    action: str
    object: str
    before: Any
    after: Any


async def record(
    connection: Connection,
    action: str,
    object_: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Record what the actor of this task does to an object, in the transaction of the change.

    `before` and `after` are what differs.
    """
    actor = acting()
    await queries.record_audit(
        connection,
        who=actor.name,
        address=actor.address,
        request_id=actor.request_id,
        action=action,
        object=object_,
        before=_json(before),
        after=_json(after),
    )


async def entries(
    connection: Connection,
    *,
    below: int | None = None,
    who: str | None = None,
    action: str | None = None,
    object_: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    most: int,
) -> list[Entry]:
    """Return the entries that match everything given, newest first, with ids below `below`."""
    rows = queries.audit_page(
        connection,
        before=below,
        who=who,
        action=action,
        object=object_,
        start=start,
        end=end,
        limit=most,
    )
    return [
        Entry(**dict(row) | {"before": _read(row["before"]), "after": _read(row["after"])})
        async for row in rows
    ]


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _read(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
