"""Counts the devices that report, are late, silent or at rest, and the readings of a minute."""

from datetime import datetime, timedelta
from typing import NamedTuple

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.readings.kinds import METER, VEHICLE

LATE_AFTER = 3
"""Reporting intervals without a reading after which a device is late."""

SILENT_AFTER = 30
"""Reporting intervals after which it is silent; the default of the rules about silence."""

_SETTLING = timedelta(seconds=30)
"""Readings younger than this may still be on their way, and are not counted in the rate."""

_MINUTE = timedelta(minutes=1)


class DeviceCounts(NamedTuple):
    """How many devices of a kind there are, by how recent their newest reading is."""

    known: int = 0
    reporting: int = 0
    late: int = 0
    silent: int = 0
    resting: int = 0
    """Devices that report only while they charge, and have not for a while."""


class ReportingNow(NamedTuple):
    """What reports at a moment."""

    vehicles: DeviceCounts
    meters: DeviceCounts
    readings_per_s: float
    reporting_interval_s: int
    """The interval of devices that have none of their own."""


async def reporting_now(connection: Connection, now: datetime, reach: Reach) -> ReportingNow:
    """Count the devices within reach, and their readings of the last minute that has settled."""
    rows = queries.reporting(
        connection,
        now=now,
        late_after=LATE_AFTER,
        silent_after=SILENT_AFTER,
        **reach.parameters(),
    )
    counts: dict[str, DeviceCounts] = {
        row["kind"]: DeviceCounts(
            row["known"], row["reporting"], row["late"], row["silent"], row["resting"]
        )
        async for row in rows
    }
    until = now - _SETTLING
    readings = await queries.readings_stamped(
        connection, since=until - _MINUTE, until=until, **reach.parameters()
    )
    return ReportingNow(
        counts.get(VEHICLE.name, DeviceCounts()),
        counts.get(METER.name, DeviceCounts()),
        readings / _MINUTE.total_seconds(),
        await queries.reporting_interval(connection),
    )
