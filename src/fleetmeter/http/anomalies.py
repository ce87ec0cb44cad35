"""Anomalies: lists them, shows their events, acknowledges and resolves them."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_409_CONFLICT
from msgspec import Meta

from fleetmeter.access.actor import signed
from fleetmeter.access.reach import Reach
from fleetmeter.anomalies.incidents import reports
from fleetmeter.anomalies.incidents.anomaly import Anomaly
from fleetmeter.anomalies.incidents.lifecycle import AlreadyResolvedError
from fleetmeter.anomalies.model import Event
from fleetmeter.anomalies.rules.catalogue import CataloguedKind
from fleetmeter.database.pool import Database
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.operations import described, problem_response
from fleetmeter.http.shared.parameters import (
    MAX_ID,
    Cursor,
    Id,
    Limit,
    Note,
    Page,
    Who,
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
    reports.StatusFilter | None,
    QueryParameter(
        name="status",
        required=False,
        description="`active` means open or acknowledged. All by default.",
    ),
]
KindIs = Annotated[
    CataloguedKind | None,
    QueryParameter(name="kind", required=False, description="Only this kind."),
]
DeviceIs = Annotated[
    str | None,
    QueryParameter(
        name="deviceId",
        required=False,
        schema_extra={"pattern": DEVICE_ID_PATTERN},
        description="Only this vehicle or meter; for `site_silent`, the site's name.",
    ),
]
SiteIs = Annotated[
    str | None,
    QueryParameter(
        name="site",
        required=False,
        schema_extra={"pattern": SITE_PATTERN},
        description="Only devices that belonged to this site when the anomaly was detected.",
    ),
]
Since = Annotated[
    str | None,
    QueryParameter(
        name="from",
        required=False,
        description="Only anomalies that had not ended before this time; RFC 3339.",
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
    """An event in the life of an anomaly."""

    id: int
    event: Event
    at: Annotated[datetime, Meta(description="When it was recorded.")]
    who: Annotated[str | None, Meta(description="Null for a rule.")]
    note: str | None


class AnomalyWithEvents(Anomaly, kw_only=True):
    """An anomaly and its events."""

    events: Annotated[Page[AnomalyEvent], Meta(description="Newest first.")]


class Statement(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The person who acknowledges or resolves, and a note."""

    who: Who | None = None
    note: Annotated[Note | None, Meta(examples=["the cable is being replaced"])] = None


class AnomalyCounts(msgspec.Struct, rename="camel", kw_only=True):
    """The number of anomalies now."""

    open: int
    acknowledged: int
    by_kind: Annotated[
        dict[str, int],
        Meta(description="Open and acknowledged together; kinds without any are left out."),
    ]


@get(
    "/",
    summary="List anomalies",
    before_request=takes("status", "kind", "deviceId", "site", "from", "to", "limit", "cursor"),
)
async def list_anomalies(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    status: StatusIs = None,
    kind: KindIs = None,
    device_id: DeviceIs = None,
    site: SiteIs = None,
    from_: Since = None,
    to: Until = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Anomaly]:
    """Newest first. Without `from` and `to`, all ever; with them, those that overlap the window."""
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
        found = await reports.anomalies(
            connection,
            status=status,
            kind=kind,
            device_id=device_id,
            site=site,
            start=start,
            end=end,
            before=before,
            most=limit + 1,
            reach=reach,
        )
    return page(found, limit, key=lambda item: item.id)


@get(
    "/{anomaly_id:int}",
    summary="Get an anomaly and its events",
    before_request=takes("limit", "cursor"),
)
async def get_anomaly(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    anomaly_id: AnomalyId,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AnomalyWithEvents:
    """`limit` and `cursor` page through its `events`."""
    before = after(cursor, Id)
    async with database.connection() as connection:
        anomaly, happened = await reports.anomaly_with_events(
            connection, anomaly_id, before, limit + 1, reach
        )
    events = [AnomalyEvent(**event._asdict()) for event in happened]
    return AnomalyWithEvents(
        **msgspec.structs.asdict(anomaly), events=page(events, limit, key=lambda item: item.id)
    )


@post(
    "/{anomaly_id:int}/acknowledge",
    status_code=200,
    summary="Acknowledge an anomaly",
    operation_class=described({"409": problem_response("The anomaly is already resolved.")}),
    opt={SCOPE: "operate"},
)
async def acknowledge_anomaly(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    anomaly_id: AnomalyId,
    data: JSONBody[Statement],
) -> Anomaly:
    """It stays active until it ends. The first acknowledgement counts, later ones do nothing."""
    _check(data)
    try:
        return await reports.acknowledge(database, anomaly_id, signed(data.who), data.note, reach)
    except AlreadyResolvedError:
        raise problem(
            HTTP_409_CONFLICT,
            f"anomaly {anomaly_id} is already resolved; there is nothing to acknowledge unless it "
            "comes back",
            kind="already-resolved",
        ) from None


@post(
    "/{anomaly_id:int}/resolve",
    status_code=200,
    summary="Resolve an anomaly",
    opt={SCOPE: "operate"},
)
async def resolve_anomaly(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    anomaly_id: AnomalyId,
    data: JSONBody[Statement],
) -> Anomaly:
    """It stays resolved unless it ends and comes back. Resolving again changes nothing."""
    _check(data)
    return await reports.resolve(database, anomaly_id, signed(data.who), data.note, reach)


def _check(said: Statement) -> None:
    """Raise 400 for unprintable characters."""
    check_printable("$.who", said.who)
    check_printable("$.note", said.note)


anomalies = Router(
    "/v1/anomalies",
    tags=["Anomalies"],
    opt={SCOPE: "read"},
    before_request=takes(),
    route_handlers=[list_anomalies, get_anomaly, acknowledge_anomaly, resolve_anomaly],
)
