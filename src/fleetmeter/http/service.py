"""The service itself: liveness, readiness and documentation."""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from litestar import MediaType, Request, get
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme
from litestar.response import Response
from litestar.router import Router
from litestar.static_files import create_static_files_router
from litestar.status_codes import HTTP_404_NOT_FOUND

from fleetmeter import __version__
from fleetmeter.access.keyring import Keyring
from fleetmeter.database.migrations import missing_migrations
from fleetmeter.database.pool import Database
from fleetmeter.http.shared.authentication import PUBLIC, SCOPE
from fleetmeter.http.shared.browsers import CSRF_HEADER, HOST_PREFIX, SESSION_COOKIE
from fleetmeter.http.shared.openapi import document
from fleetmeter.http.shared.problems import not_migrated, problem

SWAGGER_UI = Path(str(files("swagger_ui"))) / "static"


class Health(msgspec.Struct):
    """The answer to a health check."""

    status: str


@get("/health/live", summary="Liveness check", tags=["Service"], opt={SCOPE: PUBLIC})
async def live() -> Health:
    """Answers while the process runs; restart the service if it does not."""
    return Health("alive")


@get("/health/ready", summary="Readiness check", tags=["Service"], opt={SCOPE: PUBLIC})
async def ready(state: State) -> Health:
    """Answers 200 when the database is reachable, migrated, and its keys are known, else 503."""
    database: Database = state.database  # not one of the connections that queries may take up
    async with database.connection() as connection:
        missing = await missing_migrations(connection)
    if missing:
        raise not_migrated(f"missing: {', '.join(missing)}")
    keyring: Keyring = state.keyring
    keyring.require_known()
    return Health("ready")


@get("/openapi.json", include_in_schema=False, media_type=MediaType.JSON, opt={SCOPE: PUBLIC})
async def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the OpenAPI document."""
    return Response(await document(request.app), media_type=MediaType.JSON)


async def _have_document(request: Request[Any, Any, Any]) -> None:
    """Make the document first: the page contains it."""
    await document(request.app)


def _restricted(response: Response[Any]) -> Response[Any]:
    """Let the page run and load nothing but its own; an unknown path is a problem, not a page."""
    if response.status_code == HTTP_404_NOT_FOUND:
        raise problem(HTTP_404_NOT_FOUND, "the API reference is at /docs")
    hashes = [
        f"'sha256-{b64encode(sha256(script).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(response.content or b"")  # nothing for OPTIONS
    ]
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {' '.join(hashes)}; "
        # Swagger UI sets styles of elements, and its icons are data
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return response


_INLINE_SCRIPT = re.compile(rb"<script[^>]*(?<!crossorigin)>(.*?)</script>", re.DOTALL)


openapi_config = OpenAPIConfig(
    title="FleetMeter",
    version=__version__,
    summary="Energy accounting for electric fleets",
    license=License(name="Apache-2.0", identifier="Apache-2.0"),
    path="/docs",
    components=Components(
        security_schemes={
            "key": SecurityScheme(
                type="http",
                scheme="bearer",
                description="An access key, `fm_…`, or a token of the OIDC issuer in the settings. "
                "Not needed while there is neither.",
            ),
            "session": SecurityScheme(
                type="apiKey",
                name=f"{HOST_PREFIX}{SESSION_COOKIE}",
                security_scheme_in="cookie",
                description="The cookie of a browser that is signed in (POST /v1/session), without "
                f"`{HOST_PREFIX}` on this machine over plain HTTP. Requests other than GET and "
                f"HEAD need `{CSRF_HEADER}`, too.",
            ),
        }
    ),
    security=[{"key": []}, {"session": []}],
    use_handler_docstrings=True,
    openapi_router=Router(
        "/docs",
        route_handlers=[],
        include_in_schema=False,
        opt={SCOPE: PUBLIC},
        before_request=_have_document,
        after_request=_restricted,
    ),
    render_plugins=[
        SwaggerRenderPlugin(
            path="/",
            favicon='<link rel="icon" href="/assets/swagger-ui/favicon-32x32.png">',
            js_url="/assets/swagger-ui/swagger-ui-bundle.js",
            css_url="/assets/swagger-ui/swagger-ui.css",
            standalone_preset_js_url="/assets/swagger-ui/swagger-ui-standalone-preset.js",
        )
    ],
)

_FILES = frozenset(path.name for path in SWAGGER_UI.iterdir() if path.is_file())


async def _have_file(request: Request[Any, Any, Any]) -> None:
    """Answer 404 for whatever is not the name of a file: the file system never sees it."""
    if str(request.path_params.get("file_path", "")).removeprefix("/") not in _FILES:
        raise problem(HTTP_404_NOT_FOUND, "the API reference has no such file")


swagger_ui_files: Router = create_static_files_router(
    path="/assets/swagger-ui",
    directories=[SWAGGER_UI],
    before_request=_have_file,
    include_in_schema=False,
    opt={SCOPE: PUBLIC},
)
