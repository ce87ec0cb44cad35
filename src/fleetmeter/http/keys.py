"""Access keys, for those who hold one with the scope `admin`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from litestar import Router, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_404_NOT_FOUND, HTTP_409_CONFLICT
from msgspec import Meta
from msgspec.structs import asdict

from fleetmeter.access.keyring import Keyring
from fleetmeter.access.keys import (
    MOST_GRACE,
    MOST_PATTERNS,
    InvalidKeyError,
    KeyConflictError,
    MadeKey,
    UnknownKeyError,
    create,
    keys_after,
    revoke,
    rotate,
)
from fleetmeter.access.principal import Principal, Scope
from fleetmeter.database.pool import Connection, Database
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.operations import described, problem_response
from fleetmeter.http.shared.parameters import (
    Cursor,
    Limit,
    Page,
    after,
    check_site,
    check_time,
    page,
    takes,
)
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.readings.model import Timestamp

_FIELDS = {"expires_at": "expiresAt", "grace": "graceS"}
Revoked = Annotated[
    bool, QueryParameter(required=False, description="Whether to list revoked keys, too.")
]
KeyId = Annotated[str, PathParameter(min_length=1, max_length=64)]
_Expiry = Annotated[Timestamp | None, Meta(description="When it stops working; null for never.")]


class NewKey(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A key to be made."""

    name: Annotated[
        str, Meta(min_length=1, max_length=64, description="For people.", examples=["depot-7"])
    ]
    scopes: Annotated[
        list[Scope], Meta(min_length=1, description="None includes another.", examples=[["ingest"]])
    ]
    devices: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=128)]],
        Meta(
            max_length=MOST_PATTERNS,
            description="Patterns of the device ids within its reach, with `*` for any characters "
            "and `\\*` for a star; all devices if empty.",
            examples=[["EV-1*"]],
        ),
    ] = []
    sites: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=64)]],
        Meta(
            max_length=MOST_PATTERNS,
            description="Sites whose devices are within its reach; all devices if empty.",
        ),
    ] = []
    subject: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256)] | None,
        Meta(
            description="Subject of a client certificate that stands for the key, exactly as the "
            "proxy sends it."
        ),
    ] = None
    expires_at: _Expiry = None


class Rotation(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """How a key gets another secret."""

    grace_s: Annotated[
        int,
        Meta(
            ge=0,
            le=round(MOST_GRACE.total_seconds()),
            description="How long the old secret goes on working, seconds.",
        ),
    ] = 0
    expires_at: Annotated[
        Timestamp | None,
        Meta(description="When the key stops working; by default, when it would have."),
    ] = None


class AccessKey(msgspec.Struct, rename="camel", kw_only=True):
    """A key, without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    devices: list[str]
    sites: list[str]
    subject: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    previous_until: Annotated[
        datetime | None, Meta(description="Until when the secret before a rotation works.")
    ]
    revoked_at: datetime | None
    last_used_at: Annotated[datetime | None, Meta(description="To the minute.")]


class ShownKey(AccessKey, kw_only=True):
    """A key with its text."""

    key: Annotated[
        str, Meta(description="Send it as `Authorization: Bearer …`. It is not shown again.")
    ]


@post(
    "/",
    summary="Create a key",
    operation_id="V1KeysCreate",
    operation_class=described({"409": problem_response("A living key has that name.")}),
)
async def create_key(
    database: NamedDependency[Database],
    principal: NamedDependency[Principal],
    state: State,
    data: JSONBody[NewKey],
) -> ShownKey:
    """Returns the key, once. It works here at once, and in other processes within five seconds."""
    for site in data.sites:
        check_site("$.sites", site)
    async with _changing(database, state.keyring) as connection:
        made = await create(
            connection,
            name=data.name,
            scopes=data.scopes,
            devices=data.devices,
            sites=data.sites,
            subject=data.subject,
            expires_at=_time(data.expires_at),
            created_by=principal.name,
        )
    return _shown(made)


@get(
    "/",
    summary="List keys",
    operation_id="V1KeysList",
    before_request=takes("limit", "cursor", "revoked"),
)
async def list_keys(
    database: NamedDependency[Database],
    revoked: Revoked = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[AccessKey]:
    """Lists keys in the order of their ids, without their secrets."""
    behind = after(cursor, str) or ""
    async with database.connection() as connection:
        found = await keys_after(connection, behind, revoked=revoked, most=limit + 1)
    return page([AccessKey(**asdict(key)) for key in found], limit, key=lambda item: item.id)


@delete("/{key_id:str}", summary="Revoke a key", operation_id="V1KeysRevoke")
async def revoke_key(database: NamedDependency[Database], state: State, key_id: KeyId) -> None:
    """It is refused here at once, and in other processes within five seconds."""
    async with _changing(database, state.keyring) as connection:
        await revoke(connection, key_id)


@post(
    "/{key_id:str}/rotate",
    status_code=200,
    summary="Give a key another secret",
    operation_id="V1KeysRotate",
)
async def rotate_key(
    database: NamedDependency[Database], state: State, key_id: KeyId, data: JSONBody[Rotation]
) -> ShownKey:
    """Returns the key with its new secret, once; its name, scopes and limits stay."""
    async with _changing(database, state.keyring) as connection:
        made = await rotate(
            connection,
            key_id,
            grace=timedelta(seconds=data.grace_s),
            expires_at=_time(data.expires_at),
        )
    return _shown(made)


@asynccontextmanager
async def _changing(database: Database, keyring: Keyring) -> AsyncIterator[Connection]:
    """Run a change of keys in a transaction, which counts in this process at its end.

    Raises 400, 404 and 409.
    """
    try:
        async with database.transaction() as connection:
            yield connection
    except InvalidKeyError as error:
        raise invalid_parameter(
            f"$.{_FIELDS.get(error.field, error.field)}", error.detail
        ) from None
    except UnknownKeyError as error:
        raise problem(HTTP_404_NOT_FOUND, str(error), kind="unknown-key") from None
    except KeyConflictError as error:
        raise problem(HTTP_409_CONFLICT, str(error), kind="key-conflict") from None
    async with database.connection() as connection:
        await keyring.look(connection)


def _time(time: datetime | None) -> datetime | None:
    return None if time is None else check_time("$.expiresAt", time)


def _shown(made: MadeKey) -> ShownKey:
    return ShownKey(**asdict(made.key), key=made.text)


keys = Router(
    "/v1/keys",
    tags=["Keys"],
    opt={SCOPE: "admin"},
    before_request=takes(),
    route_handlers=[create_key, list_keys, revoke_key, rotate_key],
)
