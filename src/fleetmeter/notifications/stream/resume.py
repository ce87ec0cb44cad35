"""Finds where a stream starts: now, or after the last event that its client has seen."""

from collections.abc import AsyncGenerator

import msgspec

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.notifications.events import events_after
from fleetmeter.notifications.stream.messages import event_messages

BACKLOG = 1000
"""Maximum number of events that are sent again, the newest ones."""

_PAGE = 100


class Beginning(msgspec.Struct, frozen=True):
    """The stream starts with past events (`after` < id ≤ `until`), then continues live."""

    after: int
    until: int
    missed: int = 0
    """Number of earlier events of all devices left out; counted up to 100,000."""


async def beginning(database: Database, last_event_id: int | None) -> Beginning:
    """Return where a stream starts for a client that has seen an event, or none."""
    async with database.answering() as connection:
        newest: int = await queries.newest_event(connection)
        if last_event_id is None or last_event_id >= newest:  # or is of another database
            return Beginning(newest, newest)
        missed = await queries.missed_events(
            connection, after=last_event_id, until=newest, most=BACKLOG
        )
    if missed is None:
        return Beginning(last_event_id, newest)
    return Beginning(missed["goes_on_after"], newest, missed["missed"])


async def replay(
    database: Database, begins: Beginning, reach: Reach
) -> AsyncGenerator[bytes, None]:
    """Yield the messages of past events within reach, a page at a time."""
    after = begins.after
    while after < begins.until:
        async with database.answering() as connection:
            events = await events_after(connection, after, _PAGE, begins.until)
            messages = await event_messages(connection, events, [reach])
        if not events:  # removed meanwhile
            return
        yield b"".join(text for message in messages if (text := message(reach)))
        after = events[-1].id
