"""The numbers of devices and sessions, as far as this process knows; the database decides."""

from collections.abc import Iterable, Sequence
from typing import Any

from fleetmeter.database.pool import Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.intake.numbering import SESSION_IDS, looked_up
from fleetmeter.intake.rows import Column
from fleetmeter.readings.kinds import KINDS

_MAX_DEVICES = 2_000_000
"""Maximum number of ids in the maps; beyond that, they are cleared and ids looked up again."""

_MAX_SESSIONS = 100_000
"""Maximum number of session ids in the map; beyond that, it is cleared too."""

_PLACES = {kind.name: place for place, kind in enumerate(KINDS)}


class DeviceNumbers:
    """Maps ids to numbers, bounded, for one version of the devices."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: list[dict[str, int]] = [{} for _ in (*KINDS, SESSION_IDS)]
        self.version = -1
        """Which devices there were: another one means that some have been purged."""

    def of(self, kind: int, ids: Sequence[str | None]) -> Column:
        """Return the numbers of ids of a kind (its place in KINDS, or SESSION_IDS), or 0."""
        return looked_up(self._numbers[kind], ids)

    async def learn(self, missing: Iterable[tuple[int, str]]) -> None:
        """Ask for numbers; what has none is given one. Raises DatabaseUnavailableError."""
        asked = list(missing)
        if sessions := [id_ for kind, id_ in asked if kind == SESSION_IDS]:
            await self._learn_sessions(sessions)
        if devices := [each for each in asked if each[0] != SESSION_IDS]:
            await self._learn_devices(devices)

    async def _learn_sessions(self, ids: Sequence[str]) -> None:
        async def ask() -> dict[str, int]:
            async with self._database.connection() as connection:
                rows = queries.number_sessions(connection, ids=ids)
                return {row["id"]: row["session"] async for row in rows}

        sessions = self._numbers[SESSION_IDS]
        found = await retried(ask)
        if len(sessions) + len(found) > _MAX_SESSIONS:
            sessions.clear()
        sessions.update(found)

    async def _learn_devices(self, wanted: Sequence[tuple[int, str]]) -> None:

        async def ask() -> list[Any]:
            async with self._database.connection() as connection:
                return [
                    row
                    async for row in queries.number_devices(
                        connection,
                        kinds=[KINDS[kind].name for kind, _ in wanted],
                        ids=[id_ for _, id_ in wanted],
                    )
                ]

        rows = await retried(ask)
        if rows and rows[0]["version"] != self.version:
            self.forget()
            self.version = rows[0]["version"]
        if sum(map(len, self._numbers)) + len(rows) > _MAX_DEVICES:
            self.forget()
        for row in rows:
            self._numbers[_PLACES[row["kind"]]][row["id"]] = row["device"]

    def forget(self) -> None:
        """Forget everything: some devices have been purged, or there is not enough room."""
        for numbers in self._numbers:
            numbers.clear()
