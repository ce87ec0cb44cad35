"""Records corrections in the audit log; values are by columns of history."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from asyncpg import Record

from fleetmeter.access.audit import record
from fleetmeter.database.pool import Connection
from fleetmeter.readings.kinds import DeviceKind
from fleetmeter.readings.model import rfc3339


async def record_change(
    connection: Connection,
    kind: DeviceKind,
    device_id: str,
    time: datetime,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
) -> None:
    """Record that a reading has other values, or (without any before) is restored."""
    key = {"timestamp": rfc3339(time)}
    await record(
        connection,
        "restore" if before is None else "correct",
        f"{kind.name} {device_id}",
        before=None if before is None else {**key, **before},
        after={**key, **after},
    )


async def record_void(
    connection: Connection,
    kind: DeviceKind,
    device_id: str,
    time: datetime,
    stored: Record,
    reason: str,
) -> None:
    """Record that a reading is voided, with what it had."""
    key = {"timestamp": rfc3339(time)}
    columns = ("energy_mwh", "register_mwh", *(each.column for each in kind.measurements))
    values = {name: stored[name] for name in columns if stored[name] is not None}
    after = {**key, "reason": reason}
    await record(connection, "void", f"{kind.name} {device_id}", before=key | values, after=after)
