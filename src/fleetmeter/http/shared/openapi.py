"""The OpenAPI document, with what signatures cannot show: ingest, and problems."""

import asyncio
import dataclasses
from collections.abc import Iterator
from http import HTTPStatus

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
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
from litestar.routes import HTTPRoute
from litestar.serialization import encode_json

from fleetmeter.http.shared.authentication import PUBLIC, SCOPE, SIGNED_IN
from fleetmeter.http.shared.operations import (
    NEVER_UNKNOWN,
    problem_response,
    refusals_of,
    response,
)
from fleetmeter.http.shared.summaries import SHOWN
from fleetmeter.readings.kinds import KINDS
from fleetmeter.readings.wire import READINGS

_PROBLEM = Schema(
    type=OpenAPIType.OBJECT,
    description="A problem document (RFC 9457).",
    required=["type", "title", "status", "detail"],
    properties={
        "type": Schema(
            type=OpenAPIType.STRING,
            description="Stable identifier for programs.",
            examples=["urn:fleetmeter:problem:invalid-parameter"],
        ),
        "title": Schema(type=OpenAPIType.STRING),
        "status": Schema(type=OpenAPIType.INTEGER),
        "detail": Schema(
            type=OpenAPIType.STRING, description="What went wrong and what to do, for people."
        ),
        "errors": Schema(
            type=OpenAPIType.ARRAY,
            description="The invalid parameters or fields.",
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
    "400": "The request is invalid.",
    "404": "Not found.",
    "503": "The database is unavailable or the service overloaded; see Retry-After.",
}

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
    description="Why one item was rejected.",
    required=["index", "code", "detail"],
    properties={
        "index": Schema(type=OpenAPIType.INTEGER, description="Position in the batch, from 0."),
        "code": Schema(
            type=OpenAPIType.STRING,
            description="Stable identifier for programs.",
            examples=["out_of_range"],
        ),
        "detail": Schema(type=OpenAPIType.STRING, description="A sentence, for people."),
        "path": Schema(
            type=OpenAPIType.STRING, description="JSON path of the field.", examples=["$.soc"]
        ),
    },
)
_MORE = Schema(
    type=OpenAPIType.ARRAY,
    items=Schema(
        type=OpenAPIType.OBJECT,
        required=["code", "count", "ranges"],
        properties={
            "code": Schema(type=OpenAPIType.STRING),
            "count": Schema(type=OpenAPIType.INTEGER, minimum=1),
            "ranges": Schema(
                type=OpenAPIType.ARRAY,
                items=Schema(
                    type=OpenAPIType.ARRAY,
                    items=Schema(type=OpenAPIType.INTEGER),
                    min_items=2,
                    max_items=2,
                ),
                description="First and last index of each run of items, both included.",
                examples=[[[100, 4999], [7000, 7000]]],
            ),
        },
    ),
)
_OUTCOME = Schema(
    type=OpenAPIType.OBJECT,
    description="The outcome of a batch, item by item.",
    required=["accepted", "duplicates", "rejected"],
    properties={
        "accepted": Schema(
            type=OpenAPIType.INTEGER, minimum=0, description="Stored by this request."
        ),
        "duplicates": Schema(
            type=OpenAPIType.INTEGER,
            minimum=0,
            description="Same device and time as a reading already stored.",
        ),
        "rejected": Schema(
            type=OpenAPIType.ARRAY,
            items=Reference(ref="#/components/schemas/Rejection"),
            description=f"Not stored; do not send them again. The first {SHOWN} of each code; "
            "`moreRejected` has the others.",
        ),
        "moreRejected": dataclasses.replace(
            _MORE, description="Rejected items beyond those, by code, if there are any."
        ),
        "warnings": Schema(
            type=OpenAPIType.ARRAY,
            items=Reference(ref="#/components/schemas/Rejection"),
            description="Stored without a value, or at another time than sent, if there are any; "
            f"the first {SHOWN} of each code.",
        ),
        "moreWarnings": dataclasses.replace(
            _MORE, description="Items with warnings beyond those, by code, if there are any."
        ),
    },
)
_OUTCOME_REF = Reference(ref="#/components/schemas/IngestOutcome")
_INGEST = Operation(
    operation_id="Ingest",
    tags=["Ingest"],
    summary="Store readings",
    description="Answers once the readings are committed. A device may drop readings that were "
    "answered with 200, 207 or 422, and should resend on 408, 429, 503 or no answer; each reading "
    "is stored only once.",
    request_body=RequestBody(
        required=True,
        description="One reading, or an array of readings of both kinds; in NDJSON, one reading "
        "per line. Content-Encoding may be gzip or zstd.",
        content={
            "application/json": OpenAPIMediaType(schema=_ONE_OR_MANY, example=_EXAMPLE),
            "application/x-ndjson": OpenAPIMediaType(schema=_READING),
            "application/msgpack": OpenAPIMediaType(schema=_ONE_OR_MANY),
        },
    ),
    responses={
        "200": response(
            "All readings are stored, by this request or before.",
            {"application/json": _OUTCOME_REF},
        ),
        "207": response("Some readings were rejected.", {"application/json": _OUTCOME_REF}),
        "422": response(
            "All readings were rejected; a problem document with these fields.",
            {"application/problem+json": _OUTCOME_REF},
        ),
        "400": problem_response(_DESCRIPTIONS["400"]),
        "408": problem_response("The body did not arrive in time; nothing was stored."),
        "413": problem_response("The body or the batch is too large; nothing was stored."),
        "415": problem_response(
            "The body's type or encoding is not supported; nothing was stored."
        ),
        "503": problem_response(_DESCRIPTIONS["503"]),
        **refusals_of("ingest"),
    },
)


async def document(app: Litestar) -> bytes:
    """Return the document as JSON; it is made once, on first use, in a thread.

    Making it takes longer than the rest of the start.
    """
    if "document" not in app.state:
        app.state.document = asyncio.get_running_loop().run_in_executor(None, _made, app)
    made: bytes = await asyncio.shield(app.state.document)
    return made


def _made(app: Litestar) -> bytes:
    document = app.openapi_schema
    document.components.schemas |= {
        "IngestOutcome": _OUTCOME,
        "Rejection": _REJECTION,
        "Problem": _PROBLEM,
    }
    for path, item, method, handler in _operations(app):
        operation: Operation | None = getattr(item, method.lower())
        if operation is not None:
            _describe(path, operation, handler)
    document.paths = {"/v1/ingest": PathItem(post=_INGEST), **(document.paths or {})}
    return encode_json(document.to_schema())


def _operations(app: Litestar) -> Iterator[tuple[str, PathItem, str, HTTPRouteHandler]]:
    """Yield every operation of the document with its path and its handler."""
    paths = app.openapi_schema.paths or {}
    for route in app.routes:
        if isinstance(route, HTTPRoute) and (item := paths.get(route.path_format)):
            for method, (handler, _) in route.route_handler_map.items():
                yield route.path_format, item, method, handler


def _describe(path: str, operation: Operation, handler: HTTPRouteHandler) -> None:
    """Add the problems that an operation can answer with, and what its success means."""
    responses = {**(operation.responses or {})}
    for status, answer in responses.items():
        if isinstance(answer, OpenAPIResponse) and answer.description == _default(status):
            answer.description = "Done."
    if operation.parameters or operation.request_body:
        responses["400"] = problem_response(_DESCRIPTIONS["400"])
    if "{" in path and not handler.opt.get(NEVER_UNKNOWN):
        responses.setdefault("404", problem_response(_DESCRIPTIONS["404"]))
    needed = handler.opt[SCOPE]
    if needed == PUBLIC:
        operation.security = []
    else:
        responses = {**refusals_of(None if needed == SIGNED_IN else needed), **responses}
    if path.startswith("/v1/") or path == "/health/ready":
        responses.setdefault("503", problem_response(_DESCRIPTIONS["503"]))
    operation.responses = responses


def _default(status: str) -> str:
    """Return the framework's description of a status."""
    return HTTPStatus(int(status)).description
