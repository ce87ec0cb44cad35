"""GET /v1/transactions: what charging stations report, as sessions of record."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from litestar.status_codes import HTTP_404_NOT_FOUND
from msgspec import Meta

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.devices.transaction_lists import (
    Filter,
    ListedTransaction,
    UnknownTransactionError,
    transaction_of_number,
    transactions,
)
from fleetmeter.devices.transactions import MOST_STATION_ID, Measures
from fleetmeter.energy.vehicle import kwh_or_null
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.parameters import (
    Cursor,
    Limit,
    Page,
    after,
    check_printable,
    check_time,
    page,
    parse_time,
    takes,
)
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.readings.model import Timestamp

_MOST_NUMBER = 2**31 - 1

Number = Annotated[int, PathParameter(ge=1, le=_MOST_NUMBER)]
Since = Annotated[
    str | None,
    QueryParameter(
        name="from",
        required=False,
        description="Only those that began at or after it, RFC 3339.",
        schema_extra={"format": "date-time"},
    ),
]
Until = Annotated[
    str | None,
    QueryParameter(
        name="to",
        required=False,
        description="Only those that began before it, RFC 3339.",
        schema_extra={"format": "date-time"},
    ),
]
MeterIs = Annotated[
    str | None,
    QueryParameter(
        name="meterId", required=False, max_length=64, description="Only at this meter."
    ),
]
VehicleIs = Annotated[
    str | None,
    QueryParameter(
        name="vehicleId", required=False, max_length=64, description="Only of this vehicle."
    ),
]
StationIs = Annotated[
    str | None,
    QueryParameter(
        name="stationId",
        required=False,
        max_length=MOST_STATION_ID,
        description="Only of this charging station.",
    ),
]
TransactionIs = Annotated[
    str | None,
    QueryParameter(
        name="transactionId",
        required=False,
        max_length=64,
        description="Only with this `transactionId`, which is the `sessionId` of its readings.",
    ),
]
IsOpen = Annotated[
    bool | None,
    QueryParameter(required=False, description="Only those that are open, or that have ended."),
]


class ChargingTransaction(msgspec.Struct, rename="camel", kw_only=True):
    """A transaction that a charging station reported."""

    number: int
    transaction_id: Annotated[
        str,
        Meta(
            description="What the station calls it (its number, if the station was told that); "
            "the `sessionId` of its readings."
        ),
    ]
    station_id: Annotated[str | None, Meta(description="Null if the meter is not within reach.")]
    connector: Annotated[
        int | None, Meta(description="connectorId of OCPP 1.6, EVSE id of OCPP 2.0.1.")
    ]
    meter_id: Annotated[str | None, Meta(description="The meter of the outlet.")]
    measures: Annotated[Measures, Meta(description="Whether the outlet meters AC or DC.")]
    vehicle_id: Annotated[
        str | None, Meta(description="Whom the token stood for when the transaction began.")
    ]
    driver: str | None
    token: Annotated[
        str | None, Meta(description="As the station sent it; null if there was none, or erased.")
    ]
    started_at: Annotated[
        datetime | None, Meta(description="Null if only its end has been reported.")
    ]
    ended_at: datetime | None
    open: Annotated[bool, Meta(description="True until its end has been reported.")]
    duration_s: Annotated[
        float | None, Meta(description="Null if one end is not known, or is before the other.")
    ]
    meter_start: Annotated[float | None, Meta(description="The outlet's register, kWh.")]
    meter_end: Annotated[float | None, Meta(description="The outlet's register, kWh.")]
    energy: Annotated[
        float | None,
        Meta(
            description="`meterEnd` less `meterStart`, kWh; null if one is missing or the register "
            "fell."
        ),
    ]
    reason: Annotated[
        str | None, Meta(description="Why it ended, in the station's word.", examples=["Local"])
    ]


class _Key(msgspec.Struct, array_like=True):
    """The last item of a page."""

    at: Timestamp
    number: Annotated[int, Meta(ge=1, le=_MOST_NUMBER)]


@get(
    "/",
    summary="List charging transactions",
    operation_id="V1TransactionsList",
    before_request=takes(
        "from",
        "to",
        "meterId",
        "vehicleId",
        "stationId",
        "transactionId",
        "open",
        "limit",
        "cursor",
    ),
)
async def list_transactions(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    from_: Since = None,
    to: Until = None,
    meter_id: MeterIs = None,
    vehicle_id: VehicleIs = None,
    station_id: StationIs = None,
    transaction_id: TransactionIs = None,
    open: IsOpen = None,  # noqa: A002 - errors name the argument
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[ChargingTransaction]:
    """Newest first. Without `from` and `to`, all that are kept."""
    for name, value in (
        ("meterId", meter_id),
        ("vehicleId", vehicle_id),
        ("stationId", station_id),
        ("transactionId", transaction_id),
    ):
        check_printable(name, value)
    start = parse_time("from", from_) if from_ else None
    end = parse_time("to", to) if to else None
    if start and end and start >= end:
        raise invalid_parameter("from", "must be before to")
    behind = after(cursor, _Key)
    async with database.answering() as connection:
        found = await transactions(
            connection,
            Filter(
                start=start,
                end=end,
                meter=meter_id,
                vehicle=vehicle_id,
                station=station_id,
                own_id=transaction_id,
                open=open,
            ),
            (check_time("cursor", behind.at), behind.number) if behind else None,
            limit + 1,
            reach,
        )
    listed = page(found, limit, key=lambda item: _Key(item.at, item.number))
    return Page([_shown(item) for item in listed.items], listed.next_cursor)


@get("/{number:int}", summary="Get a charging transaction", operation_id="V1TransactionsGet")
async def get_transaction(
    database: NamedDependency[Database], reach: NamedDependency[Reach], number: Number
) -> ChargingTransaction:
    """Returns one transaction by its number."""
    async with database.connection() as connection:
        try:
            return _shown(await transaction_of_number(connection, number, reach))
        except UnknownTransactionError as error:
            raise problem(HTTP_404_NOT_FOUND, str(error), kind="unknown-transaction") from None


def _shown(item: ListedTransaction) -> ChargingTransaction:
    duration_s = None
    if item.started_at is not None and item.ended_at is not None:
        duration_s = (item.ended_at - item.started_at).total_seconds()
    return ChargingTransaction(
        number=item.number,
        transaction_id=item.transaction_id,
        station_id=item.station_id,
        connector=item.connector,
        meter_id=item.meter_id,
        measures=item.measures,
        vehicle_id=item.vehicle_id,
        driver=item.driver,
        token=item.token,
        started_at=item.started_at,
        ended_at=item.ended_at,
        open=item.ended_at is None,
        duration_s=duration_s if duration_s is None or duration_s >= 0 else None,
        meter_start=kwh_or_null(item.register_start_mwh),
        meter_end=kwh_or_null(item.register_end_mwh),
        energy=kwh_or_null(item.energy_mwh),
        reason=item.reason,
    )


charging_transactions = Router(
    "/v1/transactions",
    tags=["Transactions"],
    opt={SCOPE: "read"},
    before_request=takes(),
    route_handlers=[list_transactions, get_transaction],
)
