"""What browsers send by themselves: cookies, and which site's page a request comes from."""

import hmac
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from litestar.datastructures import Cookie
from litestar.status_codes import HTTP_403_FORBIDDEN
from litestar.types import Scope

from fleetmeter.access.browser_sessions import csrf_token
from fleetmeter.http.shared.addresses import (
    header_values,
    host_name,
    is_forwarded_https,
    settings_of,
)
from fleetmeter.http.shared.problems import problem
from fleetmeter.metrics import count_denied

CSRF_HEADER = "X-CSRF-Token"

SESSION_COOKIE = "fleetmeter"
"""The cookie of a browser that is signed in."""

SIGN_IN_COOKIE = "fleetmeter-sign-in"
"""The cookie of a browser that is at the issuer."""

HOST_PREFIX = "__Host-"
"""Browsers take cookies called so from this very host alone, over HTTPS (RFC 6265bis)."""

_LONGEST = 200

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def cookie_value(scope: Scope, name: str) -> str | None:
    """Return the value of one of our cookies; None for none, or more than one."""
    wanted = _cookie_name(scope, name).encode()
    found = [
        value.strip()
        for header in header_values(scope, b"cookie")
        for key, _, value in (pair.partition(b"=") for pair in header.split(b";"))
        if key.strip() == wanted
    ]
    if len(found) != 1 or not found[0] or len(found[0]) > _LONGEST or not found[0].isascii():
        return None
    return found[0].decode()


def cookie(
    scope: Scope,
    name: str,
    value: str,
    *,
    max_age_s: int,
    same_site: Literal["strict", "lax"] = "strict",
) -> Cookie:
    """Return a cookie of ours that scripts cannot read; with a `max_age_s` of 0 it is deleted."""
    return Cookie(
        key=_cookie_name(scope, name),
        value=value,
        path="/",
        max_age=max_age_s,
        httponly=True,
        secure=_needs_https(scope),
        samesite=same_site,
    )


def refuse_other_sites(scope: Scope) -> None:
    """Raise 403 for what a page of another site made a browser send.

    Also of another port of this host: a cookie is sent there, too.
    """
    fetched_from = header_values(scope, b"sec-fetch-site")
    if fetched_from:
        is_own = all(value in (b"same-origin", b"none") for value in fetched_from)
    else:
        is_own = all(_is_own_origin(scope, value) for value in header_values(scope, b"origin"))
    if not is_own:
        count_denied("site")
        raise problem(
            HTTP_403_FORBIDDEN,
            "a page of another site sent this; only the service's own pages may use a browser's "
            "cookie or certificate",
            kind="other-site",
        )


def check_csrf(scope: Scope, value: str) -> None:
    """Raise 403 for a request that changes something by a cookie, without the page's token."""
    if scope.get("method") in _SAFE_METHODS:
        return
    sent = header_values(scope, CSRF_HEADER.lower().encode())
    if len(sent) != 1 or not hmac.compare_digest(sent[0], csrf_token(value).encode()):
        count_denied("csrf")
        raise problem(
            HTTP_403_FORBIDDEN,
            f"requests that change something by a cookie need {CSRF_HEADER}: the csrfToken of "
            "GET /v1/session",
            kind="csrf",
        )


def refuse_plain_http(scope: Scope) -> None:
    """Raise 403 where the browser would not keep the cookie: it came by plain HTTP from afar."""
    plain = any(value.startswith(b"http://") for value in header_values(scope, b"origin"))
    if plain and _needs_https(scope):
        raise problem(
            HTTP_403_FORBIDDEN,
            "signing in from another machine needs HTTPS; a proxy can provide it",
            kind="https-needed",
        )


def _cookie_name(scope: Scope, name: str) -> str:
    return f"{HOST_PREFIX}{name}" if _needs_https(scope) else name


def _needs_https(scope: Scope) -> bool:
    """Return whether cookies must travel by HTTPS: everywhere but from this machine to itself.

    `Host` is where the browser believes it is: a loopback address never leaves its machine.
    """
    return is_forwarded_https(scope) or not all(map(_is_loopback, header_values(scope, b"host")))


def _is_loopback(host: bytes) -> bool:
    name = host_name(host)
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _is_own_origin(scope: Scope, origin: bytes) -> bool:
    """Return whether an Origin is this service, by its Host or its public URL."""
    public = urlsplit(settings_of(scope).public_url)
    return origin == f"{public.scheme}://{public.netloc}".encode() or origin.partition(b"://")[
        2
    ] in header_values(scope, b"host")
