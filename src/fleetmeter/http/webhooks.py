"""Webhooks, for those who hold a key with the scope `admin`; `fleetmeter webhook` does the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from litestar.status_codes import HTTP_404_NOT_FOUND, HTTP_409_CONFLICT
from msgspec import Meta

from fleetmeter.anomalies.model import AnomalyKind
from fleetmeter.database.pool import Connection, Database
from fleetmeter.errors import BusyError, FleetMeterError
from fleetmeter.http.shared.authentication import SCOPE
from fleetmeter.http.shared.operations import described, problem_response
from fleetmeter.http.shared.parameters import MAX_ID, Page, takes
from fleetmeter.http.shared.problems import invalid_parameter, problem
from fleetmeter.notifications.webhooks import registry
from fleetmeter.notifications.webhooks.payloads import MessageFormat
from fleetmeter.notifications.webhooks.registry import (
    Listed,
    UnknownWebhookError,
    WebhookConflictError,
)

WebhookId = Annotated[int, PathParameter(ge=1, le=MAX_ID)]

_TESTS = asyncio.Semaphore(2)
"""Test messages at a time: each may take as long as its receiver does."""

_Kinds = Annotated[
    list[AnomalyKind],
    Meta(max_length=100, description="Kinds of anomalies to send; all if empty."),
]
_Format = Annotated[
    MessageFormat, Meta(description="`alertmanager` is what Prometheus Alertmanager sends.")
]


class NewWebhook(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A webhook to be added."""

    url: Annotated[
        str, Meta(min_length=1, max_length=2000, examples=["https://hooks.example.org/fleet"])
    ]
    format: _Format = "fleetmeter"
    kinds: _Kinds = []


class Webhook(msgspec.Struct, rename="camel", kw_only=True):
    """A webhook, without its secret."""

    id: int
    url: Annotated[str, Meta(description="Its query is left out, which may be a secret.")]
    format: _Format
    kinds: _Kinds
    created_at: datetime
    last_success_at: datetime | None
    failures: Annotated[int, Meta(description="Failed attempts in a row.")]
    next_attempt_at: Annotated[datetime | None, Meta(description="Of a webhook that fails.")]
    last_error: str | None
    disabled_at: Annotated[
        datetime | None, Meta(description="Since when nothing is sent, after too many failures.")
    ]
    waiting: Annotated[int, Meta(description="Events not yet delivered; counted up to 10,000.")]


class AddedWebhook(msgspec.Struct, rename="camel", kw_only=True):
    """A webhook that was added."""

    id: int
    secret: Annotated[
        str, Meta(description="Verifies signatures (Standard Webhooks). It is not shown again.")
    ]


class Enabling(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """How a webhook goes on."""

    from_now: Annotated[bool, Meta(description="Skip the events that it missed.")] = False


class Delivered(msgspec.Struct, rename="camel", kw_only=True):
    """What became of a test message."""

    accepted: bool
    status: Annotated[int | None, Meta(description="The receiver's; null for no answer.")]
    error: str | None


@get("/", summary="List webhooks", operation_id="V1WebhooksList")
async def list_webhooks(database: NamedDependency[Database]) -> Page[Webhook]:
    """Lists all webhooks (at most 100), oldest first, with their state."""
    async with database.connection() as connection:
        found = await registry.all_webhooks(connection)
    return Page([_shown(each) for each in found], None)


@post(
    "/",
    summary="Add a webhook",
    operation_id="V1WebhooksCreate",
    operation_class=described({"409": problem_response("A webhook for that URL exists.")}),
)
async def add_webhook(
    database: NamedDependency[Database], state: State, data: JSONBody[NewWebhook]
) -> AddedWebhook:
    """It receives events from now on. Returns its signing secret, once."""
    try:
        await registry.check_target(data.url, state.settings)
    except FleetMeterError as error:
        raise invalid_parameter("$.url", str(error)) from None
    async with _changing(database) as connection:
        added = await registry.add(connection, data.url, data.kinds, data.format)
    return AddedWebhook(id=added.id, secret=added.secret)


@delete("/{webhook_id:int}", summary="Delete a webhook", operation_id="V1WebhooksDelete")
async def delete_webhook(database: NamedDependency[Database], webhook_id: WebhookId) -> None:
    """Nothing more is sent to it, apart from a message in progress."""
    async with _changing(database) as connection:
        await registry.remove(connection, str(webhook_id))


@post(
    "/{webhook_id:int}/enable",
    status_code=204,
    summary="Enable a webhook",
    operation_id="V1WebhooksEnable",
)
async def enable_webhook(
    database: NamedDependency[Database], webhook_id: WebhookId, data: JSONBody[Enabling]
) -> None:
    """Re-enables a disabled webhook where it left off, or retries a failing one now."""
    async with _changing(database) as connection:
        await registry.enable(connection, webhook_id, data.from_now)


@post(
    "/{webhook_id:int}/test",
    status_code=200,
    summary="Send a test message",
    operation_id="V1WebhooksTest",
)
async def try_webhook(
    database: NamedDependency[Database], state: State, webhook_id: WebhookId
) -> Delivered:
    """Sends a test message from the service, within 15 seconds, and tells what became of it."""
    if _TESTS.locked():
        raise BusyError("other test messages are being sent")
    async with _TESTS:
        async with _changing(database) as connection:
            target = await registry.target_of(connection, webhook_id)
        result = await registry.try_out(target, state.settings)
    return Delivered(accepted=result.error is None, status=result.status, error=result.error)


def _shown(webhook: Listed) -> Webhook:
    fails = webhook.failures > 0 and webhook.disabled_at is None
    return Webhook(
        id=webhook.id,
        url=webhook.shown_url,
        format=webhook.format,
        kinds=webhook.kinds or [],
        created_at=webhook.created_at,
        last_success_at=webhook.last_success_at,
        failures=webhook.failures,
        next_attempt_at=webhook.next_attempt_at if fails else None,
        last_error=webhook.last_error,
        disabled_at=webhook.disabled_at,
        waiting=webhook.waiting,
    )


@asynccontextmanager
async def _changing(database: Database) -> AsyncIterator[Connection]:
    """Run the block in a transaction. Raises 404 and 409."""
    try:
        async with database.transaction() as connection:
            yield connection
    except UnknownWebhookError:
        raise problem(
            HTTP_404_NOT_FOUND, "no webhook has this id", kind="unknown-webhook"
        ) from None
    except WebhookConflictError as error:
        raise problem(HTTP_409_CONFLICT, str(error), kind="webhook-conflict") from None


webhooks = Router(
    "/v1/webhooks",
    tags=["Webhooks"],
    opt={SCOPE: "admin"},
    before_request=takes(),
    route_handlers=[list_webhooks, add_webhook, delete_webhook, enable_webhook, try_webhook],
)
