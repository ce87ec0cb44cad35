"""POST /v1/ingest: readings of both kinds, each with its own outcome."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
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
    HTTP_408_REQUEST_TIMEOUT,
    HTTP_415_UNSUPPORTED_MEDIA_TYPE,
    HTTP_422_UNPROCESSABLE_ENTITY,
)
from msgspec import Meta

from fleetmeter.ingest.queue import CommitQueue
from fleetmeter.problems import problem
from fleetmeter.readings.compression import unpacker
from fleetmeter.readings.decode import BatchDecoder, Format
from fleetmeter.readings.model import MAX_AHEAD_S, Batch, Rejection
from fleetmeter.readings.validate import Bounds
from fleetmeter.settings import Settings


class IngestOutcome(msgspec.Struct, rename="camel"):
    """What became of each item of a batch."""

    accepted: Annotated[int, Meta(description="Stored by this request.")]
    duplicates: Annotated[
        int, Meta(description="Same device and time as a reading that was there already.")
    ]
    rejected: Annotated[list[Rejection], Meta(description="Not stored; sending again is useless.")]


_FORMATS: dict[str, Format] = {
    "": "json",
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/msgpack": "msgpack",
    "application/x-msgpack": "msgpack",
    "application/vnd.msgpack": "msgpack",
}
_READING = Schema(
    one_of=[
        Reference(ref="#/components/schemas/VehicleReading"),
        Reference(ref="#/components/schemas/MeterReading"),
    ]
)
_ONE_OR_MANY = Schema(one_of=[_READING, Schema(type=OpenAPIType.ARRAY, items=_READING)])
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
            description="One reading, or an array of readings of both kinds; as NDJSON, a reading "
            "a line. Content-Encoding may be gzip or zstd.",
            content={
                "application/json": OpenAPIMediaType(schema=_ONE_OR_MANY, example=_EXAMPLE),
                "application/x-ndjson": OpenAPIMediaType(schema=_READING),
                "application/msgpack": OpenAPIMediaType(schema=_ONE_OR_MANY),
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
    request: Request[Any, Any, Any],
    queue: NamedDependency[CommitQueue],
    settings: NamedDependency[Settings],
    kept_since: NamedDependency[dict[str, datetime]],
) -> Response[IngestOutcome]:
    """Decode, validate, commit, answer."""
    with queue.admitted() as count_bytes:
        batch = await _receive(request, settings, kept_since, count_bytes)
        taken = len(batch.vehicles) + len(batch.meters)
        stored = await queue.store(batch) if taken else 0
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
        IngestOutcome(stored, taken - stored + batch.repeated, batch.rejected),
        status_code=HTTP_207_MULTI_STATUS if batch.rejected else HTTP_200_OK,
    )


async def _receive(
    request: Request[Any, Any, Any],
    settings: Settings,
    kept_since: dict[str, datetime],
    count_bytes: Callable[[int], None],
) -> Batch:
    """The body, unpacked and decoded as it comes in."""
    content_type, _ = request.content_type
    format_ = _FORMATS.get(content_type.lower())
    if format_ is None:
        raise problem(
            HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type is {content_type}; send application/json, application/x-ndjson or "
            "application/msgpack",
        )
    encoding = request.headers.get("content-encoding", "")
    unpack = unpacker(encoding, settings.max_body_bytes)
    if unpack is None:
        raise problem(
            HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding is {encoding}; send gzip, zstd or none",
            kind="unsupported-encoding",
        )
    now = datetime.now(UTC)
    oldest = now - timedelta(days=settings.retention_days)
    bounds = Bounds(
        vehicles_since=max(oldest, kept_since["vehicle_readings"]),
        meters_since=max(oldest, kept_since["meter_readings"]),
        latest=now + timedelta(seconds=MAX_AHEAD_S),
    )
    decoder = BatchDecoder(format_, bounds, settings.max_batch)
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for chunk in request.stream():
                for piece in unpack.feed(chunk):
                    count_bytes(len(piece))
                    decoder.feed(piece)
    except TimeoutError:
        raise problem(
            HTTP_408_REQUEST_TIMEOUT,
            f"the body did not arrive within {settings.body_timeout_s:g} s; nothing was stored",
            headers={"Connection": "close"},
        ) from None
    unpack.finish()
    return decoder.finish()
