"""Tokens: /v1/tokens, the driver and the vehicle that each stands for at charging stations."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from litestar import Router, delete, get, put
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_404_NOT_FOUND
from msgspec import Meta

from fleetmeter.access.reach import Reach
from fleetmeter.database.pool import Database
from fleetmeter.devices.tokens import (
    TokenHolder,
    UnknownTokenError,
    folded,
    forget,
    holder_of,
    holders,
    set_holder,
)
from fleetmeter.devices.transactions import MOST_TOKEN
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.operations import OUT_OF_REACH, described
from fleetmeter.http.shared.parameters import (
    Cursor,
    Limit,
    Page,
    after,
    check_device_id,
    check_printable,
    check_time,
    page,
    takes,
)
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.readings.model import MAX_AHEAD_S, DeviceId, Timestamp

TokenPath = Annotated[
    str,
    PathParameter(
        min_length=1,
        max_length=MOST_TOKEN,
        description="As a station sends it, in upper or lower case; percent-encoded.",
    ),
]
VehicleIs = Annotated[
    str | None,
    QueryParameter(
        name="vehicleId", required=False, max_length=64, description="Only of this vehicle."
    ),
]
Erase = Annotated[
    bool,
    QueryParameter(
        required=False,
        description="Whether to erase the token and its drivers from transactions, too.",
    ),
]


class NewHolder(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Whom a token stands for from `since` on."""

    vehicle_id: Annotated[
        DeviceId | None,
        Meta(description="Null if it stands for no particular vehicle.", examples=["EV-1"]),
    ]
    driver: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | None,
        Meta(description="A name or a number.", examples=["anna@example.com"]),
    ] = None
    since: Annotated[
        Timestamp | None,
        Meta(
            description="Transactions that began since then are taken over. By default now; if the "
            "token has stood for nobody, always, and transactions without vehicle and driver are "
            "taken over."
        ),
    ] = None


class Token(msgspec.Struct, rename="camel", kw_only=True):
    """Whom a token stands for."""

    token: str
    vehicle_id: str | None
    driver: str | None
    since: Annotated[datetime | None, Meta(description="Null: always.")]


class ChangedToken(Token, kw_only=True):
    """Whom a token stands for, as recorded."""

    transactions: Annotated[
        int, Meta(description="Number of transactions that have another vehicle or driver.")
    ]
    restamped: Annotated[
        int, Meta(description="Number of stored readings whose meter changed; rollups follow.")
    ]


@get(
    "/",
    summary="List tokens",
    operation_id="V1TokensList",
    before_request=takes("vehicleId", "limit", "cursor"),
)
async def list_tokens(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    vehicle_id: VehicleIs = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Token]:
    """Lists whom tokens stand for now, in the order of the tokens."""
    check_printable("vehicleId", vehicle_id)
    behind = after(cursor, str) or ""
    check_printable("cursor", behind)
    async with database.connection() as connection:
        found = await holders(connection, behind, vehicle_id, limit + 1, reach)
    return page([_shown(each) for each in found], limit, key=lambda item: folded(item.token))


@get("/{token:str}", summary="Get a token", operation_id="V1TokensGet")
async def get_token(
    database: NamedDependency[Database], reach: NamedDependency[Reach], token: TokenPath
) -> Token:
    """Returns whom a token stands for now."""
    _check(token)
    async with database.connection() as connection:
        try:
            return _shown(await holder_of(connection, token, reach))
        except UnknownTokenError as error:
            raise _unknown(error) from None


@put(
    "/{token:str}",
    summary="Set the vehicle and driver of a token",
    operation_id="V1TokensSet",
    operation_class=described({"403": OUT_OF_REACH}),
    opt={SCOPE: "operate"},
)
async def set_token(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    token: TokenPath,
    data: JSONBody[NewHolder],
) -> ChangedToken:
    """Takes over transactions and updates stored readings. Sending it again changes nothing."""
    _check(token)
    if data.vehicle_id is not None:
        check_device_id("$.vehicleId", data.vehicle_id)
    check_printable("$.driver", data.driver)
    since = None if data.since is None else check_time("$.since", data.since)
    if since and since > datetime.now(UTC) + timedelta(seconds=MAX_AHEAD_S):
        raise invalid_parameter("$.since", "is in the future; set the token when it is time")
    changed = await set_holder(
        database,
        token,
        driver=data.driver,
        vehicle_id=data.vehicle_id,
        since=since,
        reach=reach,
    )
    return ChangedToken(
        **msgspec.structs.asdict(changed.holder),
        transactions=changed.transactions,
        restamped=changed.restamped,
    )


@delete(
    "/{token:str}",
    summary="Forget a token",
    operation_id="V1TokensForget",
    operation_class=described({"403": OUT_OF_REACH}),
    opt={SCOPE: "operate"},
    before_request=takes("erase"),
)
async def forget_token(
    database: NamedDependency[Database],
    reach: NamedDependency[Reach],
    token: TokenPath,
    erase: Erase = False,
) -> None:
    """The token stands for nobody from now on; past transactions keep their vehicles."""
    _check(token)
    try:
        await forget(database, token, reach, erase=erase)
    except UnknownTokenError as error:
        raise _unknown(error) from None


def _check(token: str) -> None:
    check_printable("token", token)
    if token != token.strip():
        raise invalid_parameter("token", "must not have a space at either end")


def _unknown(error: UnknownTokenError) -> HTTPException:
    return problem(HTTP_404_NOT_FOUND, str(error), kind="unknown-token")


def _shown(holder: TokenHolder) -> Token:
    return Token(**msgspec.structs.asdict(holder))


tokens = Router(
    "/v1/tokens",
    tags=["Transactions"],
    opt={SCOPE: "read"},
    before_request=takes(),
    route_handlers=[list_tokens, get_token, set_token, forget_token],
)
