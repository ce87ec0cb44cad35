"""Problem documents (RFC 9457) of the service and of the HTTP server below it."""

from typing import NamedTuple

import msgspec
from litestar.status_codes import (
    HTTP_400_BAD_REQUEST,
    HTTP_401_UNAUTHORIZED,
    HTTP_403_FORBIDDEN,
    HTTP_404_NOT_FOUND,
    HTTP_405_METHOD_NOT_ALLOWED,
    HTTP_408_REQUEST_TIMEOUT,
    HTTP_409_CONFLICT,
    HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    HTTP_414_REQUEST_URI_TOO_LONG,
    HTTP_415_UNSUPPORTED_MEDIA_TYPE,
    HTTP_422_UNPROCESSABLE_ENTITY,
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_431_REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTP_500_INTERNAL_SERVER_ERROR,
    HTTP_503_SERVICE_UNAVAILABLE,
)

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER_S = 1
"""Retry-After of a 503, seconds; the pool reconnects with the next request."""

_TITLES = {
    HTTP_400_BAD_REQUEST: ("bad-request", "The request is invalid"),
    HTTP_401_UNAUTHORIZED: ("unauthorized", "A key is needed"),
    HTTP_403_FORBIDDEN: ("forbidden", "The key does not allow this"),
    HTTP_404_NOT_FOUND: ("not-found", "Not found"),
    HTTP_405_METHOD_NOT_ALLOWED: ("method-not-allowed", "Method not allowed"),
    HTTP_408_REQUEST_TIMEOUT: ("body-timeout", "The request did not arrive in time"),
    HTTP_409_CONFLICT: ("conflict", "Conflict with the current state"),
    HTTP_413_REQUEST_ENTITY_TOO_LARGE: ("too-large", "The request is too large"),
    HTTP_414_REQUEST_URI_TOO_LONG: ("url-too-long", "The URL is too long"),
    HTTP_415_UNSUPPORTED_MEDIA_TYPE: ("unsupported-media-type", "Unsupported media type"),
    HTTP_422_UNPROCESSABLE_ENTITY: ("unprocessable", "The content cannot be processed"),
    HTTP_429_TOO_MANY_REQUESTS: ("too-many-requests", "Too many requests"),
    HTTP_431_REQUEST_HEADER_FIELDS_TOO_LARGE: ("head-too-large", "The headers are too large"),
    HTTP_500_INTERNAL_SERVER_ERROR: ("internal", "Internal error"),
    HTTP_503_SERVICE_UNAVAILABLE: ("unavailable", "Temporarily unavailable"),
}


class Problem(NamedTuple):
    """What a problem document says about a refused request."""

    status: int
    type: str
    """Stable, for programs."""

    title: str
    detail: str

    def encoded(self) -> bytes:
        """Return the document as JSON."""
        return msgspec.json.encode(self._asdict())


def problem_of(status: int, detail: str, kind: str | None = None) -> Problem:
    """Return a problem; its stable type is urn:fleetmeter:problem:<kind>."""
    default_kind, title = _TITLES.get(status, (f"http-{status}", "The request failed"))
    return Problem(status, f"urn:fleetmeter:problem:{kind or default_kind}", title, detail)
