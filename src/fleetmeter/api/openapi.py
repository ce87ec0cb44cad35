"""What the OpenAPI document says beyond what the handlers' signatures do: the errors."""

from litestar import Litestar
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    Schema,
)

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
    "404": "The device is not known.",
    "408": "The body did not arrive in time; nothing was stored.",
    "413": "The body or the batch is too large; nothing was stored.",
    "415": "The body's type or encoding is not supported; nothing was stored.",
    "503": "The database is away or too much is waiting; try again after Retry-After seconds.",
}


def describe_problems(app: Litestar) -> None:
    """Give every operation the problems that it can answer with."""
    document = app.openapi_schema
    document.components.schemas["Problem"] = _PROBLEM
    for path, item in (document.paths or {}).items():
        for operation in (item.get, item.put, item.post):
            if operation is not None:
                _describe(path, operation)


def _describe(path: str, operation: Operation) -> None:
    responses = operation.responses or {}
    for status in ("200", "201"):
        if isinstance(answer := responses.get(status), OpenAPIResponse):
            answer.description = "Done."
    statuses = []
    if operation.parameters or operation.request_body:
        statuses.append("400")
    if "{" in path and operation.request_body is None:
        statuses.append("404")
    if path == "/v1/ingest":
        statuses += ["408", "413", "415"]
    if path.startswith("/v1/") or path == "/health/ready":
        statuses.append("503")
    problem = Reference(ref="#/components/schemas/Problem")
    for status in statuses:
        responses[status] = OpenAPIResponse(
            description=_DESCRIPTIONS[status],
            content={"application/problem+json": OpenAPIMediaType(schema=problem)},
        )
    operation.responses = responses
