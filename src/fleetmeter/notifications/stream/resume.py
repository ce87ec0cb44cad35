"""Where a stream begins: from now on, or after the last event that its client has seen."""

from collections.abc import AsyncGenerator

import msgspec

from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.notifications.events import events_after
from fleetmeter.notifications.stream.hub import event_message

BACKLOG = 1000
"""Events that are told anew, at most: the newest."""

_PAGE = 100


class Beginning(msgspec.Struct, frozen=True):
    """Events after one, up to the newest, come first; then what happens."""

    after: int
    until: int
    missed: int = 0
    """How many before that are left out; counted to 100,000."""


async def beginning(database: Database, last_event_id: int | None) -> Beginning:
    """Where a stream begins whose client has seen `last_event_id`; from now on without one."""
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


async def replay(database: Database, begins: Beginning) -> AsyncGenerator[bytes, None]:
    """The messages of the events that come first, a page at a time."""
    after = begins.after
    while after < begins.until:
        async with database.answering() as connection:
            events = await events_after(connection, after, _PAGE, begins.until)
        if not events:  # removed meanwhile
            return
        yield b"".join(map(event_message, events))
        after = events[-1].id
