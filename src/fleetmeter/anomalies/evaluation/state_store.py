"""What the rules remember of devices from one evaluation to the next."""

import asyncio
from collections.abc import Collection
from typing import Literal

import msgspec
from asyncpg import Record

from fleetmeter.anomalies.model import Subject, columns_of
from fleetmeter.anomalies.rules.shared.state import Memory
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries

Aspect = Literal["hours", "clock"]

_decoder = msgspec.json.Decoder(Memory)


async def memories(connection: Connection, aspect: Aspect) -> dict[Subject, Memory]:
    """What is remembered of all devices."""
    rows = [row async for row in queries.memories(connection, aspect=aspect)]
    return await asyncio.to_thread(_decoded, rows)


async def memories_of(
    connection: Connection, aspect: Aspect, subjects: Collection[Subject]
) -> dict[Subject, Memory]:
    """What is remembered of some devices."""
    rows = queries.memories_of(connection, aspect=aspect, **columns_of(subjects))
    return _decoded([row async for row in rows])


async def remember(
    connection: Connection,
    aspect: Aspect,
    memories: dict[Subject, Memory],
    touched: set[Subject],
) -> None:
    """Store what is remembered now of the devices that were touched, or forget them."""
    kept = sorted(touched & memories.keys())
    gone = sorted(touched - memories.keys())
    if kept:
        encoded = await asyncio.to_thread(
            lambda: [msgspec.json.encode(memories[subject]).decode() for subject in kept]
        )
        await queries.remember(connection, aspect=aspect, memories=encoded, **columns_of(kept))
    if gone:
        await queries.forget_memories(connection, aspects=[aspect], **columns_of(gone))


def _decoded(rows: Collection[Record]) -> dict[Subject, Memory]:
    return {
        Subject(row["device_kind"], row["device_id"]): _decoder.decode(row["memory"])
        for row in rows
    }
