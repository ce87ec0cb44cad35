"""GET /sign-in: people go to the issuer, and come back signed in, or to what went wrong."""

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Request, Router, get
from litestar.datastructures import Cookie
from litestar.params import QueryParameter
from litestar.response import Response
from litestar.status_codes import HTTP_303_SEE_OTHER, HTTP_403_FORBIDDEN, HTTP_404_NOT_FOUND
from litestar.types import Scope

from fleetmeter.access.browser_sessions import BrowserSessions
from fleetmeter.access.issuer import IssuerUnavailableError
from fleetmeter.errors import SignInError
from fleetmeter.http.page import accepts_html
from fleetmeter.http.session import end_of_browser, log_sign_in, session_cookie
from fleetmeter.http.shared.authentication import PUBLIC, SCOPE, count_failure
from fleetmeter.http.shared.browsers import SIGN_IN_COOKIE, cookie, cookie_value
from fleetmeter.http.shared.problems import problem

if TYPE_CHECKING:
    from fleetmeter.access.code_flow import CodeFlow

_LONGEST_S = 600
"""How long somebody may take at the issuer, seconds."""

_LONGEST_TEXT = 4096

State = Annotated[
    str | None, QueryParameter(name="state", required=False, max_length=_LONGEST_TEXT)
]
Text = Annotated[str | None, QueryParameter(required=False, max_length=_LONGEST_TEXT)]


@get("/", opt={SCOPE: PUBLIC})
async def begin_sign_in(request: Request[Any, Any, Any]) -> Response[None]:
    """Send the browser to the issuer."""
    scope = request.scope
    flow = _flow(scope)
    try:
        begun = await flow.begin()
    except IssuerUnavailableError:
        if not _is_browser(request):
            raise
        return _see_page("unavailable")
    # Lax: the browser comes back from another site
    kept = cookie(scope, SIGN_IN_COOKIE, begun.secret, max_age_s=_LONGEST_S, same_site="lax")
    return _see(begun.url, kept)


@get("/callback", opt={SCOPE: PUBLIC})
async def finish_sign_in(
    request: Request[Any, Any, Any],
    state_: State = None,
    code: Text = None,
    iss: Text = None,
) -> Response[None]:
    """Sign in whom the issuer sends back, and show the live page."""
    scope = request.scope
    flow = _flow(scope)
    secret = cookie_value(scope, SIGN_IN_COOKIE)
    try:
        person = await flow.finish(secret, state_, code, iss)
    except IssuerUnavailableError:
        if not _is_browser(request):
            raise
        return _see_page("unavailable")
    except SignInError as error:
        count_failure(scope)
        if _is_browser(request):
            return _see_page(error.reason)
        raise problem(HTTP_403_FORBIDDEN, str(error), kind="sign-in-failed") from None
    app_state = scope["litestar_app"].state
    app_state.rates.of(person.principal).requests.take(1)
    await end_of_browser(scope)
    sessions: BrowserSessions = app_state.browser_sessions
    value = await sessions.begin_of_person(person.principal, person.ends)
    log_sign_in(scope, person.principal)
    done = cookie(scope, SIGN_IN_COOKIE, "", max_age_s=0, same_site="lax")
    return _see("/", done, session_cookie(scope, value))


def _flow(scope: Scope) -> "CodeFlow":
    """Return the way to sign in at the issuer. Raises 404 where there is none."""
    flow: CodeFlow | None = scope["litestar_app"].state.code_flow
    if flow is None:
        raise problem(
            HTTP_404_NOT_FOUND,
            "people cannot sign in here: FLEETMETER_OIDC_CLIENT_ID is not set; a key works",
            kind="no-issuer",
        )
    return flow


def _is_browser(request: Request[Any, Any, Any]) -> bool:
    return accepts_html(request.headers.get("accept", ""))


def _see_page(reason: str) -> Response[None]:
    """Send the browser to the page, which says why nobody is signed in and how to go on."""
    return _see(f"/?signIn={reason}")


def _see(url: str, *cookies: Cookie) -> Response[None]:
    return Response(
        None,
        status_code=HTTP_303_SEE_OTHER,
        headers={"Location": url, "Cache-Control": "no-store", "Vary": "Accept"},
        cookies=list(cookies),
    )


sign_in = Router(
    "/sign-in", include_in_schema=False, route_handlers=[begin_sign_in, finish_sign_in]
)
