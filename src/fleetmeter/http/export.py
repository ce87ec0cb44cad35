"""GET /v1/export: history as a file, streamed.

A response of its own kind: it notices a client that goes away or stops reading, and a file that
cannot be finished is cut so that nobody takes it for a whole one.
"""

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import structlog
from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    Schema,
)
from litestar.params import QueryParameter
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_501_NOT_IMPLEMENTED,
    HTTP_503_SERVICE_UNAVAILABLE,
)
from litestar.types import ASGIApp, Receive, Scope, Send

from fleetmeter.database.pool import Database
from fleetmeter.errors import FleetMeterError
from fleetmeter.files.columns import EXPORTED
from fleetmeter.files.exports.encode import Export, ExportsBusyError, Format, Selection
from fleetmeter.files.exports.parquet import ParquetMissingError
from fleetmeter.http.shared.parameters import (
    DEFAULT_WINDOW,
    From,
    To,
    check_device_id,
    parse_time,
    takes,
)
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.readings.ids import DEVICE_ID_PATTERN

STALL_S = 60.0
"""A client that does not take a block (256 KiB) for so long is dropped, seconds."""

_RETRY_AFTER_S = 10
"""What a client is asked to wait when other exports run."""

_MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}

_EXAMPLE = {
    "vehicleId": "EV-1",
    "timestamp": "2026-02-09T10:00:00Z",
    "kwhDeliveredDc": "1.2",
    "soc": "72.0",
    "batteryTemp": "36.0",
    "assignedMeterId": "MTR-1",
}

VehicleId = Annotated[
    str | None,
    QueryParameter(
        name="vehicleId",
        required=False,
        description="Only this vehicle's readings.",
        schema_extra={"pattern": DEVICE_ID_PATTERN},
    ),
]
MeterId = Annotated[
    str | None,
    QueryParameter(
        name="meterId",
        required=False,
        description="Only this meter's own readings.",
        schema_extra={"pattern": DEVICE_ID_PATTERN},
    ),
]
FileFormat = Annotated[Format, QueryParameter(required=False)]

_log = structlog.get_logger()


@dataclass
class _Operation(Operation):
    """The answers are files, which a signature cannot tell."""

    def __post_init__(self) -> None:
        problem_document = Reference(ref="#/components/schemas/Problem")
        csv = Schema(
            type=OpenAPIType.STRING,
            description="A header, then a line for each reading.",
            examples=[f"{','.join(EXPORTED)}\n{','.join(_EXAMPLE.get(n, '') for n in EXPORTED)}"],
        )
        parquet = Schema(type=OpenAPIType.STRING, format="binary")  # type: ignore[arg-type]
        self.responses = {
            "200": OpenAPIResponse(
                description="The file.",
                content={
                    "text/csv": OpenAPIMediaType(schema=csv),
                    _MEDIA_TYPES["parquet"]: OpenAPIMediaType(schema=parquet),
                },
            )
        }
        for status, description in (
            ("404", "The device is not known."),
            ("501", "Parquet is not installed with this service."),
        ):
            self.responses[status] = OpenAPIResponse(
                description=description,
                content={"application/problem+json": OpenAPIMediaType(schema=problem_document)},
            )


