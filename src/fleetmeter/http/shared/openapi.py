"""The OpenAPI document, and what it says beyond the signatures of handlers: ingest, and errors."""

import asyncio

from litestar import Litestar
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)
from litestar.serialization import encode_json

from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.wire import READINGS

_PROBLEM = Schema(
    type=OpenAPIType.OBJECT,
    description="A problem document (RFC 9457).",
    required=["type", "title", "status", "detail"],
    properties={
        "type": Schema(
            type=OpenAPIType.STRING,
            description="Stable, for programs.",
            examples=["urn:fleetmeter:problem:invalid-parameter"],
        ),
        "title": Schema(type=OpenAPIType.STRING),
        "status": Schema(type=OpenAPIType.INTEGER),
        "detail": Schema(type=OpenAPIType.STRING, description="What to do, for people."),
        "errors": Schema(
            type=OpenAPIType.ARRAY,
            description="The parameters or fields that are wrong.",
            items=Schema(
                type=OpenAPIType.OBJECT,
                properties={
                    "path": Schema(type=OpenAPIType.STRING),
                    "detail": Schema(type=OpenAPIType.STRING),
                },
            ),
        ),
    },
)
_DESCRIPTIONS = {
    "400": "The request is not valid.",
    "404": "What is asked for is not known.",
    "408": "The body did not arrive in time; nothing was stored.",
    "413": "The body or the batch is too large; nothing was stored.",
    "415": "The body's type or encoding is not supported; nothing was stored.",
    "503": "The database is away or too much is waiting; try again after Retry-After seconds.",
}
_CONFLICTS = {
    "/v1/meters/{meter_id}/exchanges": "Something else is stated of that time.",
    "/v1/corrections": "The reading has been corrected as often as it may be, or it is voided.",
    "/v1/anomalies/{anomaly_id}/acknowledge": "The anomaly is resolved already.",
    "/v1/rules/{kind}": "It does not go with what is set for other places.",
}
"""What 409 means, of the operation there that takes a body."""
_NEVER_UNKNOWN = (
    "/v1/vehicles/{vehicle_id}/meter",
    "/v1/rules/{kind}/overrides",
    "/v1/rules/{kind}/changes",
)


_READING = Schema(
    one_of=[Reference(ref=f"#/components/schemas/{READINGS[kind.name].__name__}") for kind in KINDS]
)
_ONE_OR_MANY = Schema(one_of=[_READING, Schema(type=OpenAPIType.ARRAY, items=_READING)])
_EXAMPLE = [
    {
        kind.id_field: kind.example_id,
        kind.energy.field: kind.energy.example,
        **{each.field: each.example for each in kind.measurements},
        "timestamp": "2026-02-09T10:00:00Z",
    }
    for kind in KINDS
]
_REJECTION = Schema(
    type=OpenAPIType.OBJECT,
    description="Why one item was not taken.",
    required=["index", "code", "detail"],
    properties={
        "index": Schema(type=OpenAPIType.INTEGER, description="Position in the batch, from 0."),
        "code": Schema(
            type=OpenAPIType.STRING,
            description="Stable, for programs.",
            examples=["out_of_range"],
        ),
        "detail": Schema(type=OpenAPIType.STRING, description="A sentence, for people."),
        "path": Schema(
            type=OpenAPIType.STRING, description="JSON path of the field.", examples=["$.soc"]
        ),
    },
)
_OUTCOME = Schema(
    type=OpenAPIType.OBJECT,
    description="What became of each item of a batch.",
    required=["accepted", "duplicates", "rejected"],
    properties={
        "accepted": Schema(
            type=OpenAPIType.INTEGER, minimum=0, description="Stored by this request."
        ),
        "duplicates": Schema(
            type=OpenAPIType.INTEGER,
            minimum=0,
            description="Same device and time as a reading that was there already.",
        ),
        "rejected": Schema(
            type=OpenAPIType.ARRAY,
            items=Reference(ref="#/components/schemas/Rejection"),
            description="Not stored; sending again is useless.",
        ),
    },
)
_OUTCOME_REF = Reference(ref="#/components/schemas/IngestOutcome")
_INGEST = Operation(
    operation_id="Ingest",
    tags=["Ingest"],
    summary="Store readings",
    description="Answers when the readings are committed. A device may drop from its buffer what "
    "got 200, 207 or 422, and sends it again on 503 or no answer: a reading is stored once.",
    request_body=RequestBody(
        required=True,
        description="One reading, or an array of readings of both kinds; as NDJSON, a reading "
        "a line. Content-Encoding may be gzip or zstd.",
        content={
            "application/json": OpenAPIMediaType(schema=_ONE_OR_MANY, example=_EXAMPLE),
            "application/x-ndjson": OpenAPIMediaType(schema=_READING),
            "application/msgpack": OpenAPIMediaType(schema=_ONE_OR_MANY),
        },
    ),
    responses={
        status: OpenAPIResponse(
            description=description,
            content={media_type: OpenAPIMediaType(schema=_OUTCOME_REF)},
        )
        for status, media_type, description in (
            ("200", "application/json", "Every reading is stored, now or before."),
            ("207", "application/json", "Some were rejected."),
            (
                "422",
                "application/problem+json",
                "All were rejected; a problem document that also has these fields.",
            ),
        )
    },
)


