"""Who is signed in: a browser with its cookie, or whoever sends a key or a token."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import structlog
from litestar import Request, Router, delete, get, post
from litestar.datastructures import Cookie
from litestar.params import JSONBody
from litestar.response import Response
from litestar.types import Scope as RequestScope
from msgspec import Meta

from fleetmeter.access.browser_sessions import BrowserSessions, csrf_token
from fleetmeter.access.key_text import parse_key
from fleetmeter.access.keyring import Keyring
from fleetmeter.access.principal import SCOPES, Principal, Scope
from fleetmeter.http.shared.addresses import client_address, settings_of
from fleetmeter.http.shared.authentication import (
    PUBLIC,
    SCOPE,
    SIGNED_IN,
    SignIn,
    count_failure,
    key_of,
    sign_in_ways,
    unauthenticated,
)
from fleetmeter.http.shared.browsers import (
    CSRF_HEADER,
    SESSION_COOKIE,
    cookie,
    cookie_value,
    refuse_other_sites,
    refuse_plain_http,
)
from fleetmeter.http.shared.operations import described, problem_response
from fleetmeter.http.shared.parameters import takes
from fleetmeter.http.shared.principals import principal_of

_log = structlog.get_logger()

_FOREVER_S = 1e11
"""Ends after this many seconds since 1970 are none."""

_NOT_STORED = {"Cache-Control": "no-store"}


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """What to sign in with."""

    key: Annotated[str, Meta(min_length=1, max_length=200, description="An access key, `fm_…`.")]


class SignedIn(msgspec.Struct, rename="camel", kw_only=True):
    """Who is signed in, and what they may do."""

    name: Annotated[str, Meta(description="As in the audit log.", examples=["key:depot-7"])]
    scopes: list[Scope]
    devices: Annotated[
        list[str] | None, Meta(description="Patterns of the device ids within reach; null for all.")
    ]
    sites: Annotated[
        list[str] | None, Meta(description="Sites within reach; null for all devices.")
    ]
    csrf_token: Annotated[
        str | None,
        Meta(
            description=f"Send it as {CSRF_HEADER} with requests other than GET and HEAD; null "
            "where there is no cookie."
        ),
    ]
    expires_at: Annotated[
        datetime | None,
        Meta(description="When the session, the key or the token ends at the latest; null: never."),
    ]
    open: Annotated[bool, Meta(description="There are no keys: everybody on this machine may.")]
    sign_in: Annotated[SignIn, Meta(description="The ways to sign in with a browser.")]


@get("/", summary="Show who is signed in", operation_id="V1SessionShow", opt={SCOPE: SIGNED_IN})
async def show_session(request: Request[Any, Any, Any]) -> Response[SignedIn]:
    """Tells whom a cookie, a key or a token stands for, with its scopes and reach as they are now.

    Without any, 401 lists the ways to sign in.
    """
    scope = request.scope
    principal = principal_of(scope)
    value: str | None = scope["state"].get("cookie")
    return Response(
        _signed_in(scope, principal, value, await _ends(scope, value)), headers=_NOT_STORED
    )


@post(
    "/",
    summary="Sign in with a key",
    operation_id="V1SessionCreate",
    opt={SCOPE: PUBLIC},
    operation_class=described(
        {
            "401": problem_response("The key is not valid."),
            "403": problem_response("A page of another site sent this, or not over HTTPS."),
            "429": problem_response("Too many wrong keys came from this address; see Retry-After."),
        }
    ),
)
async def begin_session(
    request: Request[Any, Any, Any], data: JSONBody[Credentials]
) -> Response[SignedIn]:
    """Sets a cookie that stands for the key from now on, until either ends."""
    scope = request.scope
    state = scope["litestar_app"].state
    refuse_other_sites(scope)
    refuse_plain_http(scope)
    keyring: Keyring = state.keyring
    key = parse_key(data.key.strip())
    principal = keyring.holder(key) if key is not None else None
    if key is None or principal is None:
        count_failure(scope)
        raise unauthenticated(scope)
    state.rates.of(principal).requests.take(1)
    await end_of_browser(scope)
    sessions: BrowserSessions = state.browser_sessions
    value = await sessions.begin(key)
    log_sign_in(scope, principal)
    return Response(
        _signed_in(scope, principal, value, await _ends(scope, value)),
        headers=_NOT_STORED,
        cookies=[session_cookie(scope, value)],
    )


@delete("/", summary="Sign out", operation_id="V1SessionDelete", opt={SCOPE: SIGNED_IN})
async def end_session(request: Request[Any, Any, Any]) -> Response[None]:
    """Ends the session of the cookie: here at once, and in other processes within five seconds."""
    scope = request.scope
    if (value := scope["state"].get("cookie")) is not None:
        sessions: BrowserSessions = scope["litestar_app"].state.browser_sessions
        await sessions.end(value)
    gone = cookie(scope, SESSION_COOKIE, "", max_age_s=0)
    return Response(None, headers=_NOT_STORED, cookies=[gone])


def session_cookie(scope: RequestScope, value: str) -> Cookie:
    """Return the cookie of a session that begins."""
    return cookie(scope, SESSION_COOKIE, value, max_age_s=settings_of(scope).sign_in_longest_s)


async def end_of_browser(scope: RequestScope) -> None:
    """End the session that a browser has already, before it gets another one."""
    if (value := cookie_value(scope, SESSION_COOKIE)) is not None:
        sessions: BrowserSessions = scope["litestar_app"].state.browser_sessions
        await sessions.end(value)


def log_sign_in(scope: RequestScope, principal: Principal) -> None:
    """Log who signed in, and from where."""
    _log.info("signed in", who=principal.name, address=client_address(scope))


def _signed_in(
    scope: RequestScope, principal: Principal, value: str | None, ends: float
) -> SignedIn:
    reach = principal.reach
    keyring: Keyring = scope["litestar_app"].state.keyring
    return SignedIn(
        name=principal.name,
        scopes=[each for each in SCOPES if each in principal.scopes],
        devices=list(reach.devices) or None,
        sites=reach.site_names(),
        csrf_token=None if value is None else csrf_token(value),
        expires_at=datetime.fromtimestamp(ends, UTC) if ends < _FOREVER_S else None,
        open=keyring.is_open,
        sign_in=sign_in_ways(scope),
    )


async def _ends(scope: RequestScope, value: str | None) -> float:
    """Return when what lets somebody in ends, seconds since 1970."""
    state = scope["litestar_app"].state
    if value is not None:
        sessions: BrowserSessions = state.browser_sessions
        session = await sessions.find(value)
        return sessions.ends(session) if session else 0.0
    if (token := scope["state"].get("session")) is not None:
        ends: float = token.ends
        return ends
    keyring: Keyring = state.keyring
    key = parse_key(key_of(scope) or "")
    return keyring.ends(key) if key is not None else float("inf")


session = Router(
    "/v1/session",
    tags=["Session"],
    before_request=takes(),
    route_handlers=[show_session, begin_session, end_session],
)
