"""Lists and counts anomalies, and acknowledges or resolves them for people."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal, NamedTuple

from fleetmeter.access.audit import record
from fleetmeter.anomalies.incidents import store
from fleetmeter.anomalies.incidents.anomaly import Anomaly
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
) -> list[Anomaly]:
    """Return the anomalies that match everything given, newest first, with ids below `before`."""
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
    )
    return [store.anomaly_of(row) async for row in rows]


async def anomaly_with_events(
    connection: Connection, anomaly_id: int, before: int | None, most: int
) -> tuple[Anomaly, list[Happened]]:
    """Return an anomaly and its events, newest first, with ids below `before`.

    Raises UnknownAnomalyError.
    """
    row = await queries.anomaly(connection, anomaly_id=anomaly_id)
    if row is None:
        raise UnknownAnomalyError(anomaly_id)
    events = queries.events_of_anomaly(connection, anomaly_id=anomaly_id, before=before, limit=most)
    return store.anomaly_of(row), [Happened(**dict(event)) async for event in events]


async def anomaly_counts(connection: Connection) -> Counts:
    """Count the anomalies that are open and acknowledged now."""
    rows = [row async for row in queries.active_anomalies(connection)]
    return Counts(
        open=sum(row["open"] for row in rows),
        acknowledged=sum(row["acknowledged"] for row in rows),
        by_kind={row["kind"]: row["open"] + row["acknowledged"] for row in rows},
    )


async def acknowledge(database: Database, anomaly_id: int, who: str, note: str | None) -> Anomaly:
    """Acknowledge an anomaly and return it. Repeating changes nothing.

    Raises UnknownAnomalyError, and AlreadyResolvedError.
    """
    return await _act(database, store.acknowledge, anomaly_id, who, note)


async def resolve(database: Database, anomaly_id: int, who: str, note: str | None) -> Anomaly:
    """Resolve an anomaly and return it. Repeating changes nothing.

    Raises UnknownAnomalyError.
    """
    return await _act(database, store.resolve, anomaly_id, who, note)


async def _act(
    database: Database,
    act: Callable[[Connection, int, str, str | None], Awaitable[Anomaly | None]],
    anomaly_id: int,
    who: str,
    note: str | None,
) -> Anomaly:
    async def run() -> Anomaly | None:
        async with database.transaction() as connection:
            before = await queries.anomaly(connection, anomaly_id=anomaly_id)
            after = await act(connection, anomaly_id, who, note)
            if before is not None and after is not None and after.status != before["status"]:
                await record(
                    connection,
                    "resolve" if after.status == "resolved" else "acknowledge",
                    f"anomaly {anomaly_id}",
                    before={"status": before["status"]},
                    after={"status": after.status, "note": note},
                )
            return after

    anomaly = await retried(run)
    if anomaly is None:
        raise UnknownAnomalyError(anomaly_id)
    return anomaly
