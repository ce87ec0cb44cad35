"""GET /v1/rejections: the readings that were rejected, counted by device and code."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Meta

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.parameters import (
    Cursor,
    Limit,
    Page,
    after,
    check_printable,
    page,
    takes,
)
from fleetmeter.intake.rejection_counter import MOST_ID
from fleetmeter.intake.rejections import RejectionCount, rejection_counts
from fleetmeter.readings.kinds import KindName

DeviceIs = Annotated[
    str | None,
    QueryParameter(
        name="deviceId",
        required=False,
        max_length=MOST_ID,
        description="Only this id, as shown in the items.",
    ),
]
KindIs = Annotated[
    KindName | None,
    QueryParameter(name="kind", required=False, description="Only this kind of device."),
]
CodeIs = Annotated[
    str | None,
    QueryParameter(
        name="code",
        required=False,
        max_length=64,
        description="Only this code.",
        schema_extra={"examples": ["in_future"]},
    ),
]


class RefusalExample(msgspec.Struct):
    """A rejected reading, and why it was rejected."""

    detail: Annotated[
        str,
        Meta(
            description="A sentence, for people. If the reach of the key is limited, it is empty "
            "for `malformed` and without a device: it may quote what was sent."
        ),
    ]
    path: Annotated[
        str, Meta(description="JSON path of the field; empty if no single field is at fault.")
    ]
    reading: Annotated[
        str,
        Meta(
            description="As it was sent, cut to 500 characters; empty if the reach of the key is "
            "limited."
        ),
    ]


class Refusal(msgspec.Struct, rename="camel", kw_only=True):
    """The readings of one device that were rejected for one reason."""

    device_id: Annotated[
        str | None,
        Meta(
            description="As it was sent, cut to 64 characters. Null if the readings had none, or "
            "if too many ids of unknown devices were counted."
        ),
    ]
    kind: KindName | None
    code: Annotated[str, Meta(examples=["in_future"])]
    count: Annotated[int, Meta(description="Since `firstAt`.")]
    first_at: datetime
    last_at: Annotated[datetime, Meta(description="When the last one arrived.")]
    since: Annotated[
        datetime,
        Meta(
            description="When the current run of rejections began. A run ends when nothing was "
            "rejected for 15 minutes while readings were accepted, or for 25 hours."
        ),
    ]
    example: Annotated[RefusalExample, Meta(description="One of the most recent.")]


class _Key(msgspec.Struct, array_like=True):
    """The last item of a page."""

    id: str = ""
    kind: str = ""
    code: str = ""


@get(
    "/",
    summary="List rejected readings by device and code",
    before_request=takes("deviceId", "kind", "code", "limit", "cursor"),
)
async def list_rejections(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    device_id: DeviceIs = None,
    kind: KindIs = None,
    code: CodeIs = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Refusal]:
    """Sorted by id; new rejections appear within seconds."""
    check_printable("deviceId", device_id)
    check_printable("code", code)
    behind = after(cursor, _Key) or _Key()
    for part in (behind.id, behind.kind, behind.code):
        check_printable("cursor", part)
    async with database.connection() as connection:
        rows = await rejection_counts(
            connection,
            after=(behind.id, behind.kind, behind.code),
            device_id=device_id,
            kind=kind,
            code=code,
            most=limit + 1,
            reach=reach,
        )
    items = [_refusal(row) for row in rows]
    return page(
        items, limit, key=lambda item: _Key(item.device_id or "", item.kind or "", item.code)
    )


def _refusal(row: RejectionCount) -> Refusal:
    return Refusal(
        device_id=row.id or None,
        kind=row.kind or None,
        code=row.code,
        count=row.count,
        first_at=row.first_at,
        last_at=row.last_at,
        since=row.since,
        example=RefusalExample(row.detail, row.path, row.example),
    )


rejections = Router(
    "/v1/rejections", tags=["Ingest"], opt={SCOPE: "read"}, route_handlers=[list_rejections]
)
