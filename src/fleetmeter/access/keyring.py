"""The living keys, in memory: a request is checked without asking the database.

Each process looks every second whether keys have changed. A look that is older than five seconds
does not count any more, so a revocation holds within five seconds in every process, or the process
lets nobody in.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic, time
from typing import Any

import asyncpg
import msgspec

from fleetmeter.access.key_text import KeyText, parse_key
from fleetmeter.access.keys import key_of
from fleetmeter.access.principal import ANYBODY, Principal
from fleetmeter.background import repeat, running
from fleetmeter.database.pool import Connection, apart
from fleetmeter.database.sql import queries
from fleetmeter.errors import DatabaseUnavailableError, NotMigratedError

LOOK_S = 1.0
"""How often the keys are looked at, seconds."""

VALID_S = 5.0
"""How long a look at the keys counts, seconds."""

NOTE_S = 60.0
"""How often the last use of a key is written at most, seconds."""

_TIMEOUT_S = 3.0

_NEVER = float("inf")


class KeysUnknownError(DatabaseUnavailableError):
    """The keys have not been read for too long: nobody can be let in or turned away."""


class _Living(msgspec.Struct):
    """What a request is compared with; times are seconds since 1970."""

    id: str

    principal: Principal
    certificate_holder: Principal
    secret_hash: bytes
    expires: float
    previous_hash: bytes
    previous_expires: float
    note_at: float = -_NEVER
    """When its use is worth another note, by the clock."""


class Keyring:
    """The keys that a process knows."""

    def __init__(
        self,
        url: str,
        *,
        may_be_open: bool,
        clock: Callable[[], float] = monotonic,
        today: Callable[[], float] = time,
    ) -> None:
        """Create it; if it `may_be_open`, it lets everybody in as long as there was never a key."""
        self._url = url
        self._may_be_open = may_be_open
        self._clock = clock
        self._today = today
        self._keys: dict[str, _Living] = {}
        self._by_subject: dict[str, _Living] = {}
        self._version: int | None = None
        self._valid_until = -_NEVER
        self._is_open = False
        self._not_migrated: NotMigratedError | None = None
        self._used: set[str] = set()

    def admit(self, text: str | None, *, even_stale: bool = False) -> Principal | None:
        """Return who holds a key, or None for no key and for what is not a valid one.

        Raises KeysUnknownError, or NotMigratedError, unless keys that were read long ago will do
        (`even_stale`).
        """
        if self._is_open:
            return ANYBODY
        now = self._now(even_stale)
        if text is None or (given := parse_key(text)) is None:
            return None
        return self._holder(given, now)

    @property
    def is_open(self) -> bool:
        """Return whether everybody is let in, as there was never a key."""
        return self._is_open

    def holder(self, given: KeyText) -> Principal | None:
        """Return who holds a key that was taken apart, or None, even while everybody is let in.

        Raises KeysUnknownError and NotMigratedError.
        """
        return self._holder(given, self._now(False))

    def ends(self, given: KeyText) -> float:
        """Return when a key stops working, seconds since 1970; infinite for never or not known."""
        key = self._keys.get(given.id)
        if key is None:
            return _NEVER
        replaced = not hmac.compare_digest(given.secret_hash, key.secret_hash)
        return min(key.expires, key.previous_expires) if replaced else key.expires

    def _holder(self, given: KeyText, now: float) -> Principal | None:
        key = self._keys.get(given.id)
        if key is None or not _fits(key, given.secret_hash, self._today()):
            return None
        self._note_use(key, now)
        return key.principal

    def admit_subject(self, subject: str, *, even_stale: bool = False) -> Principal | None:
        """Return whom a client certificate with a subject stands for, like `admit`."""
        if self._is_open:
            return ANYBODY
        now = self._now(even_stale)
        key = self._by_subject.get(subject)
        if key is None or self._today() >= key.expires:
            return None
        self._note_use(key, now)
        return key.certificate_holder

    def _now(self, even_stale: bool) -> float:
        """Return the clock. Raises KeysUnknownError and NotMigratedError."""
        now = self._clock()
        if not (even_stale and self._keys):
            self._require_known(now)
        return now

    def _note_use(self, key: _Living, now: float) -> None:
        if now >= key.note_at:
            key.note_at = now + NOTE_S
            self._used.add(key.id)

    def require_known(self) -> None:
        """Raise KeysUnknownError, or NotMigratedError, if the keys were not read for too long."""
        if not self._is_open:
            self._require_known(self._clock())

    def _require_known(self, now: float) -> None:
        if now > self._valid_until:
            raise self._not_migrated or KeysUnknownError(
                f"the keys have not been read for more than {VALID_S:g} s"
            )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Keyring"]:
        """Keep up with the keys for the length of the block, from its beginning on."""
        with suppress(DatabaseUnavailableError):  # nobody is let in until it is there
            async with apart(self._url, _TIMEOUT_S) as connection:
                await self.look(connection)
        async with running(repeat("keys", self._watch, LOOK_S)):
            yield self

    async def look(self, connection: Connection) -> None:
        """Read the keys if they have changed. Raises DatabaseUnavailableError."""
        asked = self._clock()
        try:
            state = await queries.keys_version(connection)
        except asyncpg.UndefinedTableError as error:
            self._not_migrated = NotMigratedError(str(error))
            raise self._not_migrated from error
        self._not_migrated = None
        if state["version"] != self._version:
            keys = [dict(row) async for row in queries.living_keys(connection)]
            self.know(keys, any_key=state["any_key"])
            self._version = state["version"]
        self.read_at(asked)

    def read_at(self, clock: float) -> None:
        """Note that the known keys were those of the database at a time of the clock."""
        self._valid_until = max(self._valid_until, clock + VALID_S)

    def know(self, rows: Sequence[Mapping[str, Any]], *, any_key: bool = True) -> None:
        """Replace the known keys by rows of access_keys; was there ever `any_key`?"""
        self._is_open = self._may_be_open and not any_key
        before = self._keys
        keys = [key_of(row) for row in rows]
        self._keys = {
            key.id: _Living(
                id=key.id,
                principal=key.principal,
                certificate_holder=key.certificate_holder,
                secret_hash=row["secret_hash"],
                expires=_seconds(row["expires_at"], _NEVER),
                previous_hash=row["previous_hash"] or b"",
                previous_expires=_seconds(row["previous_until"], -_NEVER),
                note_at=before[key.id].note_at if key.id in before else -_NEVER,
            )
            for key, row in zip(keys, rows, strict=True)
        }
        self._by_subject = {
            key.subject: self._keys[key.id] for key in keys if key.subject is not None
        }

    def take_used(self) -> list[str]:
        """Return the ids of keys whose use is to be noted, once."""
        used, self._used = list(self._used), set()
        return used

    async def _watch(self) -> None:
        """Keep up with the keys on a connection of its own, which no load keeps waiting."""
        async with apart(self._url, _TIMEOUT_S) as connection:
            while True:
                await self.look(connection)
                if used := self.take_used():
                    await queries.note_keys_used(connection, ids=used)
                await asyncio.sleep(LOOK_S)


def _fits(key: _Living, secret_hash: bytes, today: float) -> bool:
    if today >= key.expires:
        return False
    return hmac.compare_digest(secret_hash, key.secret_hash) or (
        today < key.previous_expires and hmac.compare_digest(secret_hash, key.previous_hash)
    )


def _seconds(at: Any, otherwise: float) -> float:
    seconds: float = otherwise if at is None else at.timestamp()
    return seconds
