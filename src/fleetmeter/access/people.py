"""People who bring a bearer token of an OIDC issuer; a verified one is remembered until it ends."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from time import time

import jwt
import msgspec

from fleetmeter.access.claims import claim_rules, person
from fleetmeter.access.issuer import Issuer, Jwk
from fleetmeter.access.principal import Principal
from fleetmeter.errors import SettingsError
from fleetmeter.settings import Settings

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Signatures that are accepted: of public keys alone."""

LEEWAY_S = 30
"""How far the issuer's clock may be off, seconds."""

MOST_BYTES = 16 * 1024
"""Longest token, bytes."""

MOST_TOKENS = 10_000
"""Verified tokens that are remembered; beyond that, those verified longest ago are forgotten."""


class Session(msgspec.Struct, frozen=True):
    """Somebody whose token was verified."""

    principal: Principal
    ends: float
    """When the token expires, seconds since 1970."""

    key_id: str | None
    key: Jwk
    """With which it was signed."""


class People:
    """Verifies tokens of the issuer in the settings."""

    def __init__(
        self, settings: Settings, issuer: Issuer | None = None, today: Callable[[], float] = time
    ) -> None:
        """Raises SettingsError."""
        if settings.oidc_issuer is None or settings.oidc_audience is None:
            raise SettingsError(
                "FLEETMETER_OIDC_ISSUER and FLEETMETER_OIDC_AUDIENCE: set both, or neither"
            )
        self._audience = settings.oidc_audience
        self._rules = claim_rules(settings)
        self._issuer = issuer or Issuer(settings.oidc_issuer)
        self._today = today
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._jwt = jwt.PyJWT(options={"enforce_minimum_key_length": True})

    @asynccontextmanager
    async def running(self) -> AsyncIterator["People"]:
        """Verify tokens for the length of the block."""
        try:
            yield self
        finally:
            await self._issuer.close()

    async def admit(self, token: str) -> Session | None:
        """Return who sends a token, or None for one that is not valid.

        Raises IssuerUnavailableError.
        """
        digest = sha256(token.encode()).digest()
        if (session := self._sessions.get(digest)) is not None:
            await self._issuer.key(session.key_id)  # fetched again from time to time
            if self.still(session):
                return session
            del self._sessions[digest]
        if (session := await self._verified(token)) is not None:
            self._sessions[digest] = session
            if len(self._sessions) > MOST_TOKENS:
                self._sessions.popitem(last=False)
        return session

    def still(self, session: Session) -> bool:
        """Return whether a token has not expired, and its key not been withdrawn."""
        return self._today() < session.ends and self._issuer.known(session.key_id) == session.key

    async def _verified(self, token: str) -> Session | None:
        if len(token) > MOST_BYTES:
            return None
        try:
            header = jwt.get_unverified_header(token)
            key_id, algorithm = header.get("kid"), header.get("alg")
            if algorithm not in ALGORITHMS:
                return None
            key = await self._issuer.key(key_id)
            if key is None:
                return None
            claims = self._jwt.decode(
                token,
                jwt.PyJWK(key, key.get("alg") or algorithm),
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer.url,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, RecursionError, TypeError, ValueError):
            return None
        principal = person(claims, self._rules)
        if principal is None:
            return None
        return Session(principal, float(claims["exp"]) + LEEWAY_S, key_id, key)
