"""GET /v1/audit: who changed what, and when."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Meta
from msgspec.structs import asdict

from fleetmeter.access.audit import entries
from fleetmeter.database.pool import Database
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.parameters import (
    Cursor,
    Id,
    Limit,
    Page,
    after,
    check_printable,
    page,
    parse_time,
    takes,
)
from fleetmeter.http.shared.problems import invalid_parameter

WhoIs = Annotated[
    str | None, QueryParameter(required=False, max_length=200, description="Only their changes.")
]
ActionIs = Annotated[
    str | None, QueryParameter(required=False, max_length=64, description="Only this action.")
]
ObjectIs = Annotated[
    str | None,
    QueryParameter(
        required=False, max_length=200, description="Only changes of this, like `vehicle EV-1`."
    ),
]
Since = Annotated[
    str | None,
    QueryParameter(name="from", required=False, schema_extra={"format": "date-time"}),
]
Until = Annotated[
    str | None, QueryParameter(name="to", required=False, schema_extra={"format": "date-time"})
]


class AuditEntry(msgspec.Struct, rename="camel", kw_only=True):
    """A change, and who made it."""

    id: int
    at: datetime
    who: Annotated[str, Meta(description="The key or the user.", examples=["key:depot-7"])]
    address: Annotated[
        str | None, Meta(description="Where the request came from; null for a command.")
    ]
    request_id: Annotated[str | None, Meta(description="Its X-Request-Id.")]
    action: Annotated[str, Meta(examples=["correct"])]
    object: Annotated[str, Meta(examples=["meter MTR-1"])]
    before: Annotated[Any, Meta(description="What differs, as it was; null if there was nothing.")]
    after: Annotated[Any, Meta(description="What differs, as it is now; null if nothing is left.")]


@get("/", summary="List changes and who made them", operation_id="V1AuditList")
async def list_audit(
    database: NamedDependency[Database],
    who: WhoIs = None,
    action: ActionIs = None,
    object: ObjectIs = None,  # noqa: A002 - errors name the argument
    from_: Since = None,
    to: Until = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[AuditEntry]:
    """Newest first. Without `from` and `to`, all ever."""
    for name, value in (("who", who), ("action", action), ("object", object)):
        check_printable(name, value)
    start = parse_time("from", from_) if from_ else None
    end = parse_time("to", to) if to else None
    if start and end and start >= end:
        raise invalid_parameter("from", "must be before to")
    async with database.answering() as connection:
        found = await entries(
            connection,
            below=after(cursor, Id),
            who=who,
            action=action,
            object_=object,
            start=start,
            end=end,
            most=limit + 1,
        )
    return page([AuditEntry(**asdict(each)) for each in found], limit, key=lambda item: item.id)


audit = Router(
    "/v1/audit",
    tags=["Audit"],
    opt={SCOPE: "admin"},
    before_request=takes("who", "action", "object", "from", "to", "limit", "cursor"),
    route_handlers=[list_audit],
)
