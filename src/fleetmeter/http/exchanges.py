"""Meter exchanges: /v1/meters/{meter_id}/exchanges."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from litestar.status_codes import HTTP_404_NOT_FOUND, HTTP_409_CONFLICT
from msgspec import Meta

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.devices.exchanges import Exchange, OtherExchangeError, state, stated, withdraw
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.operations import described, problem_response
from fleetmeter.http.shared.parameters import (
    Cursor,
    DeviceIdPath,
    Limit,
    Page,
    after,
    check_device_id,
    check_time,
    page,
    takes,
)
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.readings.kinds import MAX_REGISTER_KWH
from fleetmeter.readings.model import MAX_AHEAD_S, Timestamp, rfc3339
from fleetmeter.readings.validate import MWH

Register = Literal["kwhConsumedAcTotal", "kwhExportedAcTotal"]
_REGISTERS: tuple[Register, Register] = ("kwhConsumedAcTotal", "kwhExportedAcTotal")
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_Kwh = Annotated[float, Meta(ge=0, le=MAX_REGISTER_KWH)]


class ExchangeStatement(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The last value of the old meter and the first value of the new one."""

    at: Annotated[
        Timestamp,
        Meta(description="Time of the exchange; readings up to it are from the old meter."),
    ]
    last_kwh: Annotated[
        _Kwh, Meta(description="Last register value of the old meter, kWh.", examples=[8412.7])
    ]
    first_kwh: Annotated[
        _Kwh, Meta(description="First register value of the new meter, kWh.", examples=[0])
    ]
    register: Annotated[Register, Meta(description="Which register.")] = "kwhConsumedAcTotal"


class MeterExchange(msgspec.Struct, rename="camel", kw_only=True):
    """A meter exchange as it was recorded."""

    meter_id: str
    at: datetime
    last_kwh: float
    first_kwh: float
    register: Register
    stated_at: datetime | None


@post(
    "/{meter_id:str}/exchanges",
    status_code=200,
    summary="Record a meter exchange",
    operation_id="V1MetersExchangesState",
    operation_class=described(
        {"409": problem_response("A different exchange is recorded for that time.")}
    ),
    opt={SCOPE: "operate"},
)
async def state_exchange(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    meter_id: DeviceIdPath,
    data: JSONBody[ExchangeStatement],
) -> MeterExchange:
    """Energy continues from the new meter's first value; stored readings are updated at once.

    Sending it again changes nothing.
    """
    check_device_id("meter_id", meter_id)
    at = check_time("$.at", data.at)
    if at > datetime.now(UTC) + timedelta(seconds=MAX_AHEAD_S):
        raise invalid_parameter(
            "$.at", "is in the future; record the exchange once it has happened"
        )
    exchange = Exchange(
        at,
        data.register == _REGISTERS[1],
        round(data.last_kwh * MWH),
        round(data.first_kwh * MWH),
    )
    try:
        return _shown(meter_id, await state(database, meter_id, exchange, reach))
    except OtherExchangeError as error:
        raise problem(HTTP_409_CONFLICT, str(error), kind="other-exchange") from None


@get(
    "/{meter_id:str}/exchanges",
    summary="List a meter's exchanges",
    operation_id="V1MetersExchangesList",
)
async def list_exchanges(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    meter_id: DeviceIdPath,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[MeterExchange]:
    """Lists the recorded exchanges, oldest first."""
    at, register = _BEGINNING, _REGISTERS[0]
    if behind := after(cursor, tuple[datetime, Register]):
        at, register = check_time("cursor", behind[0]), behind[1]
    async with database.connection() as connection:
        found = await stated(connection, meter_id, at, register == _REGISTERS[1], limit + 1, reach)
    return page(
        [_shown(meter_id, each) for each in found],
        limit,
        key=lambda item: (item.at, item.register),
    )


@delete(
    "/{meter_id:str}/exchanges",
    summary="Delete a meter exchange",
    operation_id="V1MetersExchangesWithdraw",
    opt={SCOPE: "operate"},
    before_request=takes("at", "register"),
)
async def withdraw_exchange(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    meter_id: DeviceIdPath,
    at: Annotated[datetime, QueryParameter(description="Time of the recorded exchange.")],
    register: Annotated[
        Register, QueryParameter(required=False, description="Which register.")
    ] = "kwhConsumedAcTotal",
) -> None:
    """Stored readings are updated at once."""
    time = check_time("at", at)
    if not await withdraw(database, meter_id, time, reach, is_reverse=register == _REGISTERS[1]):
        raise problem(
            HTTP_404_NOT_FOUND,
            f"no exchange of {meter_id} is recorded for {rfc3339(time)}",
            kind="unknown-exchange",
        )


def _shown(meter_id: str, exchange: Exchange) -> MeterExchange:
    return MeterExchange(
        meter_id=meter_id,
        at=exchange.at,
        last_kwh=exchange.last_mwh / MWH,
        first_kwh=exchange.first_mwh / MWH,
        register=_REGISTERS[exchange.is_reverse],
        stated_at=exchange.stated_at,
    )


EXCHANGES = [state_exchange, list_exchanges, withdraw_exchange]
