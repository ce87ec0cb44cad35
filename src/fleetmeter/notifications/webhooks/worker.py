"""Delivery of webhooks: events in order and at least once, each webhook by one process at a time.

A process claims a webhook in the database for a while (a lease in its row) and extends the claim
with every delivered event. It holds no connection while a receiver thinks; when it dies, the claim
runs out and another process takes over.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from time import monotonic
from urllib.parse import urlsplit

import msgspec
import structlog

from fleetmeter.background import repeat, running, stopped
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.errors import DatabaseUnavailableError
from fleetmeter.metrics import WEBHOOKS
from fleetmeter.notifications.events import Numbered, events_after
from fleetmeter.notifications.webhooks.attempt import TOTAL_S, AttemptResult, Sender
from fleetmeter.notifications.webhooks.payloads import MessageFormat, payload
from fleetmeter.settings import Settings
from fleetmeter.traces import show_answer, span

_INTERVAL_S = 1.0
"""Interval between searches for events to send, seconds."""

_AT_ONCE = 8
"""Maximum number of webhooks that a process serves at a time."""

_PAGE = 50
"""Events read at a time."""

_log = structlog.get_logger()


class DeliveryTiming(msgspec.Struct, frozen=True, kw_only=True):
    """Durations of the delivery."""

    first_backoff_s: float = 1.0
    """Pause after the first failure; it doubles with each further one."""

    longest_backoff_s: float = 3600.0
    lease_s: float = 4 * TOTAL_S
    """Duration of a claim: longer than an attempt takes."""

    turn_s: float = TOTAL_S
    """Duration of a webhook's turn: slow ones must not hold up the others."""

    interval_s: float = _INTERVAL_S

    def backoff(self, failures: int) -> timedelta:
        """Return the pause after failures in a row, shortened at random by up to half."""
        full_s = min(self.first_backoff_s * 2.0 ** min(failures - 1, 50), self.longest_backoff_s)
        return timedelta(seconds=full_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


class _Webhook(msgspec.Struct):
    """A claimed webhook; its last event and claim move on with each delivery."""

    id: int
    url: str
    secret: str
    format: MessageFormat
    kinds: list[str] | None
    last_event_id: int
    failures: int
    claim: datetime

    @property
    def place(self) -> str:
        """Return the part of its URL that may be logged: paths and queries may be secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


class Delivery:
    """Sends events of anomalies to the webhooks of a database."""

    def __init__(
        self,
        database: Database,
        sender: Sender,
        settings: Settings,
        timing: DeliveryTiming | None = None,
    ) -> None:
        self._database = database
        self._sender = sender
        self._attempts = settings.webhook_attempts
        self._public_url = settings.public_url
        self._timing = timing or DeliveryTiming()
        self._lease = timedelta(seconds=self._timing.lease_s)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._delivering: set[asyncio.Task[None]] = set()
        self._installation: str | None = None

    async def run(self) -> None:
        """Deliver until cancelled; then release claimed webhooks."""
        try:
            await repeat("webhooks", self._claim_all, self._timing.interval_s)
        finally:
            await stopped(list(self._delivering))

    async def _claim_all(self) -> None:
        """Start to deliver to every webhook that is due."""
        while True:
            await self._slots.acquire()
            claimed = None
            try:
                claimed = await self._claim()
            finally:
                if claimed is None:
                    self._slots.release()
            if claimed is None:
                return
            task = asyncio.create_task(self._deliver(claimed))
            self._delivering.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._delivering.discard(task)
        self._slots.release()

    async def _claim(self) -> _Webhook | None:
        async with self._database.connection() as connection:
            if self._installation is None:
                self._installation = str(await queries.installation_id(connection))
            row = await queries.claim_webhook(connection, lease=self._lease)
        return None if row is None else _Webhook(**dict(row))

    async def _deliver(self, webhook: _Webhook) -> None:
        with suppress(DatabaseUnavailableError):  # the claim runs out by itself
            try:
                if await self._deliver_page(webhook):
                    await self._release(webhook)
            except asyncio.CancelledError:
                await self._release(webhook)
                raise
            except DatabaseUnavailableError:
                raise
            except Exception:
                _log.error("a webhook cannot be delivered", webhook=webhook.id, exc_info=True)
                await self._failed(webhook, AttemptResult(error="an error inside FleetMeter"))

    async def _deliver_page(self, webhook: _Webhook) -> bool:
        """Deliver the next events of its turn; return whether it took them and is still ours."""
        async with self._database.connection() as connection:
            events = await events_after(connection, webhook.last_event_id, _PAGE)
        until = monotonic() + self._timing.turn_s
        for event in events:
            if monotonic() > until:
                break
            if webhook.kinds is not None and event.kind not in webhook.kinds:
                webhook.last_event_id = event.id
            elif not await self._deliver_one(webhook, event):
                return False
        return True

    async def _deliver_one(self, webhook: _Webhook, event: Numbered) -> bool:
        """Deliver an event; return whether the webhook took it and is still ours."""
        message_id = f"{self._installation}-{event.id}"
        body = payload(webhook.format, message_id, event.event, self._public_url)
        if body is None:
            webhook.last_event_id = event.id
            return True
        with span("webhook", "client", webhook=webhook.id, event=event.id) as current:
            result = await self._sender.send(webhook.url, webhook.secret, message_id, body)
            if current is not None:
                show_answer(current, result.status, failed=result.error is not None)
        WEBHOOKS.labels("accepted" if result.error is None else "failed").inc()
        if result.error is not None:
            await self._failed(webhook, result)
            return False
        async with self._database.connection() as connection:
            claim = await queries.webhook_took(
                connection,
                webhook_id=webhook.id,
                claim=webhook.claim,
                event_id=event.id,
                lease=self._lease,
            )
        if claim is None:  # removed, changed, or the lease ran out and somebody else goes on
            return False
        webhook.claim, webhook.last_event_id, webhook.failures = claim, event.id, 0
        return True

    async def _failed(self, webhook: _Webhook, result: AttemptResult) -> None:
        failures = webhook.failures + 1
        disable = result.gone or failures >= self._attempts
        again_in = max(self._timing.backoff(failures), timedelta(seconds=result.retry_after_s))
        async with self._database.connection() as connection:
            await queries.webhook_failed(
                connection,
                webhook_id=webhook.id,
                claim=webhook.claim,
                event_id=webhook.last_event_id,
                error=result.error,
                again_in=again_in,
                disable=disable,
            )
        if disable:
            _log.error(
                "a webhook is disabled; fleetmeter webhook enable ID re-enables it",
                webhook=webhook.id,
                of=webhook.place,
                failures=failures,
                error=result.error,
            )
        else:
            _log.warning(
                "a webhook failed",
                webhook=webhook.id,
                of=webhook.place,
                failures=failures,
                error=result.error,
                again_in_s=round(again_in.total_seconds(), 1),
            )

    async def _release(self, webhook: _Webhook) -> None:
        async with self._database.connection() as connection:
            await queries.release_webhook(
                connection,
                webhook_id=webhook.id,
                claim=webhook.claim,
                event_id=webhook.last_event_id,
            )


@asynccontextmanager
async def delivering(database: Database, settings: Settings) -> AsyncIterator[None]:
    """Deliver to webhooks for the length of the block."""
    sender = Sender(settings.webhook_networks)
    try:
        async with running(Delivery(database, sender, settings).run()):
            yield
    finally:
        await sender.close()