async def document(app: Litestar) -> bytes:
    """The document as JSON: made once, when it is first asked for, beside the requests.

    It takes longer than all else that is done at the start.
    """
    if "document" not in app.state:
        app.state.document = asyncio.get_running_loop().run_in_executor(None, _made, app)
    made: bytes = await asyncio.shield(app.state.document)
    return made


def _made(app: Litestar) -> bytes:
    _describe_ingest(app)
    _describe_corrections(app)
    _describe_problems(app)
    return encode_json(app.openapi_schema.to_schema())


def _describe_ingest(app: Litestar) -> None:
    """A raw route has no signature to tell it."""
    document = app.openapi_schema
    document.components.schemas |= {"IngestOutcome": _OUTCOME, "Rejection": _REJECTION}
    document.paths = {"/v1/ingest": PathItem(post=_INGEST), **(document.paths or {})}


def _describe_corrections(app: Litestar) -> None:
    """Say what the items of an array are, and what becomes of them: each is decoded by itself."""
    post = (app.openapi_schema.paths or {})["/v1/corrections"].post
    assert post is not None  # noqa: S101 - it is the only thing there
    one = Reference(ref="#/components/schemas/Correction")
    many = Schema(type=OpenAPIType.ARRAY, items=one)
    post.request_body = RequestBody(
        required=True,
        description="One correction, or an array of up to 1,000, each with its own outcome.",
        content={"application/json": OpenAPIMediaType(schema=Schema(one_of=[one, many]))},
    )
    outcome = Reference(ref="#/components/schemas/CorrectedMany")
    problem = Reference(ref="#/components/schemas/Problem")
    post.responses = (post.responses or {}) | {
        "207": OpenAPIResponse(
            description="Some corrections of the array were rejected.",
            content={"application/json": OpenAPIMediaType(schema=outcome)},
        ),
        "422": OpenAPIResponse(
            description="All corrections of the array were rejected; a problem document that also "
            "has `rejected`.",
            content={"application/problem+json": OpenAPIMediaType(schema=problem)},
        ),
    }


def _describe_problems(app: Litestar) -> None:
    """Give every operation the problems that it can answer with."""
    document = app.openapi_schema
    document.components.schemas["Problem"] = _PROBLEM
    for path, item in (document.paths or {}).items():
        for operation in (item.get, item.put, item.patch, item.post, item.delete):
            if operation is not None:
                # what is set may be set before a device has ever reported
                unknown = "{" in path and path not in _NEVER_UNKNOWN and operation is not item.patch
                unknown &= not (path.endswith("/exchanges") and operation is item.post)
                _describe(path, operation, unknown=unknown)


def _describe(path: str, operation: Operation, *, unknown: bool) -> None:
    responses = operation.responses or {}
    for status in ("200", "201", "204"):
        if path not in ("/v1/ingest", "/v1/stream") and isinstance(
            answer := responses.get(status), OpenAPIResponse
        ):
            answer.description = "Done."
    statuses = []
    if operation.parameters or operation.request_body:
        statuses.append("400")
    if unknown or path == "/v1/corrections":
        statuses.append("404")
    if operation.request_body and path in _CONFLICTS:
        statuses.append("409")
    if path == "/v1/ingest":
        statuses += ["408", "413", "415"]
    if path == "/v1/corrections":
        statuses.append("413")
    if path.startswith("/v1/") or path == "/health/ready":
        statuses.append("503")
    problem = Reference(ref="#/components/schemas/Problem")
    for status in statuses:
        responses[status] = OpenAPIResponse(
            description=_CONFLICTS[path] if status == "409" else _DESCRIPTIONS[status],
            content={"application/problem+json": OpenAPIMediaType(schema=problem)},
        )
    operation.responses = responses
