"""Numbers the processes that are clients of a broker, over all replicas.

A process keeps its number as long as its session in the database lasts, by an advisory lock; the
next takes the lowest that is free. So a process that is started again after another was killed is
the same client to the broker, which gives it what that one had not acknowledged.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fleetmeter.database.pool import Connection, apart
from fleetmeter.database.sql import queries

_LOOK_S = 2.0
"""How often it is looked whether the place is still ours, or a free one, seconds."""

_TIMEOUT_S = 5.0

_MOST = 1000
"""Clients of one group."""


class Place:
    """A place among the clients whose ids begin alike."""

    def __init__(self, connection: Connection, name: str, number: int) -> None:
        self._connection = connection
        self.name = name
        self.number = number

    @property
    def client_id(self) -> str:
        """Return the id of the client at this place."""
        return f"{self.name}-{self.number}"

    async def watch(self) -> None:
        """Return once a lower place is free. Raises DatabaseUnavailableError when it is lost."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self.number == 0:
                await self._connection.execute("select 1")
            for lower in range(self.number):
                client_id = f"{self.name}-{lower}"
                if await queries.take_mqtt_place(self._connection, client_id=client_id):
                    await queries.leave_mqtt_place(self._connection, client_id=client_id)
                    return


@asynccontextmanager
async def place(url: str, name: str | None, *, is_shared: bool) -> AsyncIterator[Place]:
    """Wait for the lowest free place, and keep it for the length of the block.

    Client ids begin with `name`, or with one of the installation, so that two of them at a broker
    do not take each other's messages.

    If messages are not shared, there is only one. Raises DatabaseUnavailableError.
    """
    async with apart(url, _TIMEOUT_S) as connection:
        if name is None:
            installation = str(await queries.installation_id(connection))
            name = f"fleetmeter-{installation[:8]}"
        while True:
            for number in range(_MOST if is_shared else 1):
                taken = Place(connection, name, number)
                if await queries.take_mqtt_place(connection, client_id=taken.client_id):
                    yield taken
                    return
            await asyncio.sleep(_LOOK_S)
