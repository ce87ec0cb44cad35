"""Evaluates the counts of rejected readings, every minute."""

from datetime import datetime

import msgspec

from fleetmeter.anomalies.incidents import store
from fleetmeter.anomalies.rules.readings_refused import MOST, Lasting, Refused, judge
from fleetmeter.anomalies.thresholds.rulebook import Rulebook
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries


async def evaluate_rejections(
    connection: Connection, at: datetime, rulebook: Rulebook
) -> list[int]:
    """Open and close anomalies, in the caller's transaction; return the ids of the events."""
    refused = [
        msgspec.convert(dict(row), Refused)
        async for row in queries.refused_devices(connection, at=at, most=MOST)
    ]
    lasting = [
        msgspec.convert(dict(row), Lasting)
        async for row in queries.lasting_refusals(connection, at=at)
    ]
    return await store.apply(connection, judge(refused, lasting, at, rulebook), rulebook)
