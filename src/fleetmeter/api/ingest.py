"""POST /v1/ingest: readings of both kinds, each with its own outcome."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_207_MULTI_STATUS,
    HTTP_415_UNSUPPORTED_MEDIA_TYPE,
    HTTP_422_UNPROCESSABLE_ENTITY,
)
from msgspec import Meta

from fleetmeter.ingest.queue import CommitQueue
from fleetmeter.problems import problem
from fleetmeter.readings.decode import decode
from fleetmeter.readings.model import Rejection
from fleetmeter.settings import Settings


class IngestOutcome(msgspec.Struct, rename="camel"):
    """What became of each item of a batch."""

    accepted: Annotated[int, Meta(description="Stored by this request.")]
    duplicates: Annotated[
        int, Meta(description="Same device and time as a reading that was there already.")
    ]
    rejected: Annotated[list[Rejection], Meta(description="Not stored; sending again is useless.")]


_READING = Schema(
    one_of=[
        Reference(ref="#/components/schemas/VehicleReading"),
        Reference(ref="#/components/schemas/MeterReading"),
    ]
)
_EXAMPLE = [
    {
        "vehicleId": "EV-1",
        "soc": 72,
        "kwhDeliveredDc": 1.2,
        "batteryTemp": 36,
        "timestamp": "2026-02-09T10:00:00Z",
    },
    {
        "meterId": "MTR-1",
        "kwhConsumedAc": 1.5,
        "voltage": 230,
        "timestamp": "2026-02-09T10:00:00Z",
    },
]


@dataclass
class _IngestOperation(Operation):
    """The body is decoded item by item, so that its schema has to be said by hand."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            required=True,
            description="One reading, or an array of readings of both kinds.",
            content={
                "application/json": OpenAPIMediaType(
                    schema=Schema(
                        one_of=[_READING, Schema(type=OpenAPIType.ARRAY, items=_READING)]
                    ),
                    example=_EXAMPLE,
                )
            },
        )


@post(
    "/v1/ingest",
    status_code=HTTP_200_OK,
    operation_class=_IngestOperation,
    tags=["Ingest"],
    summary="Store readings",
    description=(
        "Answers when the readings are committed. A device may drop from its buffer what got 200, "
        "207 or 422, and sends it again on 503 or no answer: a reading is stored once."
    ),
    responses={
        HTTP_207_MULTI_STATUS: ResponseSpec(IngestOutcome, description="Some were rejected."),
        HTTP_422_UNPROCESSABLE_ENTITY: ResponseSpec(
            IngestOutcome,
            description="All were rejected; a problem document that also has these fields.",
            media_type="application/problem+json",
        ),
    },
)
async def ingest(
    request: Request[Any, Any, Any], queue: CommitQueue, settings: Settings
) -> Response[IngestOutcome]:
    """Decode, validate, commit, answer."""
    content_type, _ = request.content_type
    if content_type not in ("application/json", ""):
        raise problem(
            HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type is {content_type}; send application/json",
        )
    if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
        raise problem(
            HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding is {encoding}; send the body as it is",
            kind="unsupported-encoding",
        )
    body = await request.body()
    batch = decode(
        body,
        now=datetime.now(UTC),
        retention=timedelta(days=settings.retention_days),
        max_batch=settings.max_batch,
    )
    taken = len(batch.vehicles) + len(batch.meters)
    with queue.admitted(len(body)):
        stored = await queue.store(batch) if taken else 0
    duplicates = taken - stored + batch.repeated
    if batch.rejected and not taken:
        count = len(batch.rejected)
        raise problem(
            HTTP_422_UNPROCESSABLE_ENTITY,
            batch.rejected[0].detail if count == 1 else f"all {count} readings were rejected",
            kind="all-rejected",
            accepted=0,
            duplicates=0,
            rejected=batch.rejected,
        )
    return Response(
        IngestOutcome(stored, duplicates, batch.rejected),
        status_code=HTTP_207_MULTI_STATUS if batch.rejected else HTTP_200_OK,
    )