@get(
    "/v1/export",
    summary="History as a CSV or Parquet file",
    tags=["Export"],
    operation_class=_Operation,
    before_request=takes("from", "to", "format", "vehicleId", "meterId"),
)
async def export(
    database: NamedDependency[Database],
    from_: From = None,
    to: To = None,
    format: FileFormat = "csv",  # noqa: A002 - errors name the argument
    vehicle_id: VehicleId = None,
    meter_id: MeterId = None,
) -> ASGIApp:
    """Every reading of a window of any length, as it was sent, so that it can be imported again.

    The last three columns are derived: the meter that an assignment gave, a register's interval
    energy, and whether the register was reset. Readings come in parts (a day of UTC after the other
    on TimescaleDB; all at once on PostgreSQL), and within a part device after device, in the order
    in which they became known, each by time. Two exports run at a time. A file that could not be
    finished ends without the last chunk of its response.
    """
    if vehicle_id is not None and meter_id is not None:
        raise invalid_parameter("meterId", "goes without vehicleId: ask for one device, or for all")
    for name, device_id in (("vehicleId", vehicle_id), ("meterId", meter_id)):
        if device_id is not None:
            check_device_id(name, device_id)
    end = parse_time("to", to) if to else datetime.now(UTC)
    start = parse_time("from", from_) if from_ else end - DEFAULT_WINDOW
    if start >= end:
        raise invalid_parameter("from", "must be before to")
    selection = Selection(start=start, end=end, vehicle_id=vehicle_id, meter_id=meter_id)
    headers = [
        (b"content-type", _MEDIA_TYPES[format].encode()),
        (b"content-disposition", f'attachment; filename="{_name(selection)}.{format}"'.encode()),
    ]
    return _Download(Export(database, selection, format), headers)


class _StalledError(FleetMeterError):
    """The client has stopped reading."""


class _Download:
    """Sends an export for as long as somebody reads it. Raises problems before the first byte."""

    def __init__(self, export_: Export, headers: list[tuple[bytes, bytes]]) -> None:
        self._export = export_
        self._headers = headers
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait([sending, gone], return_when=asyncio.FIRST_COMPLETED)
            sending.cancel()
            await asyncio.wait([sending])
            error = None if sending.cancelled() else sending.exception()
            if error is not None:
                if not self._started:
                    raise _as_problem(error)
                await self._cut(error, receive, gone)
        finally:
            sending.cancel()
            gone.cancel()
            await asyncio.wait([sending, gone])

    async def _send(self, send: Send) -> None:
        async with aclosing(self._export.blocks()) as blocks:
            async for block in blocks:
                try:
                    async with asyncio.timeout(STALL_S):
                        await self._start(send)
                        await send({"type": "http.response.body", "body": block, "more_body": True})
                except TimeoutError:
                    raise _StalledError(f"the client took nothing for {STALL_S:g} s") from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, send: Send) -> None:
        if not self._started:
            self._started = True
            await send(
                {
                    "type": "http.response.start",
                    "status": HTTP_200_OK,
                    "headers": self._headers,
                }
            )

    async def _cut(
        self, error: BaseException, receive: Receive, gone: "asyncio.Task[None]"
    ) -> None:
        """End the connection, without the chunk that would say that the file is whole."""
        known = isinstance(error, FleetMeterError)
        _log.log(
            30 if known else 40,
            "an export was cut",
            error=str(error),
            readings=self._export.readings,
            exc_info=None if known else error,
        )
        # ASGI has no word for it, and a server would first wait for the client to read the rest;
        # what `receive` belongs to in uvicorn knows the connection
        transport = getattr(getattr(receive, "__self__", None), "transport", None)
        if transport is None:
            raise error
        transport.abort()
        await asyncio.wait([gone], timeout=1)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _as_problem(error: BaseException) -> BaseException:
    match error:
        case ExportsBusyError():
            return problem(
                HTTP_503_SERVICE_UNAVAILABLE,
                f"{error}; try again later",
                kind="exports-busy",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            )
        case ParquetMissingError():
            return problem(HTTP_501_NOT_IMPLEMENTED, str(error), kind="parquet-not-installed")
    return error


def _name(selection: Selection) -> str:
    """A file name that every system takes: what the file is about."""
    device = re.sub(r"[^\w.-]", "-", selection.vehicle_id or selection.meter_id or "")
    times = [
        time.strftime("%Y-%m-%d" if time.time() == datetime.min.time() else "%Y-%m-%dT%H%M%SZ")
        for time in (selection.start, selection.end)
    ]
    return "_".join(["fleetmeter", *filter(None, [device]), *times])
