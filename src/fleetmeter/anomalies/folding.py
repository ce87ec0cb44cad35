"""One hour: what the rules need to know of it is read, and they are asked.

In threads, so that the service answers meanwhile.
"""

import asyncio

from fleetmeter.anomalies import observations
from fleetmeter.anomalies.evaluate import Memory, Outcome, evaluate, needs
from fleetmeter.anomalies.model import Hour, Subject
from fleetmeter.anomalies.rules import Rulebook
from fleetmeter.database.pool import Connection

_DEVICE_HOURS = 50_000
"""Devices × hours that are read at once."""


async def fold(
    connection: Connection, hour: Hour, memories: dict[Subject, Memory], rulebook: Rulebook
) -> Outcome:
    """What an hour changes for its devices; brings `memories` to its end."""
    needed = await asyncio.to_thread(needs, hour, memories, rulebook)
    known = await observations.known(connection, needed, hour.ends)
    outcome = await asyncio.to_thread(evaluate, hour, known, memories, rulebook)
    # nothing is said of devices that have been removed
    gone = {s for s in outcome.touched if s.device_kind != "site" and s not in hour.devices}
    if gone:
        for subject in gone:
            memories.pop(subject, None)
        outcome.touched -= gone
        outcome.changes = [c for c in outcome.changes if c.subject not in gone]
    return outcome


def hours_at_once(devices: int) -> int:
    """How many hours of so many devices may be in memory."""
    return max(1, _DEVICE_HOURS // max(1, devices))
