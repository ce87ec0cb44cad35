"""An OIDC issuer: its endpoints and keys, discovered, fetched and remembered, all within limits.

https://openid.net/specs/openid-connect-discovery-1_0.html, RFC 7517
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any

import httpx
import msgspec
import structlog

from fleetmeter.errors import FleetMeterError
from fleetmeter.settings import SAFE_URL

FRESH_S = 600.0
"""Keys older than this are fetched again while they go on counting, seconds."""

STALE_S = 24 * 3600.0
"""Keys older than this do not count any more, seconds: the issuer may have withdrawn them."""

RETRY_S = 10.0
"""Shortest time between two fetches, seconds, however many unknown keys are asked for."""

MOST_BYTES = 256 * 1024
"""Largest document of an issuer, bytes."""

MOST_KEYS = 100
"""Most keys of an issuer."""

_FETCH_S = 5.0
"""Longest time to fetch keys, seconds."""

_log = structlog.get_logger()

Jwk = dict[str, Any]
"""A JSON Web Key."""


class IssuerUnavailableError(FleetMeterError):
    """The issuer does not answer, so nobody can be let in or turned away."""


class Discovery(msgspec.Struct):
    """What an issuer says of itself."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _KeySet(msgspec.Struct):
    keys: list[Jwk]


class Issuer:
    """An issuer with its public keys, by their ids."""

    def __init__(self, url: str, clock: Callable[[], float] = monotonic) -> None:
        self.url = url
        self._clock = clock
        self._discovery: Discovery | None = None
        self._keys: dict[str | None, Jwk] = {}
        self._fetched_at = self._tried_at = -STALE_S
        self._fetching: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    async def key(self, key_id: str | None) -> Jwk | None:
        """Return the key of an id, or the only one without an id; None for an unknown one.

        Raises IssuerUnavailableError.
        """
        found = self.known(key_id)
        now = self._clock()
        if now - self._fetched_at > FRESH_S or found is None:
            fetching = self._fetch_soon(now)
            if fetching is not None and (found is None or now - self._fetched_at > STALE_S):
                await asyncio.shield(fetching)
                found = self.known(key_id)
        if not self._keys or self._clock() - self._fetched_at > STALE_S:
            raise IssuerUnavailableError(f"the keys of {self.url} could not be fetched")
        return found

    def known(self, key_id: str | None) -> Jwk | None:
        """Return a key that is known."""
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def discovery(self) -> Discovery:
        """Return what it says of itself. Raises IssuerUnavailableError."""
        if self._discovery is None and (fetching := self._fetch_soon(self._clock())) is not None:
            await asyncio.shield(fetching)
        if self._discovery is None:
            raise IssuerUnavailableError(f"{self.url} could not be asked for its endpoints")
        return self._discovery

    async def post(
        self, url: str, form: Mapping[str, str], auth: tuple[str, str] | None
    ) -> tuple[int, bytes]:
        """Post a form to one of its endpoints; return the status and the body of the answer.

        `auth` is sent by Basic. Raises IssuerUnavailableError.
        """
        try:
            async with asyncio.timeout(_FETCH_S):
                return await self._ask("POST", url, data=form, auth=auth)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            _log.warning("the issuer does not answer", issuer=self.url, error=repr(error))
            raise IssuerUnavailableError(f"{self.url} does not answer") from None

    async def close(self) -> None:
        """End what is in progress."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        if self._client is not None:
            await self._client.aclose()

    def _fetch_soon(self, now: float) -> asyncio.Task[None] | None:
        """Return the fetch that is in progress or begins; None when the last was just now."""
        if self._fetching is None or self._fetching.done():
            if now - self._tried_at < RETRY_S:
                return None
            self._tried_at = now
            self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(_FETCH_S):
                keys = await self._key_set()
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            msgspec.MsgspecError,
            TimeoutError,
            ValueError,
        ) as error:
            _log.warning(
                "the keys of the issuer could not be fetched", issuer=self.url, error=repr(error)
            )
            return
        self._keys = keys
        self._fetched_at = began

    async def _key_set(self) -> dict[str | None, Jwk]:
        """Fetch the keys for signatures. Raises ValueError and what httpx and msgspec raise."""
        place = f"{self.url.removesuffix('/')}/.well-known/openid-configuration"
        found = msgspec.json.decode(await self._get(place), type=Discovery)
        if found.issuer != self.url:
            raise ValueError(f"it calls itself {found.issuer}")
        for url in (found.jwks_uri, found.authorization_endpoint, found.token_endpoint):
            if url and not re.fullmatch(SAFE_URL, url):
                raise ValueError(f"{url} is not HTTPS")
        self._discovery = found
        keys = msgspec.json.decode(await self._get(found.jwks_uri), type=_KeySet).keys
        return {
            key_id: key
            for key in keys[:MOST_KEYS]
            if key.get("use", "sig") == "sig" and isinstance(key_id := key.get("kid"), str | None)
        }

    async def _get(self, url: str) -> bytes:
        status, body = await self._ask("GET", url)
        if status != HTTPStatus.OK:
            raise ValueError(f"{url} answers {status}")
        return body

    async def _ask(self, method: str, url: str, **how: Any) -> tuple[int, bytes]:
        if self._client is None:  # to read the certificates takes long
            context = await asyncio.to_thread(httpx.create_ssl_context)
            self._client = httpx.AsyncClient(verify=context, timeout=_FETCH_S)
        body = b""
        async with self._client.stream(method, url, **how) as answer:
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise ValueError(f"{url} has more than {MOST_BYTES} bytes")
        return answer.status_code, body
