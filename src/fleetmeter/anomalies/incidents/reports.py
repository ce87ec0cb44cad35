"""Lists and counts anomalies, and acknowledges or resolves them for people."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal, NamedTuple

from fleetmeter.access.audit import record
from fleetmeter.access.reach import EVERYTHING, Reach
from fleetmeter.anomalies.incidents import store
from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.incidents.within import within
from fleetmeter.anomalies.model import AnomalyKind, Event
from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError

StatusFilter = Literal["open", "acknowledged", "resolved", "active"]
"""Which anomalies to list: `active` ones are open or acknowledged."""


class UnknownAnomalyError(FleetMeterError):
    """No anomaly has this id."""

    def __init__(self, anomaly_id: int) -> None:
        super().__init__(f"unknown anomaly {anomaly_id}")


class Happened(NamedTuple):
    """An event of one anomaly."""

    id: int
    event: Event
    at: datetime
    who: str | None
    note: str | None


class Counts(NamedTuple):
    """Numbers of open and acknowledged anomalies, and of both together by kind."""

    open: int
    acknowledged: int
    by_kind: dict[str, int]


async def anomalies(
    connection: Connection,
    *,
    status: StatusFilter | None,
    kind: AnomalyKind | None,
    device_id: str | None,
    site: str | None,
    start: datetime | None,
    end: datetime | None,
    before: int | None,
    most: int,
    reach: Reach,
) -> list[Anomaly]:
    """Return the anomalies within reach that match everything given, newest first.

    Their ids are below `before`.
    """
    rows = queries.anomalies(
        connection,
        status=status,
        kind=kind,
        device_id=device_id,
        site=site,
        start=start,
        end=end,
        before=before,
        limit=most,
        **reach.parameters(),
    )
    return await within(connection, [store.anomaly_of(row) async for row in rows], reach)


async def anomaly_with_events(
    connection: Connection, anomaly_id: int, before: int | None, most: int, reach: Reach
) -> tuple[Anomaly, list[Happened]]:
    """Return an anomaly and its events, newest first, with ids below `before`.

    Raises UnknownAnomalyError.
    """
    row = await queries.anomaly(connection, anomaly_id=anomaly_id, **reach.parameters())
    found = await within(connection, [store.anomaly_of(row)] if row else [], reach)
    if not found:
        raise UnknownAnomalyError(anomaly_id)
    events = queries.events_of_anomaly(connection, anomaly_id=anomaly_id, before=before, limit=most)
    return found[0], [Happened(**dict(event)) async for event in events]


async def anomaly_counts(connection: Connection, reach: Reach) -> Counts:
    """Count the anomalies within reach that are open and acknowledged now."""
    rows = [row async for row in queries.active_anomalies(connection, **reach.parameters())]
    return Counts(
        open=sum(row["open"] for row in rows),
        acknowledged=sum(row["acknowledged"] for row in rows),
        by_kind={row["kind"]: row["open"] + row["acknowledged"] for row in rows},
    )


async def acknowledge(
    database: Database, anomaly_id: int, who: str, note: str | None, reach: Reach
) -> Anomaly:
    """Acknowledge an anomaly and return it. Repeating changes nothing.

    Raises UnknownAnomalyError, and AlreadyResolvedError.
    """
    return await _act(database, store.acknowledge, anomaly_id, who, note, reach)


async def resolve(
    database: Database, anomaly_id: int, who: str, note: str | None, reach: Reach
) -> Anomaly:
    """Resolve an anomaly and return it. Repeating changes nothing.

    Raises UnknownAnomalyError.
    """
    return await _act(database, store.resolve, anomaly_id, who, note, reach)


async def _act(
    database: Database,
    act: Callable[[Connection, int, str, str | None, Reach], Awaitable[Anomaly | None]],
    anomaly_id: int,
    who: str,
    note: str | None,
    reach: Reach,
) -> Anomaly:
    async def run() -> list[Anomaly]:
        async with database.transaction() as connection:
            before = await queries.anomaly(
                connection, anomaly_id=anomaly_id, **EVERYTHING.parameters()
            )
            anomaly = await act(connection, anomaly_id, who, note, reach)
            if before is not None and anomaly and anomaly.status != before["status"]:
                await record(
                    connection,
                    "resolve" if anomaly.status == "resolved" else "acknowledge",
                    f"anomaly {anomaly_id}",
                    before={"status": before["status"]},
                    after={"status": anomaly.status, "note": note},
                )
            return await within(connection, [anomaly] if anomaly else [], reach)

    found = await retried(run)
    if not found:
        raise UnknownAnomalyError(anomaly_id)
    return found[0]
