"""Reads the counts of rejected readings that `rejection_counter` stores, by device and code."""

from datetime import datetime

import msgspec

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.readings.kinds import KindName


class RejectionCount(msgspec.Struct, frozen=True):
    """The readings of one device that were rejected for one reason; '' for no id, or no kind."""

    id: str
    kind: KindName | None
    code: str
    count: int
    first_at: datetime
    last_at: datetime
    since: datetime
    detail: str
    path: str
    example: str


async def rejection_counts(
    connection: Connection,
    *,
    after: tuple[str, str, str],
    device_id: str | None,
    kind: KindName | None,
    code: str | None,
    most: int,
    reach: Reach,
) -> list[RejectionCount]:
    """Return the rejections that match everything given, sorted by id, kind and code.

    `after` is the id, kind and code of the last one already seen. Only what is within reach; and
    what may quote anything only to an unlimited reach: examples, and the details of messages that
    could not be read or named no device.
    """
    rows = queries.rejections(
        connection,
        after_id=after[0],
        after_kind=after[1],
        after_code=after[2],
        device_id=device_id,
        kind=kind,
        code=code,
        limit=most,
        **reach.parameters(),
    )
    found = [
        RejectionCount(*(values[name] for name in RejectionCount.__struct_fields__))
        async for values in (dict(row) async for row in rows)
    ]
    if reach.whole:
        return found
    return [
        msgspec.structs.replace(each, example="", detail=_without_quotes(each)) for each in found
    ]


def _without_quotes(rejection: RejectionCount) -> str:
    """Return the detail, unless it may quote a message that could not be read."""
    return rejection.detail if rejection.id and rejection.code != "malformed" else ""
