"""The registered webhooks: added, listed, tested and removed by the command line."""

from collections.abc import Sequence
from datetime import UTC, datetime
from secrets import token_hex
from typing import cast
from urllib.parse import urlsplit

import msgspec

from fleetmeter.access.audit import record
from fleetmeter.database.pool import connected
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError
from fleetmeter.notifications.webhooks.addresses import addresses_of, check_url
from fleetmeter.notifications.webhooks.attempt import AttemptResult, Sender
from fleetmeter.notifications.webhooks.payloads import MessageFormat, test_payload
from fleetmeter.notifications.webhooks.signing import new_secret
from fleetmeter.settings import Settings

MOST = 100
"""Maximum number of webhooks in a database."""


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


async def add(
    url: str, settings: Settings, target: str, kinds: Sequence[str], format_: MessageFormat
) -> Added:
    """Add a webhook for what happens from now on, for some kinds or (none given) for all.

    Raises FleetMeterError when its address is not allowed or it exists already.
    """
    parts = urlsplit(check_url(target))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    await addresses_of(parts.hostname or "", port, settings.webhook_networks)
    secret = new_secret()
    async with connected(url) as connection, connection.transaction():
        if await queries.count_webhooks(connection) >= MOST:
            raise FleetMeterError(f"{MOST} webhooks exist already; remove one first")
        webhook_id = await queries.add_webhook(
            connection,
            url=target,
            secret=secret,
            format=format_,
            kinds=sorted(set(kinds)) or None,
        )
        if webhook_id is not None:
            after = {
                "to": urlsplit(target).hostname,
                "format": format_,
                "kinds": sorted(set(kinds)),
            }
            await record(connection, "add-webhook", f"webhook {webhook_id}", after=after)
    if webhook_id is None:
        raise FleetMeterError("a webhook for this URL already exists; remove it first")
    return Added(webhook_id, secret)


async def all_webhooks(url: str) -> list[Listed]:
    """Return all webhooks, oldest first."""
    async with connected(url) as connection:
        return [Listed(**dict(row)) async for row in queries.webhooks(connection)]


async def remove(url: str, which: str) -> None:
    """Delete the webhook of an id or a URL. Raises FleetMeterError when it is unknown."""
    webhook_id = int(which) if which.isdecimal() and len(which) < 19 else None
    async with connected(url) as connection, connection.transaction():
        removed = await queries.remove_webhook(connection, webhook_id=webhook_id, url=which)
        if removed is not None:
            before = {"to": urlsplit(removed).hostname}
            await record(connection, "remove-webhook", f"webhook {webhook_id or ''}", before=before)
    if removed is None:
        raise _unknown(which)


async def enable(url: str, webhook_id: int, from_now: bool) -> None:
    """Enable a disabled webhook, or retry a failing one now. Raises FleetMeterError."""
    async with connected(url) as connection, connection.transaction():
        enabled = await queries.enable_webhook(connection, webhook_id=webhook_id, from_now=from_now)
        if enabled is not None:
            after = {"fromNow": from_now}
            await record(connection, "enable-webhook", f"webhook {webhook_id}", after=after)
    if enabled is None:
        raise _unknown(webhook_id)


async def try_out(url: str, settings: Settings, webhook_id: int) -> AttemptResult:
    """Send a test message from here. Raises FleetMeterError when it is unknown."""
    async with connected(url) as connection:
        row = await queries.webhook(connection, webhook_id=webhook_id)
    if row is None:
        raise _unknown(webhook_id)
    message_id = f"test-{token_hex(8)}"
    format_ = cast(MessageFormat, row["format"])
    body = test_payload(format_, message_id, datetime.now(UTC), settings.public_url)
    sender = Sender(settings.webhook_networks)
    try:
        return await sender.send(row["url"], row["secret"], message_id, body)
    finally:
        await sender.close()


def _unknown(which: str | int) -> FleetMeterError:
    return FleetMeterError(f"unknown webhook {which}; fleetmeter webhook list shows all")


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
