"""GET /v1/export: history as a file, streamed."""

import re
from datetime import UTC, datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.params import QueryParameter
from litestar.status_codes import HTTP_501_NOT_IMPLEMENTED, HTTP_503_SERVICE_UNAVAILABLE
from litestar.types import ASGIApp, Receive, Scope, Send

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.files.column_names import EXPORTED
from fleetmeter.files.exports.encode import Export, ExportFormat, ExportsBusyError, Selection
from fleetmeter.files.exports.parquet import ParquetMissingError
from fleetmeter.http.shared.authentication import LASTS, SCOPE
from fleetmeter.http.shared.operations import described, problem_response, response
from fleetmeter.http.shared.parameters import (
    DEFAULT_WINDOW,
    From,
    To,
    check_device_id,
    parse_time,
    takes,
)
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.http.shared.streaming import send_pieces
from fleetmeter.readings.ids import DEVICE_ID_PATTERN

STALL_S = 60.0
"""A client that takes no block (256 KiB) for this long is dropped, seconds."""

_RETRY_AFTER_S = 10
"""Retry-After while other exports run, seconds."""

_MEDIA_TYPES: dict[ExportFormat, str] = {
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
FileFormat = Annotated[ExportFormat, QueryParameter(required=False)]


_CSV = Schema(
    type=OpenAPIType.STRING,
    description="A header, then one line per reading.",
    examples=[f"{','.join(EXPORTED)}\n{','.join(_EXAMPLE.get(name, '') for name in EXPORTED)}"],
)
_PARQUET = Schema(type=OpenAPIType.STRING, format="binary")  # type: ignore[arg-type]

_RESPONSES = {
    "200": response("The file.", {"text/csv": _CSV, _MEDIA_TYPES["parquet"]: _PARQUET}),
    "404": problem_response("The device is not known."),
    "501": problem_response("This service has no Parquet support installed."),
}


@get(
    "/v1/export",
    summary="Export history as CSV or Parquet",
    tags=["Export"],
    opt={SCOPE: "read", LASTS: True},
    operation_class=described(_RESPONSES),
    before_request=takes("from", "to", "format", "vehicleId", "meterId"),
)
async def export(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    from_: From = None,
    to: To = None,
    format: FileFormat = "csv",  # noqa: A002 - errors name the argument
    vehicle_id: VehicleId = None,
    meter_id: MeterId = None,
) -> ASGIApp:
    """Exports every reading of a window of any length, as it was sent, ready to be imported again.

    The last columns are derived: the meter by assignment, a register's interval energy, whether
    the register was reset, and the time that was sent. Readings come in parts (one per UTC day on
    TimescaleDB, a single one on PostgreSQL); within a part, device by device in the order in which
    they became known, each sorted by time. At most two exports run at a time. A file that could not
    be completed ends without the last chunk of its response.
    """
    if vehicle_id is not None and meter_id is not None:
        raise invalid_parameter(
            "meterId", "cannot be combined with vehicleId; ask for one device or for all"
        )
    for name, device_id in (("vehicleId", vehicle_id), ("meterId", meter_id)):
        if device_id is not None:
            check_device_id(name, device_id)
    end = parse_time("to", to) if to else datetime.now(UTC)
    start = parse_time("from", from_) if from_ else end - DEFAULT_WINDOW
    if start >= end:
        raise invalid_parameter("from", "must be before to")
    selection = Selection(
        start=start, end=end, reach=reach, vehicle_id=vehicle_id, meter_id=meter_id
    )
    headers = [
        (b"content-type", _MEDIA_TYPES[format].encode()),
        (b"content-disposition", f'attachment; filename="{_name(selection)}.{format}"'.encode()),
    ]
    return _Download(Export(database, selection, format), headers)


class _Download:
    """Sends an export. Raises problems before the first byte."""

    def __init__(self, export_: Export, headers: list[tuple[bytes, bytes]]) -> None:
        self._export = export_
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send_pieces(
                self._export.blocks(),
                receive,
                send,
                name="an export",
                headers=self._headers,
                stall_s=STALL_S,
            )
        except ExportsBusyError as error:
            raise problem(
                HTTP_503_SERVICE_UNAVAILABLE,
                f"{error}; try again later",
                kind="exports-busy",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            ) from None
        except ParquetMissingError as error:
            raise problem(
                HTTP_501_NOT_IMPLEMENTED, str(error), kind="parquet-not-installed"
            ) from None


def _name(selection: Selection) -> str:
    """Return a file name that every system accepts, with the device and the window."""
    device = re.sub(r"[^\w.-]", "-", selection.vehicle_id or selection.meter_id or "")
    times = [
        time.strftime("%Y-%m-%d" if time.time() == datetime.min.time() else "%Y-%m-%dT%H%M%SZ")
        for time in (selection.start, selection.end)
    ]
    return "_".join(["fleetmeter", *filter(None, [device]), *times])
