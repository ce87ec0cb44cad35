"""Lets a handler describe, next to its code, what its signature cannot show in OpenAPI."""

from collections.abc import Mapping
from dataclasses import dataclass

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

NEVER_UNKNOWN = "never_unknown"
"""Key of a handler's `opt`: true where a path with parameters answers no 404."""


def described(
    responses: Mapping[str, OpenAPIResponse], request_body: RequestBody | None = None
) -> type[Operation]:
    """Return the class of an operation that also has these responses, and this body."""

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.responses = {**(self.responses or {}), **responses}
            self.request_body = request_body or self.request_body

    return Described


def response(description: str, content: Mapping[str, Schema | Reference]) -> OpenAPIResponse:
    """Return a response by the schemas of its media types."""
    return OpenAPIResponse(
        description=description,
        content={name: OpenAPIMediaType(schema=schema) for name, schema in content.items()},
    )


def problem_response(description: str) -> OpenAPIResponse:
    """Return a response that is a problem document."""
    return response(description, {"application/problem+json": component("Problem")})


def refusals_of(scope: str | None) -> dict[str, OpenAPIResponse]:
    """Return the responses to a request without a key that has a scope, by status."""
    cookie = "A browser's cookie came with a page of another site, or without its token."
    return {
        "401": problem_response("A valid key is needed."),
        "403": problem_response(
            f"The key does not have the scope `{scope}`, or not this reach. {cookie}"
            if scope
            else cookie
        ),
        "429": problem_response(
            "The key sends more than it may, or too many wrong keys came from this address; "
            "see Retry-After."
        ),
    }


def component(name: str) -> Reference:
    """Return a reference to a schema of the document."""
    return Reference(ref=f"#/components/schemas/{name}")


OUT_OF_REACH = problem_response("It would concern devices that are not within the key's reach.")
"""The 403 of whatever changes devices."""
