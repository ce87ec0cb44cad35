"""Access keys: creates, lists, rotates and revokes them.

A key is shown once, when it is made; the database has a hash of its secret. Each function runs in
the caller's transaction.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from fleetmeter.access.audit import record
from fleetmeter.access.key_text import hash_of, key_text, new_key_id, new_secret
from fleetmeter.access.principal import SCOPES, Principal, Scope
from fleetmeter.access.reach import SITE, Reach
from fleetmeter.database.pool import Connection
from fleetmeter.database.sql import queries
from fleetmeter.errors import FleetMeterError

MOST_KEYS = 10_000
"""Maximum number of living keys: every process holds them all in memory."""

MOST_PATTERNS = 100
"""Maximum number of patterns of a key, and of sites."""

MOST_STARS = 3
"""Maximum number of `*` in a pattern: matching takes longer with each."""

MOST_GRACE = timedelta(days=30)
"""Longest time that a replaced secret goes on working."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._@-]{0,62}[A-Za-z0-9])?")
_PATTERN = re.compile(r"[ -~]{1,128}")
_SUBJECT = re.compile(r"[!-~]([ -~]{0,254}[!-~])?")


class InvalidKeyError(FleetMeterError):
    """A key cannot be like that; `field` names what is wrong."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field} {detail}")
        self.field = field
        self.detail = detail


class KeyConflictError(FleetMeterError):
    """A living key has the name, or there are too many keys."""


class UnknownKeyError(FleetMeterError):
    """No living key has that id or name."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An access key as it is listed, without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    devices: list[str]
    """Patterns of device ids; empty for all."""

    sites: list[str]
    """Names of sites; empty for all devices."""

    subject: str | None = None
    """The subject of the client certificate that stands for it."""

    created_at: datetime
    created_by: str
    expires_at: datetime | None
    previous_until: datetime | None
    """Until when the secret that a rotation replaced goes on working."""

    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""

    @property
    def principal(self) -> Principal:
        """Return who its holder is."""
        return self._holder(f"key:{self.name}")

    @property
    def certificate_holder(self) -> Principal:
        """Return who a client with its certificate is."""
        return self._holder(f"cert:{self.subject}")

    def _holder(self, name: str) -> Principal:
        reach = Reach(tuple(self.devices), tuple(self.sites))
        return Principal(name, frozenset(self.scopes), reach)


class MadeKey(NamedTuple):
    """A key, and its text, which is shown this once."""

    key: Key
    text: str


async def create(
    connection: Connection,
    *,
    name: str,
    scopes: Sequence[str],
    devices: Sequence[str] = (),
    sites: Sequence[str] = (),
    subject: str | None = None,
    expires_at: datetime | None = None,
    created_by: str,
) -> MadeKey:
    """Make a key. Raises InvalidKeyError and KeyConflictError."""
    key_id, secret = new_key_id(), new_secret()
    key = await add(
        connection,
        key_id,
        hash_of(secret),
        name=name,
        scopes=scopes,
        devices=devices,
        sites=sites,
        subject=subject,
        expires_at=expires_at,
        created_by=created_by,
    )
    return MadeKey(key, key_text(key_id, secret))


async def add(
    connection: Connection,
    key_id: str,
    secret_hash: bytes,
    *,
    name: str,
    scopes: Sequence[str],
    devices: Sequence[str] = (),
    sites: Sequence[str] = (),
    subject: str | None = None,
    expires_at: datetime | None = None,
    created_by: str,
) -> Key:
    """Add a key whose secret is known already. Raises InvalidKeyError and KeyConflictError."""
    _check(name, scopes, devices, sites)
    if subject is not None and not _SUBJECT.fullmatch(subject):
        raise InvalidKeyError("subject", "must be 1 to 256 printable ASCII characters")
    _check_expiry(expires_at)
    if await queries.count_living_keys(connection) >= MOST_KEYS:
        raise KeyConflictError(f"there are {MOST_KEYS:,} keys; revoke some first")
    row = await queries.add_key(
        connection,
        id=key_id,
        name=name,
        subject=subject,
        secret_hash=secret_hash,
        scopes=[scope for scope in SCOPES if scope in scopes],
        devices=list(dict.fromkeys(devices)),
        sites=list(dict.fromkeys(sites)),
        created_by=created_by,
        expires_at=expires_at,
    )
    if row is None:
        which = f"a key is called {name} already"
        if subject is not None:
            which += ", or has this subject"
        raise KeyConflictError(f"{which}; revoke it or rotate it")
    key = key_of(row)
    await record(connection, "create-key", _object(key), after=_limits(key))
    return key


