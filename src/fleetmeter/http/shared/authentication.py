"""Lets in who holds a key or a token with the scope that a route needs, and nobody else.

A route declares who may use it in its `opt`, by itself or through its router:
`opt={SCOPE: "read"}`, SIGNED_IN for whoever was let in, or PUBLIC for what needs no key. An
application with a route that declares nothing is not made (`check_routes`), and would answer 403
there.

A browser that is signed in sends its cookie instead. It counts only where there is no
Authorization, and not for what pages of other sites send.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
import structlog
from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.routes import HTTPRoute
from litestar.status_codes import (
    HTTP_401_UNAUTHORIZED,
    HTTP_403_FORBIDDEN,
    HTTP_429_TOO_MANY_REQUESTS,
)
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fleetmeter.access.actor import Actor, act_as
from fleetmeter.access.attempts import FailedAttempts
from fleetmeter.access.browser_sessions import BrowserSessions
from fleetmeter.access.claims import is_token
from fleetmeter.access.keyring import Keyring
from fleetmeter.access.principal import ANYBODY, SCOPES, Principal
from fleetmeter.access.rates import Rates
from fleetmeter.errors import FleetMeterError
from fleetmeter.http.shared.addresses import certificate_subject, client_address
from fleetmeter.http.shared.browsers import (
    SESSION_COOKIE,
    check_csrf,
    cookie_value,
    refuse_other_sites,
)
from fleetmeter.http.shared.own_machine import is_from_own_machine
from fleetmeter.http.shared.problems import problem
from fleetmeter.http.shared.request_ids import request_id
from fleetmeter.metrics import count_denied

if TYPE_CHECKING:
    from fleetmeter.access.people import People, Session

SCOPE = "scope"
"""Key of a route's `opt`: the scope that a key needs to use it, or PUBLIC."""

PUBLIC = "public"

SIGNED_IN = "signed in"

LASTS = "lasts"
"""Key of a route's `opt`: true where an answer may go on for long, and ends with its key."""

EVEN_STALE = "even_stale"
"""Key of a route's `opt`: true where the keys known last will do while the database is away."""

KEY_IN_QUERY = "key_in_query"
"""Key of a route's `opt`: true where the parameter `p` may hold the key, as in InfluxDB 1."""

_CHANGING = frozenset({"operate", "admin"})
"""Scopes whose requests may change what the audit log is about."""

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="FleetMeter"'}

_log = structlog.get_logger()


class SignIn(msgspec.Struct, frozen=True):
    """The ways to sign in with a browser."""

    oidc: bool
    """At the issuer: GET /sign-in."""

    key: bool = True
    """With a key: POST /v1/session."""


class KeyEndedError(FleetMeterError):
    """The key of an answer in progress was revoked or has expired."""


def check_routes(app: Litestar) -> None:
    """Raise TypeError for a route that does not declare who may use it."""
    for path, handler in handlers_of(app):
        if handler.opt.get(SCOPE) not in (*SCOPES, PUBLIC, SIGNED_IN):
            raise TypeError(
                f"{path}: {handler} declares no scope in its opt, nor that it is public"
            )


def handlers_of(app: Litestar) -> Iterator[tuple[str, BaseRouteHandler]]:
    """Yield the handlers of every route with its path, apart from the framework's for OPTIONS."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if not _lists_methods(handler):
                    yield route.path, handler
        else:
            yield route.path, route.route_handler


def _lists_methods(handler: BaseRouteHandler) -> bool:
    """Return whether a handler is the framework's own, which answers OPTIONS with `Allow`."""
    return isinstance(handler, HTTPRouteHandler) and handler.fn.__module__ == HTTPRoute.__module__


def authentication(app: ASGIApp) -> ASGIApp:
    """Wrap a route: it is reached by those who may use it, who are then in its state.

    `principal` is who it is, `allowance` what they may still use.
    """

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        opt = scope["route_handler"].opt
        needed = opt.get(SCOPE)
        if needed != PUBLIC and not (
            scope.get("method") == "OPTIONS" and _lists_methods(scope["route_handler"])
        ):
            scope["state"]["principal"] = principal = await _admitted(scope, needed)
            if needed in _CHANGING:
                act_as(Actor(principal.name, client_address(scope), request_id()))
            if LASTS in opt:
                send = _as_long_as_the_key(scope, send)
        await app(scope, receive, send)

    return route


