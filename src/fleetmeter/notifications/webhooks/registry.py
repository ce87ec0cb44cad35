"""The registered webhooks: added, listed, tested and removed by the command line and admins.

What takes a connection runs in the caller's transaction.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from secrets import token_hex
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import msgspec

from fleetmeter.access.audit import record
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.notifications.webhooks.addresses import UnresolvedError, addresses_of, check_url
from fleetmeter.notifications.webhooks.attempt import TOTAL_S, AttemptResult, Sender
from fleetmeter.notifications.webhooks.payloads import MessageFormat, test_payload
from fleetmeter.notifications.webhooks.signing import new_secret
from fleetmeter.settings import Settings

MOST = 100
"""Maximum number of webhooks in a database."""


class WebhookConflictError(FleetMeterError):
    """There is a webhook for that URL already, or there are too many."""


class UnknownWebhookError(FleetMeterError):
    """No webhook has that id or URL."""

    def __init__(self, which: str | int) -> None:
        super().__init__(f"unknown webhook {which}; fleetmeter webhook list shows all")


class Target(NamedTuple):
    """Where a webhook's messages go, and what signs them."""

    url: str
    secret: str
    format: MessageFormat


class Added(msgspec.Struct):
    """A new webhook; its secret is shown only once."""

    id: int
    secret: str


class Listed(msgspec.Struct, kw_only=True):
    """A webhook as it is listed, without its secret."""

    id: int
    url: str
    format: MessageFormat
    kinds: list[str] | None
    created_at: datetime
    last_event_id: int
    last_success_at: datetime | None
    failures: int
    next_attempt_at: datetime
    last_error: str | None
    disabled_at: datetime | None
    waiting: int
    """Events not yet delivered to it; counted up to 10,000."""

    @property
    def shown_url(self) -> str:
        """Return the URL without its query, which may be a secret."""
        parts = urlsplit(self.url)
        return parts._replace(query="…" if parts.query else "").geturl()

    @property
    def state(self) -> str:
        """Return its state in a few words."""
        if self.disabled_at:
            return f"disabled since {_time(self.disabled_at)}"
        if self.failures:
            times = "once" if self.failures == 1 else f"{self.failures} times in a row"
            return f"failed {times}, next attempt {_time(self.next_attempt_at)}"
        return f"last delivery {_time(self.last_success_at)}" if self.last_success_at else "new"


async def check_target(target: str, settings: Settings) -> None:
    """Look up where a webhook would be sent. Raises FleetMeterError unless that is allowed."""
    parts = urlsplit(check_url(target))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    try:
        async with asyncio.timeout(TOTAL_S):
            await addresses_of(host, port, settings.webhook_networks)
    except TimeoutError:
        raise UnresolvedError(f"the host {host} was not found within {TOTAL_S:g} s") from None


async def add(
    connection: Connection, target: str, kinds: Sequence[str], format_: MessageFormat
) -> Added:
    """Add a webhook for what happens from now on, for some kinds or (none given) for all.

    Its target must have been checked. Raises WebhookConflictError.
    """
    secret = new_secret()
    if await queries.count_webhooks(connection) >= MOST:
        raise WebhookConflictError(f"{MOST} webhooks exist already; remove one first")
    webhook_id = await queries.add_webhook(
        connection,
        url=target,
        secret=secret,
        format=format_,
        kinds=sorted(set(kinds)) or None,
    )
    if webhook_id is None:
        raise WebhookConflictError("a webhook for this URL already exists; remove it first")
    after = {"to": urlsplit(target).hostname, "format": format_, "kinds": sorted(set(kinds))}
    await record(connection, "add-webhook", f"webhook {webhook_id}", after=after)
    return Added(webhook_id, secret)


async def all_webhooks(connection: Connection) -> list[Listed]:
    """Return all webhooks, oldest first."""
    return [Listed(**dict(row)) async for row in queries.webhooks(connection)]


async def remove(connection: Connection, which: str) -> None:
    """Delete the webhook of an id or a URL. Raises UnknownWebhookError."""
    webhook_id = int(which) if which.isdecimal() and len(which) < 19 else None
    removed = await queries.remove_webhook(connection, webhook_id=webhook_id, url=which)
    if removed is None:
        raise UnknownWebhookError(which)
    before = {"to": urlsplit(removed).hostname}
    await record(connection, "remove-webhook", f"webhook {webhook_id or ''}", before=before)


async def enable(connection: Connection, webhook_id: int, from_now: bool) -> None:
    """Enable a disabled webhook, or retry a failing one now. Raises UnknownWebhookError."""
    enabled = await queries.enable_webhook(connection, webhook_id=webhook_id, from_now=from_now)
    if enabled is None:
        raise UnknownWebhookError(webhook_id)
    after = {"fromNow": from_now}
    await record(connection, "enable-webhook", f"webhook {webhook_id}", after=after)


async def target_of(connection: Connection, webhook_id: int) -> Target:
    """Return where a webhook's messages go. Raises UnknownWebhookError."""
    row = await queries.webhook(connection, webhook_id=webhook_id)
    if row is None:
        raise UnknownWebhookError(webhook_id)
    return Target(row["url"], row["secret"], cast(MessageFormat, row["format"]))


async def try_out(target: Target, settings: Settings) -> AttemptResult:
    """Send a test message from here."""
    message_id = f"test-{token_hex(8)}"
    body = test_payload(target.format, message_id, datetime.now(UTC), settings.public_url)
    # in a thread: it reads all trusted certificates
    sender = await asyncio.to_thread(Sender, settings.webhook_networks)
    try:
        return await sender.send(target.url, target.secret, message_id, body)
    finally:
        await sender.close()


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