async def keys_after(
    connection: Connection, after: str = "", *, revoked: bool = False, most: int = MOST_KEYS
) -> list[Key]:
    """Return the keys with ids above `after`, in the order of their ids."""
    return [
        key_of(row)
        async for row in queries.key_page(connection, after=after, revoked=revoked, limit=most)
    ]


async def revoke(connection: Connection, which: str) -> Key:
    """Revoke the living key of an id or a name. Raises UnknownKeyError."""
    key = await _living(connection, which)
    row = await queries.revoke_key(connection, id=key.id)
    await record(connection, "revoke-key", _object(key), before=_limits(key))
    return key_of(row)


async def rotate(
    connection: Connection,
    which: str,
    *,
    grace: timedelta = timedelta(),
    expires_at: datetime | None = None,
) -> MadeKey:
    """Give the living key of an id or a name another secret; everything else of it stays.

    The old secret goes on working for `grace`. Without `expires_at`, the key expires when it would
    have. Raises UnknownKeyError and InvalidKeyError.
    """
    if not timedelta() <= grace <= MOST_GRACE:
        raise InvalidKeyError("grace", f"must be from 0 to {MOST_GRACE.days} days")
    key = await _living(connection, which)
    expires_at = expires_at or key.expires_at
    _check_expiry(expires_at)
    secret = new_secret()
    row = await queries.rotate_key(
        connection, id=key.id, secret_hash=hash_of(secret), grace=grace, expires_at=expires_at
    )
    rotated = key_of(row)
    await record(
        connection, "rotate-key", _object(key), before=_limits(key), after=_limits(rotated)
    )
    return MadeKey(rotated, key_text(key.id, secret))


def _object(key: Key) -> str:
    return f"key {key.id}"


def _limits(key: Key) -> dict[str, Any]:
    """Return what the audit log says of a key."""
    names = ("name", "subject", "scopes", "devices", "sites", "expires_at")
    return {name: getattr(key, name) for name in names}


async def _living(connection: Connection, which: str) -> Key:
    row = await queries.living_key(connection, which=which)
    if row is None:
        raise UnknownKeyError(f"no key has the id or the name {which}, or it is revoked")
    return key_of(row)


def _check(name: str, scopes: Sequence[str], devices: Sequence[str], sites: Sequence[str]) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidKeyError(
            "name",
            "must be 1 to 64 of A–Z a–z 0–9 space . _ @ -, with a letter or digit at its ends",
        )
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidKeyError("scopes", f"must be one or more of {', '.join(SCOPES)}")
    if "admin" in scopes and (devices or sites):
        raise InvalidKeyError(
            "scopes", "must not have admin where devices or sites are limited: it reaches all keys"
        )
    if len(devices) > MOST_PATTERNS or len(sites) > MOST_PATTERNS:
        raise InvalidKeyError("devices", f"and sites must be at most {MOST_PATTERNS} each")
    for pattern in devices:
        if not _PATTERN.fullmatch(pattern) or pattern.count("*") > MOST_STARS:
            raise InvalidKeyError(
                "devices",
                f"must be patterns of 1 to 128 printable ASCII characters with at most {MOST_STARS}"
                f" stars; {pattern!r} is not",
            )
    for site in sites:
        if not SITE.fullmatch(site):
            raise InvalidKeyError("sites", f"must be names of sites; {site!r} is not")


def _check_expiry(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise InvalidKeyError("expires_at", "must be in the future")


def key_of(row: Any) -> Key:
    """Return the key in a row of access_keys."""
    # get: a column is missing until the database is migrated, as during a rolling upgrade
    return Key(**{name: row.get(name) for name in Key.__struct_fields__})
