"""Browsers that are signed in: each has a cookie that stands for its key, or for a person.

The database has the hash of each cookie, so that a session counts in every process and survives a
restart. What it may do is decided for each request: a session of a key is worth what its key is.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe
from time import monotonic

import msgspec

from fleetmeter.access.derived_texts import derived_text
from fleetmeter.access.key_text import KeyText, hash_of
from fleetmeter.access.keyring import Keyring
from fleetmeter.access.principal import SCOPES, Principal, Scope
from fleetmeter.access.reach import EVERYTHING, Reach
from fleetmeter.database.pool import Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.errors import BusyError, DatabaseUnavailableError
from fleetmeter.settings import Settings

LOOK_S = 2.0
"""A session is looked up again after this long, seconds."""

VALID_S = 5.0
"""How long a look counts when the next one fails, seconds."""

MOST_OF_HOLDER = 100
"""Most sessions of a key or a person; beyond that, the oldest ends."""

MOST = 10_000
"""Most sessions in all, likewise."""

_COOKIE_BYTES = 32


class BrowserSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it is stored."""

    key: KeyText | None = None
    """The key that it stands for."""

    person: Principal | None = None
    """Or the person, as their token said."""

    issuer: str | None = None
    """Who issued that token."""

    longest_until: datetime
    """Its end, however much it is used."""


class _Look(msgspec.Struct, frozen=True):
    session: BrowserSession
    at: float


class BrowserSessions:
    """The sessions of a database, each remembered for a few seconds."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        settings: Settings,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take a connection at a time: cookies that strangers make up must not take others."""
        self._database = database.limited_to(1)
        self._keyring = keyring
        self._issuer = settings.oidc_issuer
        self._idle = timedelta(seconds=settings.sign_in_idle_s)
        self._longest = timedelta(seconds=settings.sign_in_longest_s)
        self._clock = clock
        self._looks: OrderedDict[bytes, _Look] = OrderedDict()
        self._ended = 0
        """Sessions that were ended here: what was read before such an end is not remembered."""

    async def begin(self, key: KeyText) -> str:
        """Begin a session of a key; return its cookie."""
        return await self._begin(key.id, self._longest_until(), key_hash=key.secret_hash)

    async def begin_of_person(self, person: Principal, ends: float) -> str:
        """Begin a session of a person, which ends with their token; return its cookie.

        `ends` is in seconds since 1970.
        """
        reach = person.reach
        return await self._begin(
            person.name,
            datetime.fromtimestamp(min(self._longest_until().timestamp(), ends), UTC),
            issuer=self._issuer,
            scopes=[scope for scope in SCOPES if scope in person.scopes],
            sites=None if reach.whole else list(reach.sites),
        )

    async def _begin(
        self,
        holder: str,
        longest_until: datetime,
        *,
        key_hash: bytes | None = None,
        issuer: str | None = None,
        scopes: list[Scope] | None = None,
        sites: list[str] | None = None,
    ) -> str:
        cookie = token_urlsafe(_COOKIE_BYTES)

        async def add() -> None:
            async with self._database.transaction() as connection:
                await queries.add_browser_session(
                    connection,
                    cookie_hash=hash_of(cookie),
                    holder=holder,
                    key_hash=key_hash,
                    issuer=issuer,
                    scopes=scopes,
                    sites=sites,
                    idle=self._idle,
                    longest_until=longest_until,
                )
                await queries.end_surplus_browser_sessions(
                    connection, holder=holder, most_of_holder=MOST_OF_HOLDER, most=MOST
                )

        await retried(add)
        return cookie

    async def end(self, cookie: str) -> None:
        """End a session: here at once, and in other processes within VALID_S."""
        digest = hash_of(cookie)
        async with self._database.connection() as connection:
            await queries.end_browser_session(connection, cookie_hash=digest)
        self._ended += 1
        self._looks.pop(digest, None)

    async def find(self, cookie: str) -> BrowserSession | None:
        """Return the session of a cookie, which this use keeps for longer; None for no session.

        Raises DatabaseUnavailableError and BusyError.
        """
        digest = hash_of(cookie)
        look = self._looks.get(digest)
        now = self._clock()
        if look is not None and now - look.at < LOOK_S:
            return look.session
        try:
            session = await self._find(digest, now)
        except (BusyError, DatabaseUnavailableError):
            if look is not None and digest in self._looks and self._clock() - look.at < VALID_S:
                return look.session
            raise
        return session

    def principal(self, session: BrowserSession) -> Principal | None:
        """Return who a session stands for now, or None once its key or issuer does not count.

        Raises KeysUnknownError and NotMigratedError.
        """
        if session.key is not None:
            return self._keyring.holder(session.key)
        return session.person if session.issuer == self._issuer else None

    def ends(self, session: BrowserSession) -> float:
        """Return when a session ends however much it is used, seconds since 1970."""
        ends = session.longest_until.timestamp()
        return ends if session.key is None else min(ends, self._keyring.ends(session.key))

    async def _find(self, digest: bytes, now: float) -> BrowserSession | None:
        ended = self._ended
        async with self._database.connection() as connection:
            row = await queries.use_browser_session(connection, cookie_hash=digest, idle=self._idle)
        if row is None:
            self._looks.pop(digest, None)
            return None
        if row["key_hash"] is not None:
            key = KeyText(row["holder"], row["key_hash"])
            session = BrowserSession(key=key, longest_until=row["longest_until"])
        else:
            sites = row["sites"]
            reach = EVERYTHING if sites is None else Reach(sites=tuple(sites))
            session = BrowserSession(
                person=Principal(
                    row["holder"],
                    frozenset(scope for scope in SCOPES if scope in row["scopes"]),
                    reach,
                ),
                issuer=row["issuer"],
                longest_until=row["longest_until"],
            )
        if ended == self._ended:
            self._looks[digest] = _Look(session, now)
            self._looks.move_to_end(digest)
            if len(self._looks) > MOST:
                self._looks.popitem(last=False)
        return session

    def _longest_until(self) -> datetime:
        return datetime.now(UTC) + self._longest


def csrf_token(cookie: str) -> str:
    """Return what a page must send with a request that changes something.

    It follows from the cookie, which pages cannot read, and does not lead back to it.
    """
    return derived_text(cookie, "csrf")
