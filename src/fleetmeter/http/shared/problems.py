"""Errors as HTTP problems: application/problem+json (RFC 9457), one shape everywhere."""

from collections.abc import Callable
from math import ceil
from typing import Any

import structlog
from litestar.exceptions import (
    HTTPException,
    SerializationException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.plugins.problem_details import (
    ProblemDetailsConfig,
    ProblemDetailsException,
    ProblemDetailsPlugin,
)
from litestar.status_codes import (
    HTTP_400_BAD_REQUEST,
    HTTP_403_FORBIDDEN,
    HTTP_404_NOT_FOUND,
    HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_500_INTERNAL_SERVER_ERROR,
    HTTP_503_SERVICE_UNAVAILABLE,
)

from fleetmeter.access.issuer import RETRY_S, IssuerUnavailableError
from fleetmeter.access.rates import BURST_S, RateExceededError
from fleetmeter.anomalies.incidents.reports import UnknownAnomalyError
from fleetmeter.connections.problem_documents import RETRY_AFTER_S, problem_of
from fleetmeter.errors import (
    BatchTooLargeError,
    BodyTooLargeError,
    BusyError,
    CommitTimeoutError,
    DatabaseUnavailableError,
    MalformedBodyError,
    NotMigratedError,
    OutOfReachError,
    QueueFullError,
    UnknownDeviceError,
    UnknownSiteError,
)
from fleetmeter.metrics import count_denied
from fleetmeter.readings.ids import DEVICE_ID_PATTERN, DEVICE_ID_RULE, SITE_PATTERN, SITE_RULE

BUSY_RETRY_AFTER_S = 5
"""Retry-After where a slow answer is awaited, seconds."""

NUL = "\0"
"""The character that no text in the database can have."""

HAS_NUL = "contains the character U+0000"

_RULES = {repr(DEVICE_ID_PATTERN): DEVICE_ID_RULE, repr(SITE_PATTERN): SITE_RULE}
"""Patterns explained in words."""

_log = structlog.get_logger()


def problem(
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    headers: dict[str, str] | None = None,
    **extra: Any,
) -> ProblemDetailsException:
    """Return a problem to raise; its stable type is urn:fleetmeter:problem:<kind>."""
    document = problem_of(status, detail, kind)
    return ProblemDetailsException(
        status_code=status,
        type_=document.type,
        title=document.title,
        detail=detail,
        headers=headers,
        extra=extra,
    )


def invalid_parameter(name: str, detail: str) -> ProblemDetailsException:
    """Return a 400 for one query parameter or body field."""
    return problem(
        HTTP_400_BAD_REQUEST,
        f"{name}: {detail}",
        kind="invalid-parameter",
        errors=[{"path": name, "detail": detail}],
    )


def _from_http(error: HTTPException) -> ProblemDetailsException:
    if isinstance(error, ProblemDetailsException):
        return error
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        errors = [
            {"path": _path(item), "detail": _detail(item)}
            for item in error.extra
            if isinstance(item, dict)
        ]
        return problem(
            HTTP_400_BAD_REQUEST,
            "; ".join(f"{item['path']}: {item['detail']}" for item in errors),
            kind="invalid-parameter",
            errors=errors,
        )
    if isinstance(error, RequestEntityTooLarge):
        return problem(
            error.status_code, "the body is larger than 2 MiB, or than FLEETMETER_MAX_BODY_BYTES"
        )
    if isinstance(error.__cause__, SerializationException):
        return _from_malformed(MalformedBodyError(f"the body is not valid JSON: {error.detail}"))
    return problem(error.status_code, error.detail, headers=dict(error.headers or {}))


def _detail(item: dict[str, Any]) -> str:
    """Replace patterns by words, and the framework's name of a missing body."""
    message: str = item["message"]
    for pattern, rule in _RULES.items():
        if pattern in message:
            return rule
    return "the body is missing" if message == "'data'" else message


def _path(item: dict[str, Any]) -> str:
    """Return a parameter's name, or the JSON path of a body field."""
    key: str = item.get("key", "")
    if item.get("source") != "body":
        return key.removesuffix("_")  # an argument cannot be called from, or scope
    return "$" if key == "data" else f"$.{key}"


def _from_malformed(error: MalformedBodyError) -> ProblemDetailsException:
    return problem(HTTP_400_BAD_REQUEST, str(error), kind="malformed-body")


def _from_too_large(error: BatchTooLargeError) -> ProblemDetailsException:
    return problem(HTTP_413_REQUEST_ENTITY_TOO_LARGE, str(error), kind="batch-too-large")


def _from_unavailable(error: DatabaseUnavailableError) -> ProblemDetailsException:
    _log.warning("database unavailable", error=str(error))
    return problem(
        HTTP_503_SERVICE_UNAVAILABLE,
        "the database cannot be reached; try again (sending readings again is safe)",
        kind="database-unavailable",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def not_migrated(missing: str) -> ProblemDetailsException:
    """Return a 503 for a database that is not at this version."""
    return problem(
        HTTP_503_SERVICE_UNAVAILABLE,
        f"the database is not migrated ({missing}); run: fleetmeter migrate",
        kind="not-migrated",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _from_large_body(error: BodyTooLargeError) -> ProblemDetailsException:
    return problem(HTTP_413_REQUEST_ENTITY_TOO_LARGE, str(error))


def _from_not_migrated(error: NotMigratedError) -> ProblemDetailsException:
    _log.error("the database is not migrated", error=str(error))
    return not_migrated(str(error))


def _from_busy(error: BusyError) -> ProblemDetailsException:
    return problem(
        HTTP_503_SERVICE_UNAVAILABLE,
        f"{error}; try again later",
        kind="busy",
        headers={"Retry-After": str(BUSY_RETRY_AFTER_S)},
    )


def _from_full(error: QueueFullError) -> ProblemDetailsException:
    return problem(
        HTTP_503_SERVICE_UNAVAILABLE,
        f"{error}; nothing was stored, send the request again later",
        kind="overloaded",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _from_timeout(error: CommitTimeoutError) -> ProblemDetailsException:
    known = "some of it may have been stored" if error.maybe_stored else "nothing of it was stored"
    return problem(
        HTTP_503_SERVICE_UNAVAILABLE,
        f"{error}; {known}, and sending it again is safe",
        kind="commit-timeout",
        headers={"Retry-After": str(RETRY_AFTER_S)},
        maybeStored=error.maybe_stored,
    )


def _from_undecodable(error: Exception) -> ProblemDetailsException:
    """Map what decoding a body raises when it is not UTF-8 or is nested too deeply."""
    said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return _from_malformed(MalformedBodyError(f"the body is not valid JSON: {said}"))


def _from_issuer(error: IssuerUnavailableError) -> ProblemDetailsException:
    return problem(
        HTTP_503_SERVICE_UNAVAILABLE,
        f"{error}; try again later, or send an access key",
        kind="issuer-unavailable",
        headers={"Retry-After": str(ceil(RETRY_S))},
    )


def _from_rate(error: RateExceededError) -> ProblemDetailsException:
    """Map an exceeded rate, with the headers of draft-ietf-httpapi-ratelimit-headers-11."""
    count_denied("rate")
    seconds = ceil(error.wait_s)
    return problem(
        HTTP_429_TOO_MANY_REQUESTS,
        f"{error}; nothing was done, send the request again later",
        kind="rate-exceeded",
        headers={
            "Retry-After": str(seconds),
            "RateLimit-Policy": f'"{error.unit}";q={error.size};w={BURST_S}',
            "RateLimit": f'"{error.unit}";r={error.remaining};t={seconds}',
        },
    )


def _from_out_of_reach(error: OutOfReachError) -> ProblemDetailsException:
    count_denied("reach")
    return problem(HTTP_403_FORBIDDEN, str(error), kind="out-of-reach")


def _from_unknown_device(error: UnknownDeviceError) -> ProblemDetailsException:
    return problem(HTTP_404_NOT_FOUND, str(error), kind=f"unknown-{error.kind}")


def _from_unknown_site(error: UnknownSiteError) -> ProblemDetailsException:
    return problem(HTTP_404_NOT_FOUND, str(error), kind="unknown-site")


def _from_unknown_anomaly(error: UnknownAnomalyError) -> ProblemDetailsException:
    return problem(HTTP_404_NOT_FOUND, str(error), kind="unknown-anomaly")


def _from_defect(error: Exception) -> ProblemDetailsException:
    _log.error("request failed", exc_info=error)
    return problem(HTTP_500_INTERNAL_SERVER_ERROR, "an internal error; it has been logged")


PROBLEMS: dict[type[Exception], Callable[[Any], ProblemDetailsException]] = {
    HTTPException: _from_http,
    MalformedBodyError: _from_malformed,
    BatchTooLargeError: _from_too_large,
    BusyError: _from_busy,
    BodyTooLargeError: _from_large_body,
    DatabaseUnavailableError: _from_unavailable,
    NotMigratedError: _from_not_migrated,
    QueueFullError: _from_full,
    CommitTimeoutError: _from_timeout,
    UnicodeDecodeError: _from_undecodable,
    RecursionError: _from_undecodable,
    IssuerUnavailableError: _from_issuer,
    RateExceededError: _from_rate,
    OutOfReachError: _from_out_of_reach,
    UnknownDeviceError: _from_unknown_device,
    UnknownSiteError: _from_unknown_site,
    UnknownAnomalyError: _from_unknown_anomaly,
    Exception: _from_defect,
}
"""How each error becomes a problem."""

problem_details = ProblemDetailsPlugin(
    ProblemDetailsConfig(exception_to_problem_detail_map=dict(PROBLEMS))
)


def problem_from(error: Exception) -> ProblemDetailsException:
    """Return an error as a problem."""
    return next(PROBLEMS[kind] for kind in type(error).mro() if kind in PROBLEMS)(error)
