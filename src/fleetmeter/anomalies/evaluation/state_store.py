"""Stores in the database what rules remember of devices between evaluations."""

import asyncio
from collections.abc import Collection
from typing import Literal

from asyncpg import Record

from fleetmeter.anomalies.model import Subject, columns_of
from fleetmeter.anomalies.rules.catalogue import CODEC
from fleetmeter.anomalies.rules.shared.state import DeviceState
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries

Aspect = Literal["hours", "clock"]


async def all_states(connection: Connection, aspect: Aspect) -> dict[Subject, DeviceState]:
    """Return the states of all devices."""
    rows = [row async for row in queries.memories(connection, aspect=aspect)]
    return await asyncio.to_thread(_decoded, rows)


async def states_of(
    connection: Connection, aspect: Aspect, subjects: Collection[Subject]
) -> dict[Subject, DeviceState]:
    """Return the states of some devices."""
    rows = queries.memories_of(connection, aspect=aspect, **columns_of(subjects))
    return _decoded([row async for row in rows])


async def store_states(
    connection: Connection,
    aspect: Aspect,
    states: dict[Subject, DeviceState],
    touched: set[Subject],
) -> None:
    """Store the states of the touched devices, or delete them."""
    changed = sorted(touched & states.keys())
    gone = sorted(touched - states.keys())
    if changed:
        encoded = await asyncio.to_thread(
            lambda: [CODEC.encode(states[subject]).decode() for subject in changed]
        )
        await queries.remember(connection, aspect=aspect, memories=encoded, **columns_of(changed))
    if gone:
        await queries.forget_memories(connection, aspects=[aspect], **columns_of(gone))


def _decoded(rows: Collection[Record]) -> dict[Subject, DeviceState]:
    return {
        Subject(row["device_kind"], row["device_id"]): CODEC.decode(row["memory"]) for row in rows
    }