async def _admitted(scope: Scope, needed: Any) -> Principal:
    """Return who sends a request that needs a scope, or anybody. Raises 401, 403, 429 and 503."""
    state = scope["litestar_app"].state
    people: People | None = state["people"]  # as an attribute, it would take five times as long
    authorization = authorization_of(scope)
    key = _key(authorization)
    principal: Principal | None
    if people is not None and key is not None and is_token(key):
        scope["state"]["session"] = session = await people.admit(key)
        principal = session.principal if session else None
    else:
        principal = None if authorization else await _signed_in(scope)
        if principal is None:
            even_stale = EVEN_STALE in scope["route_handler"].opt
            principal = _holder(scope, authorization, key, even_stale=even_stale)
    if principal is None:
        if authorization:
            count_failure(scope)
        raise unauthenticated(scope)
    if principal is ANYBODY and not is_from_own_machine(scope["headers"]):
        raise problem(
            HTTP_403_FORBIDDEN,
            "without access keys, only this machine is answered, by its own name or address and "
            "not to pages of other sites; make a key with: fleetmeter key create",
            kind="not-own-machine",
        )
    if needed != SIGNED_IN and needed not in principal.scopes:
        count_denied("scope")
        raise problem(
            HTTP_403_FORBIDDEN,
            f"this needs a key with the scope {needed}",
            kind="scope-missing",
            headers={"WWW-Authenticate": f'{_CHALLENGE["WWW-Authenticate"]}, scope="{needed}"'},
            scope=needed,
        )
    rates: Rates = state["rates"]
    scope["state"]["allowance"] = allowance = rates.of(principal)
    allowance.requests.take(1)
    return principal


async def _signed_in(scope: Scope) -> Principal | None:
    """Return whom the browser's cookie stands for; None for none that counts.

    Raises 403 for what other sites' pages send, and for changes without a token against that.
    """
    state = scope["litestar_app"].state
    if state.keyring.is_open or (value := cookie_value(scope, SESSION_COOKIE)) is None:
        return None
    sessions: BrowserSessions = state.browser_sessions
    session = await sessions.find(value)
    principal = sessions.principal(session) if session else None
    if principal is not None:
        refuse_other_sites(scope)
        check_csrf(scope, value)
        scope["state"]["cookie"] = value
    return principal


def unauthenticated(scope: Scope) -> ProblemDetailsException:
    """Return a 401, which names the ways to sign in."""
    count_denied("unauthenticated")
    return problem(
        HTTP_401_UNAUTHORIZED,
        "a valid access key or token is needed; send it as Authorization: Bearer …",
        headers=_CHALLENGE,
        signIn=sign_in_ways(scope),
    )


def sign_in_ways(scope: Scope) -> SignIn:
    """Return the ways to sign in with a browser."""
    return SignIn(oidc=scope["litestar_app"].state.code_flow is not None)


def _holder(
    scope: Scope, authorization: bytes, key: str | None, *, even_stale: bool = False
) -> Principal | None:
    """Return who holds the key in `authorization`, or the certificate if that is empty."""
    keyring: Keyring = scope["litestar_app"].state["keyring"]
    if not authorization and (subject := certificate_subject(scope)) is not None:
        refuse_other_sites(scope)
        return keyring.admit_subject(subject, even_stale=even_stale)
    return keyring.admit(key, even_stale=even_stale)


def _as_long_as_the_key(scope: Scope, send: Send) -> Send:
    """Return a `send` that raises KeyEndedError once the key does not count any more."""
    state = scope["litestar_app"].state
    session: Session | None = scope["state"].get("session")
    cookie: str | None = scope["state"].get("cookie")
    sessions: BrowserSessions = state.browser_sessions
    authorization = authorization_of(scope)
    key = _key(authorization)

    async def send_if_admitted(message: Message) -> None:
        counts: object
        if session is not None:
            counts = state.people.still(session)
        elif cookie is not None:
            found = await sessions.find(cookie)
            counts = sessions.principal(found) if found else None
        else:
            counts = _holder(scope, authorization, key)
        if not counts:
            raise KeyEndedError("its key was revoked or has expired")
        await send(message)

    return send_if_admitted


def count_failure(scope: Scope) -> None:
    """Count a wrong key. Raises 429."""
    attempts: FailedAttempts = scope["litestar_app"].state.failed_attempts
    address = client_address(scope)
    if wait_s := attempts.wait_s(address):
        count_denied("attempts")
        raise problem(
            HTTP_429_TOO_MANY_REQUESTS,
            "too many wrong keys came from this address",
            headers={"Retry-After": str(ceil(wait_s))},
        )
    _log.info("a request had a wrong key", address=address)


def key_of(scope: Scope) -> str | None:
    """Return the key in the Authorization header of a request."""
    return _key(authorization_of(scope))


def authorization_of(scope: Scope) -> bytes:
    """Return the Authorization header of a request, or the key in its query as one."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            return value
    if KEY_IN_QUERY in scope["route_handler"].opt:
        given = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("p")
        return b"Token " + given.encode() if given else b""
    return b""


def _key(authorization: bytes) -> str | None:
    """Return the key in an Authorization header: of a Bearer, a Token, or Basic's password.

    A Token may be `user:key`, as programs with a client of InfluxDB 2 write to version 1.
    """
    scheme, _, credentials = authorization.partition(b" ")
    scheme = scheme.lower()
    try:
        if scheme == b"bearer":
            return credentials.strip().decode("ascii")
        if scheme == b"token":
            return credentials.strip().rpartition(b":")[2].decode("ascii")
        if scheme == b"basic":
            return b64decode(credentials, validate=True).partition(b":")[2].decode("ascii")
    except (Base64Error, UnicodeDecodeError):
        pass
    return None
