"""Answers errors as InfluxDB does: JSON that its clients show, and statuses that they act upon.

What Telegraf does was read in its source. `outputs.influxdb_v2` keeps what it sent for later after
401, 403, 429, 502, 503 and 504, sends it in two halves after 413, and drops it after any other 4xx;
`outputs.influxdb`, which writes to `/write`, drops it after every 4xx. So what was not stored, and
could be if it is sent again, gets 503.
"""

from typing import Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.status_codes import (
    HTTP_400_BAD_REQUEST,
    HTTP_401_UNAUTHORIZED,
    HTTP_403_FORBIDDEN,
    HTTP_405_METHOD_NOT_ALLOWED,
    HTTP_408_REQUEST_TIMEOUT,
    HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    HTTP_415_UNSUPPORTED_MEDIA_TYPE,
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_503_SERVICE_UNAVAILABLE,
)
from litestar.types import ExceptionHandlersMap

from fleetmeter.access.rates import RateExceededError
from fleetmeter.connections.problem_documents import RETRY_AFTER_S
from fleetmeter.http.shared.problems import PROBLEMS, problem_from

VERSION_1_WRITE = "/write"

_CODES = {
    HTTP_400_BAD_REQUEST: "invalid",
    HTTP_401_UNAUTHORIZED: "unauthorized",
    HTTP_403_FORBIDDEN: "forbidden",
    HTTP_405_METHOD_NOT_ALLOWED: "method not allowed",
    HTTP_413_REQUEST_ENTITY_TOO_LARGE: "request too large",
    HTTP_415_UNSUPPORTED_MEDIA_TYPE: "unsupported media type",
    HTTP_429_TOO_MANY_REQUESTS: "too many requests",
    HTTP_503_SERVICE_UNAVAILABLE: "unavailable",
}


class InfluxError(msgspec.Struct, kw_only=True):
    """What is wrong, as InfluxDB says it."""

    code: str
    message: str
    error: str
    """The message again, where version 1 has it."""


def _answer(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    problem = problem_from(error)
    status, headers = problem.status_code, dict(problem.headers or {})
    if status == HTTP_408_REQUEST_TIMEOUT or (
        isinstance(error, RateExceededError) and request.scope["path"] == VERSION_1_WRITE
    ):
        status = HTTP_503_SERVICE_UNAVAILABLE
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    said = InfluxError(
        code=_CODES.get(status, "internal error"), message=problem.detail, error=problem.detail
    )
    extra = problem.extra if isinstance(problem.extra, dict) else {}
    return Response(
        msgspec.structs.asdict(said) | {"type": problem.type_} | extra,
        status_code=status,
        headers=headers,
        media_type=MediaType.JSON,
    )


AS_INFLUXDB: ExceptionHandlersMap = dict.fromkeys((*PROBLEMS, ProblemDetailsException), _answer)
"""For the routes that InfluxDB's clients use."""
