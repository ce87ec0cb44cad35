"""People sign in with a browser: the authorization code flow of OIDC, with PKCE, state and nonce.

OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE), RFC 9207 (`iss` in the answer). What is to be
remembered meanwhile follows from one random secret, which the browser keeps in a cookie.
"""

import asyncio
import hmac
import re
from hashlib import sha256
from http import HTTPStatus
from secrets import token_urlsafe
from typing import NamedTuple
from urllib.parse import quote_plus, urlencode

import msgspec
import structlog

from fleetmeter.access.derived_texts import base64url, derived_text
from fleetmeter.access.issuer import Issuer, IssuerUnavailableError
from fleetmeter.access.people import People, Session
from fleetmeter.errors import SettingsError, SignInError
from fleetmeter.settings import SAFE_URL, Settings

CALLBACK = "/sign-in/callback"
"""Path that the issuer sends people back to."""

_SCOPES = "openid profile"

_SECRET_BYTES = 32

_AT_ONCE = 10
"""Codes that are redeemed at a time."""

_log = structlog.get_logger()


class Beginning(NamedTuple):
    """Where to send a browser, and what it must keep until it comes back."""

    url: str
    secret: str


class _Tokens(msgspec.Struct):
    id_token: str
    access_token: str | None = None


class CodeFlow:
    """Signs people in at the issuer in the settings."""

    def __init__(self, people: People, settings: Settings) -> None:
        """Raises SettingsError."""
        if settings.oidc_client_id is None:
            raise SettingsError("FLEETMETER_OIDC_CLIENT_ID is not set")
        if not re.fullmatch(SAFE_URL, settings.public_url):
            raise SettingsError(
                "FLEETMETER_PUBLIC_URL: people can sign in at https:// or on this machine alone"
            )
        self._people = people
        self._issuer: Issuer = people.issuer
        self._client_id = settings.oidc_client_id
        self._client_secret = settings.oidc_client_secret
        self._redirect_uri = f"{settings.public_url}{CALLBACK}"
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def begin(self) -> Beginning:
        """Return where a browser signs in. Raises IssuerUnavailableError."""
        discovery = await self._issuer.discovery()
        if not discovery.authorization_endpoint or not discovery.token_endpoint:
            raise IssuerUnavailableError(f"{self._issuer.url} names no endpoints to sign in at")
        secret = token_urlsafe(_SECRET_BYTES)
        challenge = base64url(sha256(derived_text(secret, "verifier").encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": _SCOPES,
            "state": derived_text(secret, "state"),
            "nonce": derived_text(secret, "nonce"),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = discovery.authorization_endpoint
        return Beginning(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}", secret)

    async def finish(
        self, secret: str | None, state: str | None, code: str | None, issuer: str | None
    ) -> Session:
        """Return who signed in, by what the browser kept and what the issuer sent it back with.

        Raises SignInError and IssuerUnavailableError.
        """
        if (
            secret is None
            or state is None
            or not hmac.compare_digest(state.encode(), derived_text(secret, "state").encode())
        ):
            raise SignInError(
                "this sign-in was not begun in this browser, or took too long; begin again at "
                f"{self._redirect_uri.removesuffix('/callback')}",
                "expired",
            )
        discovery = await self._issuer.discovery()
        if issuer != self._issuer.url and (
            issuer is not None or discovery.authorization_response_iss_parameter_supported
        ):
            raise SignInError("the answer is from another issuer", "refused")
        if code is None:
            raise SignInError("the issuer did not sign anybody in", "cancelled")
        if self._slots.locked():
            raise IssuerUnavailableError(f"{_AT_ONCE} people are signing in at {self._issuer.url}")
        async with self._slots:
            tokens = await self._redeemed(code, derived_text(secret, "verifier"))
        session = await self._people.admit_signed_in(
            tokens.id_token,
            tokens.access_token,
            client_id=self._client_id,
            nonce=derived_text(secret, "nonce"),
        )
        if session is None:
            _log.warning("tokens of the issuer are not valid for this client")
            raise SignInError("the issuer's token is not valid for this service", "refused")
        return session

    async def _redeemed(self, code: str, verifier: str) -> _Tokens:
        """Return the tokens for a code. Raises SignInError and IssuerUnavailableError."""
        discovery = await self._issuer.discovery()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
            "client_id": self._client_id,
        }
        auth = None
        if self._client_secret is not None:
            if "client_secret_basic" in discovery.token_endpoint_auth_methods_supported:
                # both are form-encoded first (RFC 6749, 2.3.1)
                auth = (quote_plus(self._client_id), quote_plus(self._client_secret))
            else:
                form["client_secret"] = self._client_secret
        status, body = await self._issuer.post(discovery.token_endpoint, form, auth)
        try:
            return msgspec.json.decode(body, type=_Tokens)
        except msgspec.MsgspecError:
            said = body[:200] if status != HTTPStatus.OK else b""  # no tokens in the log
            _log.warning("the issuer gives no tokens", status=status, said=said)
            raise SignInError(
                "the issuer did not accept the sign-in; the log shows what it said", "refused"
            ) from None
