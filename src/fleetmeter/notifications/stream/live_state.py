"""A sample of changed live states: a fixed number per second, and every device gets its turn.

A cursor goes through all vehicles and then all meters, sorted by id, and picks those that reported
since the previous lap.
"""

from datetime import datetime, timedelta
from time import monotonic

from fleetmeter.access.reach import EVERYTHING
from fleetmeter.database.pool import Connection, Database
from fleetmeter.database.sql import queries
from fleetmeter.notifications.stream.messages import Message, state_message
from fleetmeter.readings.kinds import KINDS

_SCANNED = 5000
"""Maximum number of rows that a round reads."""

_MARGIN = timedelta(seconds=15)
"""Maximum delay between a batch's time of arrival and its commit."""

_REMEMBERED = 10_000
"""Maximum number of states remembered per lap; in a longer lap all have changed again anyway."""

_Shown = dict[tuple[str, str], datetime]


class Sampler:
    """Goes through the devices, one round per call."""

    def __init__(self, database: Database, most: int) -> None:
        """Return at most `most` states per round."""
        self._database = database
        self._most = most
        self.begin()

    def begin(self) -> None:
        """Start again, with what changes from now on."""
        self._kind = 0
        self._after = ""
        self._lap: tuple[datetime, datetime] | None = None
        self._shown: _Shown = {}
        self._shown_before: _Shown = {}

    async def round(self) -> tuple[list[Message], float]:
        """Return the next states as messages, and the seconds that the database took."""
        messages: list[Message] = []
        left = _SCANNED
        started = monotonic()
        async with self._database.connection() as connection:
            since = await self._since(connection)
            while left > 0 and len(messages) < self._most:
                looked_at, whole = await self._look(connection, since, left, messages)
                left -= looked_at
                if whole:
                    self._kind = (self._kind + 1) % len(KINDS)
                    self._after = ""
                    if self._kind == 0:
                        await self._end_lap(connection)
                        break
        return messages, monotonic() - started

    async def _look(
        self, connection: Connection, since: datetime, scan: int, messages: list[Message]
    ) -> tuple[int, bool]:
        """Read devices after the cursor; return how many, and whether they were the last."""
        kind = KINDS[self._kind]
        ahead = await queries.devices_ahead(
            connection, kind=kind.name, after=self._after, scan=scan
        )
        if not ahead["devices"]:
            return 0, True
        most = 4 * self._most  # some may have been shown
        rows = [
            row
            async for row in queries.devices(
                connection,
                kind=kind.name,
                after=self._after,
                last=ahead["last"],
                since=since,
                limit=most,
                **EVERYTHING.parameters(),
            )
        ]
        for row in rows:
            if len(messages) == self._most:
                return ahead["devices"], False
            self._after = row["id"]
            if not self._was_shown((kind.name, self._after), row["last_seen"]):
                messages.append(state_message(kind, row))
        if len(rows) < most:
            self._after = ahead["last"]
        return ahead["devices"], len(rows) < most and ahead["devices"] < scan

    def _was_shown(self, device: tuple[str, str], last_seen: datetime) -> bool:
        shown = last_seen in (self._shown.get(device), self._shown_before.get(device))
        if len(self._shown) < _REMEMBERED:
            self._shown[device] = last_seen
        return shown

    async def _since(self, connection: Connection) -> datetime:
        """Return the arrival from which on a state has changed since the previous lap."""
        if self._lap is None:
            now = await queries.database_time(connection)
            self._lap = now, now
        return self._lap[0] - _MARGIN

    async def _end_lap(self, connection: Connection) -> None:
        assert self._lap is not None  # noqa: S101 - a lap that ends has begun
        self._lap = self._lap[1], await queries.database_time(connection)
        self._shown_before, self._shown = self._shown, {}
