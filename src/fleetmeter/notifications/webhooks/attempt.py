"""One attempt to send a message to a webhook: to a checked address, in bounded time."""

import asyncio
import logging
import ssl
from contextlib import suppress
from http import HTTPStatus
from time import time

import httpx
import msgspec

from fleetmeter import __version__
from fleetmeter.notifications.webhooks.addresses import (
    ForbiddenAddressError,
    UnresolvedError,
    addresses_of,
)
from fleetmeter.notifications.webhooks.signing import headers
from fleetmeter.webhook_networks import Address, Networks

TOTAL_S = 15.0
"""Maximum duration of an attempt, seconds."""

_CONNECT_S = 5.0
_MANNERS_S = 1.0
"""Maximum time to read an answer's body, seconds: closing earlier can look like a fault."""

_MANNERS_BYTES = 4096
_LONGEST_RETRY_AFTER_S = 3600

_LOG_NOTHING = ("httpx", "httpcore")
"""Loggers that show whole URLs, some of which are secrets."""


class AttemptResult(msgspec.Struct, frozen=True):
    """The result of an attempt; its error is one line that can be shown."""

    status: int | None = None
    error: str | None = None
    retry_after_s: float = 0.0
    """Minimum pause that the receiver asks for."""

    @property
    def gone(self) -> bool:
        """Return whether the receiver wants no more messages."""
        return self.status == HTTPStatus.GONE


class Sender:
    """Sends messages without proxies or redirects, and verifies certificates."""

    def __init__(self, networks: Networks, total_s: float = TOTAL_S) -> None:
        for name in _LOG_NOTHING:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._networks = networks
        self._total_s = total_s
        self._client = httpx.AsyncClient(
            trust_env=False,
            verify=_trusted(),
            follow_redirects=False,
            timeout=httpx.Timeout(total_s, connect=_CONNECT_S),
            # an address is checked for every message
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={
                "user-agent": f"FleetMeter/{__version__}",
                "accept-encoding": "identity",
                "content-type": "application/json",
            },
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def send(self, url: str, secret: str, message_id: str, body: bytes) -> AttemptResult:
        """Sign and send a message. Never raises for what the receiver or the network does."""
        signed = headers(secret, message_id, int(time()), body)
        try:
            async with asyncio.timeout(self._total_s):
                return await self._send(httpx.URL(url), signed, body)
        except (TimeoutError, httpx.TimeoutException) as error:
            connecting = isinstance(error, httpx.ConnectTimeout)
            did = f"no connection within {_CONNECT_S:g} s" if connecting else "no answer in time"
            return AttemptResult(error=did)
        except (ForbiddenAddressError, UnresolvedError) as error:
            return AttemptResult(error=str(error))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return AttemptResult(error=_said(error))

    async def _send(self, url: httpx.URL, signed: dict[str, str], body: bytes) -> AttemptResult:
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await addresses_of(url.raw_host.decode(), port, self._networks)
        for address in addresses[:-1]:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._send_to(address, url, signed, body)
        return await self._send_to(addresses[-1], url, signed, body)

    async def _send_to(
        self, address: Address, url: httpx.URL, signed: dict[str, str], body: bytes
    ) -> AttemptResult:
        """Send to the address that was checked; the name is for TLS and the Host header."""
        async with self._client.stream(
            "POST",
            url.copy_with(host=str(address)),
            content=body,
            headers={**signed, "host": url.netloc.decode()},
            extensions={"sni_hostname": url.raw_host.decode()},
        ) as answer:
            with suppress(TimeoutError, httpx.HTTPError):
                async with asyncio.timeout(_MANNERS_S):
                    await _read_some(answer)
            return _result(answer)


async def _read_some(answer: httpx.Response) -> None:
    size = 0
    async for chunk in answer.aiter_raw():
        size += len(chunk)
        if size > _MANNERS_BYTES:
            return


def _result(answer: httpx.Response) -> AttemptResult:
    if answer.is_success:
        return AttemptResult(answer.status_code)
    error = f"it answered {answer.status_code}{_phrase(answer.status_code)}"
    if answer.is_redirect:
        error += "; redirects are not followed: add the URL that it leads to"
    retry_after = answer.headers.get("retry-after", "")
    asked_s = int(retry_after) if retry_after.isdecimal() and len(retry_after) < 10 else 0
    return AttemptResult(answer.status_code, error, float(min(asked_s, _LONGEST_RETRY_AFTER_S)))


def _phrase(status: int) -> str:
    """Return our own phrase: showing the receiver's could be used to probe networks."""
    return f" {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else ""


def _said(error: BaseException) -> str:
    """Return the cause in one line, without anything from the receiver."""
    if isinstance(error, httpx.ConnectError):
        return f"no connection: {str(error) or 'refused'}".splitlines()[0][:200]
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | OSError):
        return "the connection broke before an answer in HTTP came"
    return f"it cannot be sent ({type(error).__name__})"


def _trusted() -> ssl.SSLContext:
    """Trust Mozilla's certificates and the system's (SSL_CERT_FILE)."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
