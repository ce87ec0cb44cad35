"""Serves anomalies: what is wrong, since when and why; and lets people acknowledge and resolve."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.status_codes import HTTP_404_NOT_FOUND, HTTP_409_CONFLICT
from msgspec import Meta

from fleetmeter.anomalies.incidents import store
from fleetmeter.anomalies.model import Anomaly, Event, Kind
from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.http.corrections import Who
from fleetmeter.http.shared.parameters import (
    MAX_ID,
    Cursor,
    Id,
    Limit,
    Note,
    Page,
    after,
    check_device_id,
    check_printable,
    check_site,
    page,
    parse_time,
    takes,
)
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.readings.ids import DEVICE_ID_PATTERN, SITE_PATTERN

AnomalyId = Annotated[int, PathParameter(ge=1, le=MAX_ID)]
StatusIs = Annotated[
    Literal["open", "acknowledged", "resolved", "active"] | None,
    QueryParameter(
        name="status",
        required=False,
        description="`active` means open or acknowledged. Without it, all.",
    ),
]
KindIs = Annotated[
    Kind | None,
    QueryParameter(name="kind", required=False, description="Only anomalies of this kind."),
]
DeviceIs = Annotated[
    str | None,
    QueryParameter(
        name="deviceId",
        required=False,
        schema_extra={"pattern": DEVICE_ID_PATTERN},
        description="Only anomalies of this vehicle or meter; for `site_silent`, the site's name.",
    ),
]
SiteIs = Annotated[
    str | None,
    QueryParameter(
        name="site",
        required=False,
        schema_extra={"pattern": SITE_PATTERN},
        description="Only anomalies of devices that belonged to this site when they were noticed.",
    ),
]
Since = Annotated[
    str | None,
    QueryParameter(
        name="from",
        required=False,
        description="Only anomalies that were not over at this time; RFC 3339.",
        schema_extra={"format": "date-time"},
    ),
]
Until = Annotated[
    str | None,
    QueryParameter(
        name="to",
        required=False,
        description="Only anomalies that began before this time; RFC 3339.",
        schema_extra={"format": "date-time"},
    ),
]


class AnomalyEvent(msgspec.Struct, rename="camel", kw_only=True):
    """Something that happened to an anomaly."""

    id: int
    event: Event
    at: Annotated[datetime, Meta(description="When it happened, by the clock.")]
    who: Annotated[str | None, Meta(description="Who did it; null: a rule.")]
    note: str | None


class AnomalyWithEvents(Anomaly, kw_only=True):
    """An anomaly and its events."""

    events: Annotated[Page[AnomalyEvent], Meta(description="Newest first.")]


class Statement(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Who acknowledges or resolves an anomaly, and a note."""

    who: Who
    note: Annotated[Note | None, Meta(examples=["the cable is being replaced"])] = None


class AnomalyCounts(msgspec.Struct, rename="camel", kw_only=True):
    """How many anomalies there are now."""

    open: int
    acknowledged: int
    by_kind: Annotated[
        dict[str, int],
        Meta(
            description="Open and acknowledged anomalies by kind; kinds without any are left out."
        ),
    ]


@get(
    "/",
    summary="List anomalies, newest first",
    before_request=takes("status", "kind", "deviceId", "site", "from", "to", "limit", "cursor"),
)
async def list_anomalies(
    database: NamedDependency[Database],
    status: StatusIs = None,
    kind: KindIs = None,
    device_id: DeviceIs = None,
    site: SiteIs = None,
    from_: Since = None,
    to: Until = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Anomaly]:
    """Without `from` and `to`, all anomalies ever; with them, those that overlap the window."""
    if device_id is not None:
        check_device_id("deviceId", device_id)
    if site is not None:
        check_site("site", site)
    start = parse_time("from", from_) if from_ else None
    end = parse_time("to", to) if to else None
    if start and end and start >= end:
        raise invalid_parameter("from", "must be before to")
    before = after(cursor, Id)
    async with database.answering() as connection:
        rows = [
            row
            async for row in queries.anomalies(
                connection,
                status=status,
                kind=kind,
                device_id=device_id,
                site=site,
                start=start,
                end=end,
                before=before,
                limit=limit + 1,
            )
        ]
    return page([store.anomaly_of(row) for row in rows], limit, key=lambda item: item.id)


@get(
    "/{anomaly_id:int}",
    summary="Get an anomaly and its events",
    before_request=takes("limit", "cursor"),
)
async def get_anomaly(
    database: NamedDependency[Database],
    anomaly_id: AnomalyId,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AnomalyWithEvents:
    """`limit` and `cursor` page through its `events`."""
    before = after(cursor, Id)
    async with database.connection() as connection:
        row = await queries.anomaly(connection, anomaly_id=anomaly_id)
        if row is None:
            raise _unknown(anomaly_id)
        events = [
            AnomalyEvent(**event)
            async for event in queries.events_of_anomaly(
                connection, anomaly_id=anomaly_id, before=before, limit=limit + 1
            )
        ]
    return AnomalyWithEvents(
        **msgspec.structs.asdict(store.anomaly_of(row)),
        events=page(events, limit, key=lambda item: item.id),
    )


@post("/{anomaly_id:int}/acknowledge", status_code=200, summary="Acknowledge an anomaly")
async def acknowledge_anomaly(
    database: NamedDependency[Database], anomaly_id: AnomalyId, data: JSONBody[Statement]
) -> Anomaly:
    """Say that somebody is dealing with it. Acknowledging again changes nothing."""
    try:
        return await _state(database, store.acknowledge, anomaly_id, data)
    except store.AlreadyResolvedError:
        raise problem(
            HTTP_409_CONFLICT,
            f"the anomaly {anomaly_id} is resolved already; there is nothing to acknowledge, "
            "unless it comes back",
            kind="already-resolved",
        ) from None


@post("/{anomaly_id:int}/resolve", status_code=200, summary="Resolve an anomaly")
async def resolve_anomaly(
    database: NamedDependency[Database], anomaly_id: AnomalyId, data: JSONBody[Statement]
) -> Anomaly:
    """It stays resolved until it has been over and comes back. Resolving again changes nothing."""
    return await _state(database, store.resolve, anomaly_id, data)


async def anomaly_counts(connection: Connection) -> AnomalyCounts:
    """Count what is open and acknowledged now."""
    rows = [row async for row in queries.active_anomalies(connection)]
    return AnomalyCounts(
        open=sum(row["open"] for row in rows),
        acknowledged=sum(row["acknowledged"] for row in rows),
        by_kind={row["kind"]: row["open"] + row["acknowledged"] for row in rows},
    )


async def _state(
    database: Database,
    act: Callable[[Connection, int, str, str | None], Awaitable[Anomaly | None]],
    anomaly_id: int,
    said: Statement,
) -> Anomaly:
    """Do what somebody asks in a transaction; return the anomaly. Raises 400 and 404."""
    check_printable("$.who", said.who)
    check_printable("$.note", said.note)

    async def run() -> Anomaly | None:
        async with database.transaction() as connection:
            return await act(connection, anomaly_id, said.who, said.note)

    anomaly = await retried(run)
    if anomaly is None:
        raise _unknown(anomaly_id)
    return anomaly


def _unknown(anomaly_id: int) -> ProblemDetailsException:
    return problem(HTTP_404_NOT_FOUND, f"there is no anomaly {anomaly_id}", kind="unknown-anomaly")


anomalies = Router(
    "/v1/anomalies",
    tags=["Anomalies"],
    before_request=takes(),
    route_handlers=[list_anomalies, get_anomaly, acknowledge_anomaly, resolve_anomaly],
)
