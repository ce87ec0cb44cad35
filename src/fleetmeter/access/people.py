"""People who bring a bearer token of an OIDC issuer; a verified one is remembered until it ends."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from time import time
from typing import Any, NamedTuple

import jwt
import msgspec

from fleetmeter.access.claims import claim_rules, is_token, person
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


class _Signed(NamedTuple):
    """A token whose signature was verified."""

    claims: dict[str, Any]
    key_id: str | None
    key: Jwk


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
        self.issuer = issuer or Issuer(settings.oidc_issuer)
        self._today = today
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._jwt = jwt.PyJWT(options={"enforce_minimum_key_length": True})

    @asynccontextmanager
    async def running(self) -> AsyncIterator["People"]:
        """Verify tokens for the length of the block."""
        try:
            yield self
        finally:
            await self.issuer.close()

    async def admit(self, token: str) -> Session | None:
        """Return who sends a token, or None for one that is not valid.

        Raises IssuerUnavailableError.
        """
        digest = sha256(token.encode()).digest()
        if (session := self._sessions.get(digest)) is not None:
            await self.issuer.key(session.key_id)  # fetched again from time to time
            if self.still(session):
                return session
            del self._sessions[digest]
        signed = await self._verified(token, self._audience)
        session = self._session(signed) if signed else None
        if session is not None:
            self._sessions[digest] = session
            if len(self._sessions) > MOST_TOKENS:
                self._sessions.popitem(last=False)
        return session

    def still(self, session: Session) -> bool:
        """Return whether a token has not expired, and its key not been withdrawn."""
        return self._today() < session.ends and self.issuer.known(session.key_id) == session.key

    async def admit_signed_in(
        self, id_token: str, access_token: str | None, *, client_id: str, nonce: str
    ) -> Session | None:
        """Return who signed in at the issuer, or None unless their tokens are valid.

        The ID token says who it is. What they may do is in the access token, if that is one which
        would be accepted from a program; otherwise in the ID token, too. Raises
        IssuerUnavailableError.
        """
        signed = await self._verified(id_token, client_id)
        if (
            signed is None
            or signed.claims.get("nonce") != nonce
            or signed.claims.get("azp", client_id) != client_id
        ):
            return None
        if access_token is not None and is_token(access_token):
            given = await self._verified(access_token, self._audience)
            if given is not None and given.claims["sub"] == signed.claims["sub"]:
                signed = given
        return self._session(signed)

    def _session(self, signed: "_Signed") -> Session | None:
        principal = person(signed.claims, self._rules)
        if principal is None:
            return None
        ends = float(signed.claims["exp"]) + LEEWAY_S
        return Session(principal, ends, signed.key_id, signed.key)

    async def _verified(self, token: str, audience: str) -> "_Signed | None":
        """Return the claims of a token for an audience. Raises IssuerUnavailableError."""
        if len(token) > MOST_BYTES:
            return None
        try:
            header = jwt.get_unverified_header(token)
            key_id, algorithm = header.get("kid"), header.get("alg")
            if algorithm not in ALGORITHMS:
                return None
            key = await self.issuer.key(key_id)
            if key is None:
                return None
            claims = self._jwt.decode(
                token,
                jwt.PyJWK(key, key.get("alg") or algorithm),
                algorithms=ALGORITHMS,
                audience=audience,
                issuer=self.issuer.url,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, RecursionError, TypeError, ValueError):
            return None
        return _Signed(claims, key_id, key)
