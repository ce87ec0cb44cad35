"""InfluxDB's API, as far as clients that write need it: docs/inputs/influxdb.md.

`/api/v2/write`, `/api/v3/write_lp` and `/write` take line protocol; `/ping`, `/health` and `/query`
answer what clients ask before they begin. Databases, organisations and buckets are ignored.
"""

import re
from collections.abc import Generator, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response, asgi, get, head, route
from litestar.enums import HttpMethod
from litestar.exceptions import MethodNotAllowedException
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT, HTTP_400_BAD_REQUEST
from litestar.types import Receive, Scope, Send

from fleetmeter import __version__
from fleetmeter.http.influx_errors import AS_INFLUXDB, VERSION_1_WRITE, InfluxError
from fleetmeter.http.shared.authentication import KEY_IN_QUERY, PUBLIC, SCOPE
from fleetmeter.http.shared.problems import problem
from fleetmeter.http.shared.taking_in import take_in
from fleetmeter.inputs.influx import Influx
from fleetmeter.inputs.line_protocol import PRECISIONS
from fleetmeter.intake.door import IngestOutcome
from fleetmeter.readings.model import Rejection
from fleetmeter.settings import Settings

_SHOWN = 100
"""Lines that an answer names, with what is wrong with each."""

_SAID = 10
"""Lines of which the message says it in words."""

_VERSION = "v2.7.0"
"""What clients are told, which some go by."""

_HEADERS = {"X-Influxdb-Version": _VERSION, "X-Influxdb-Build": f"FleetMeter {__version__}"}
_ENCODED_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]

_MOST_QUERY = 10_000
"""Characters of a query that are looked at."""


class RefusedLine(msgspec.Struct, rename="camel"):
    """A line that was not stored, or not all of it."""

    line: int
    """From 1 on."""

    code: str
    message: str


class WriteError(InfluxError, kw_only=True):
    """What could not be stored of a body; all else was."""

    lines: Sequence[RefusedLine]
    """The first hundred."""


@asgi(
    ["/api/v2/write", "/api/v3/write_lp", VERSION_1_WRITE],
    copy_scope=False,
    exception_handlers=AS_INFLUXDB,
    opt={SCOPE: "ingest", KEY_IN_QUERY: True},
)
async def write(scope: Scope, receive: Receive, send: Send) -> None:
    """Store the readings that the mapping makes of lines; 204 once they are committed."""
    if scope.get("method") != "POST":
        raise MethodNotAllowedException(headers={"Allow": "POST"})
    state = scope["litestar_app"].state
    settings: Settings = state["settings"]
    influx: Influx = state["influx"]
    precision = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("precision", "")
    decoder = influx.decoder(_unit_ns(precision), settings.max_batch)

    def explained(outcome: IngestOutcome) -> Generator[None, None, WriteError | IngestOutcome]:
        yield
        if not outcome.rejected:
            return outcome
        return _error(outcome.rejected, decoder.line_numbers, precision or "ns")

    headers = dict(scope["headers"])
    taken = await take_in(scope, receive, headers, decoder, "influx", explained)
    if taken is None:
        return  # nobody is there to be answered
    influx.note(decoder)
    await _answer(send, taken if isinstance(taken, WriteError) else None)


def _error(
    rejected: Sequence[Rejection], line_numbers: Sequence[int], precision: str
) -> WriteError:
    """Return what a client is told; of many lines, the first in full."""
    shown = [_refused(each, line_numbers[each.index], precision) for each in rejected[:_SHOWN]]
    said = "; ".join(f"line {each.line}: {each.message}" for each in shown[:_SAID])
    count = len({line_numbers[each.index] for each in rejected})
    more = f"; and {len(rejected) - _SAID:,} more" if len(rejected) > _SAID else ""
    message = (
        f"partial write: {count:,} {'line' if count == 1 else 'lines'} cannot be stored, all "
        f"others were; do not send them again: {said}{more}"
    )
    return WriteError(code="invalid", message=message, error=message, lines=shown)


def _refused(rejection: Rejection, line: int, precision: str) -> RefusedLine:
    where = f" ({rejection.path.removeprefix('$.')})" if rejection.path else ""
    if rejection.code == "too_old":  # such as 1970, if seconds are taken for nanoseconds
        where += f"; timestamps were read with precision={precision}, is that right?"
    return RefusedLine(line, rejection.code, f"{rejection.detail}{where}")


def _unit_ns(precision: str) -> int:
    """Return what timestamps count, nanoseconds."""
    unit = PRECISIONS.get(precision)
    if unit is None:
        raise problem(
            HTTP_400_BAD_REQUEST,
            f"precision is {precision[:60]}; it can be ns, us, ms, s, m or h",
            kind="invalid-parameter",
        )
    return unit


async def _answer(send: Send, error: WriteError | None) -> None:
    body, headers, status = b"", _ENCODED_HEADERS, HTTP_204_NO_CONTENT
    if error is not None:
        status = HTTP_400_BAD_REQUEST
        body = msgspec.json.encode(error)
        of_body = {b"content-type": b"application/json", b"content-length": b"%d" % len(body)}
        headers = [*headers, *of_body.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@get("/ping", status_code=HTTP_204_NO_CONTENT, include_in_schema=False, opt={SCOPE: PUBLIC})
async def ping() -> Response[None]:
    """Answer that the service is there."""
    return Response(None, status_code=HTTP_204_NO_CONTENT, headers=_HEADERS)


@head("/ping", status_code=HTTP_204_NO_CONTENT, include_in_schema=False, opt={SCOPE: PUBLIC})
async def ping_head() -> Response[None]:
    """Answer that the service is there."""
    return Response(None, status_code=HTTP_204_NO_CONTENT, headers=_HEADERS)


@get("/health", include_in_schema=False, opt={SCOPE: PUBLIC})
async def health() -> Response[dict[str, Any]]:
    """Answer as InfluxDB does; /health/ready says whether the database answers."""
    said = {
        "name": "influxdb",
        "message": "ready for writes",
        "status": "pass",
        "checks": [],
        "version": _VERSION,
        "commit": f"FleetMeter {__version__}",
    }
    return Response(said, headers=_HEADERS)


@route(
    "/query",
    http_method=[HttpMethod.GET, HttpMethod.POST],
    status_code=HTTP_200_OK,
    include_in_schema=False,
    exception_handlers=AS_INFLUXDB,
    opt={SCOPE: "ingest", KEY_IN_QUERY: True},
)
async def query(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """Answer statements that clients of version 1 begin with; nothing is created or read."""
    asked = request.query_params.get("q", "")
    if not asked and request.method == HttpMethod.POST:
        body = (await request.body())[:_MOST_QUERY].decode(errors="replace")
        asked = dict(parse_qsl(body)).get("q", "")
    statements = [each.strip() for each in asked[:_MOST_QUERY].split(";") if each.strip()]
    results = [{"statement_id": at} | _result(each) for at, each in enumerate(statements)]
    return Response({"results": results}, headers=_HEADERS)


def _result(statement: str) -> dict[str, Any]:
    if re.match(r"(create|alter)\s+(database|retention)\b", statement, re.IGNORECASE):
        return {}
    if re.match(r"show\s+databases\b", statement, re.IGNORECASE):
        values = [["fleetmeter"]]
        return {"series": [{"name": "databases", "columns": ["name"], "values": values}]}
    return {"error": "FleetMeter takes what is written here; its own API has the answers: /docs"}
