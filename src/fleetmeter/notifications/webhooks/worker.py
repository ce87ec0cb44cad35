"""Delivery of webhooks: each by itself, its events in order, at least once, by one process.

Which process, the database says: whoever has something to send claims the webhook for a while (a
lease in its row), and moves the claim with every event that is taken. No connection is held while
a receiver thinks, and what a process leaves behind that dies is claimed by the next one.
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

from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.errors import DatabaseUnavailableError
from fleetmeter.notifications.events import Numbered, events_after
from fleetmeter.notifications.webhooks.attempt import TOTAL_S, Outcome, Sender
from fleetmeter.notifications.webhooks.payloads import Format, payload
from fleetmeter.settings import Settings

_INTERVAL_S = 1.0
"""How often is looked for what has to be sent, seconds."""

_AT_ONCE = 8
"""Webhooks that are told at the same time, by each process."""

_PAGE = 50
"""Events that are read at a time."""

_LONGEST_PAUSE_S = 60.0

_log = structlog.get_logger()


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long things take."""

    first_backoff_s: float = 1.0
    """After the first failure; it doubles with each further one."""

    longest_backoff_s: float = 3600.0
    lease_s: float = 4 * TOTAL_S
    """How long a webhook is claimed for: longer than an attempt takes."""

    turn_s: float = TOTAL_S
    """After this long another webhook has its turn: slow ones must not hold up the others."""

    interval_s: float = _INTERVAL_S

    def backoff(self, failures: int) -> timedelta:
        """After so many failures in a row; up to a half less, so that no two come together."""
        full_s = min(self.first_backoff_s * 2.0 ** min(failures - 1, 50), self.longest_backoff_s)
        return timedelta(seconds=full_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


class _Webhook(msgspec.Struct):
    """A claimed webhook; the last event and the claim move on."""

    id: int
    url: str
    secret: str
    format: Format
    kinds: list[str] | None
    last_event_id: int
    failures: int
    claim: datetime

    @property
    def place(self) -> str:
        """What may be logged of its URL: paths and queries may be secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


class Delivery:
    """Sends what happened to anomalies to the webhooks of a database."""

    def __init__(
        self, database: Database, sender: Sender, settings: Settings, pace: Pace | None = None
    ) -> None:
        self._database = database
        self._sender = sender
        self._attempts = settings.webhook_attempts
        self._public_url = settings.public_url
        self._pace = pace or Pace()
        self._lease = timedelta(seconds=self._pace.lease_s)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._telling: set[asyncio.Task[None]] = set()
        self._installation: str | None = None

    async def run(self) -> None:
        """For ever; until it is cancelled, which gives claimed webhooks back."""
        pause_s = self._pace.interval_s
        try:
            while True:
                try:
                    await self._claim_all()
                    pause_s = self._pace.interval_s
                except DatabaseUnavailableError:
                    pass  # requests tell of it already
                except Exception:
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                    _log.warning("webhooks cannot be told", exc_info=True, again_in_s=pause_s)
                await asyncio.sleep(pause_s)
        finally:
            for task in self._telling:
                task.cancel()
            await asyncio.gather(*self._telling, return_exceptions=True)

    async def _claim_all(self) -> None:
        """Begin to tell every webhook whose time has come."""
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
            task = asyncio.create_task(self._tell(claimed))
            self._telling.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        self._slots.release()

    async def _claim(self) -> _Webhook | None:
        async with self._database.connection() as connection:
            if self._installation is None:
                self._installation = str(await queries.installation_id(connection))
            row = await queries.claim_webhook(connection, lease=self._lease)
        return None if row is None else _Webhook(**dict(row))

    async def _tell(self, webhook: _Webhook) -> None:
        with suppress(DatabaseUnavailableError):  # the claim runs out by itself
            try:
                if await self._tell_page(webhook):
                    await self._release(webhook)
            except asyncio.CancelledError:
                await self._release(webhook)
                raise
            except DatabaseUnavailableError:
                raise
            except Exception:
                _log.error("a webhook cannot be told", webhook=webhook.id, exc_info=True)
                await self._failed(webhook, Outcome(error="an error inside FleetMeter"))

    async def _tell_page(self, webhook: _Webhook) -> bool:
        """Whether it took the next events, as many as its turn had time for, and is still ours."""
        async with self._database.connection() as connection:
            events = await events_after(connection, webhook.last_event_id, _PAGE)
        until = monotonic() + self._pace.turn_s
        for event in events:
            if monotonic() > until:
                break
            if webhook.kinds is not None and event.kind not in webhook.kinds:
                webhook.last_event_id = event.id
            elif not await self._tell_one(webhook, event):
                return False
        return True

    async def _tell_one(self, webhook: _Webhook, event: Numbered) -> bool:
        """Whether it took the event, and is still ours."""
        message_id = f"{self._installation}-{event.id}"
        body = payload(webhook.format, message_id, event.event, self._public_url)
        if body is None:
            webhook.last_event_id = event.id
            return True
        outcome = await self._sender.send(webhook.url, webhook.secret, message_id, body)
        if outcome.error is not None:
            await self._failed(webhook, outcome)
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

    async def _failed(self, webhook: _Webhook, outcome: Outcome) -> None:
        failures = webhook.failures + 1
        disable = outcome.gone or failures >= self._attempts
        again_in = max(self._pace.backoff(failures), timedelta(seconds=outcome.retry_after_s))
        async with self._database.connection() as connection:
            await queries.webhook_failed(
                connection,
                webhook_id=webhook.id,
                claim=webhook.claim,
                event_id=webhook.last_event_id,
                error=outcome.error,
                again_in=again_in,
                disable=disable,
            )
        if disable:
            _log.error(
                "a webhook is disabled; fleetmeter webhook enable ID tells it again",
                webhook=webhook.id,
                of=webhook.place,
                failures=failures,
                error=outcome.error,
            )
        else:
            _log.warning(
                "a webhook failed",
                webhook=webhook.id,
                of=webhook.place,
                failures=failures,
                error=outcome.error,
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
    """Tell webhooks for the length of the block."""
    sender = Sender(settings.webhook_networks)
    running = asyncio.create_task(Delivery(database, sender, settings).run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await sender.close()
