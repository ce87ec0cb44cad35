"""The service itself: liveness, readiness and documentation."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from litestar import MediaType, Request, get
from litestar.di import NamedDependency
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme
from litestar.response import Response
from litestar.router import Router
from litestar.static_files import create_static_files_router
from litestar.status_codes import HTTP_404_NOT_FOUND

from fleetmeter import __version__
from fleetmeter.database.migrations import missing_migrations
from fleetmeter.database.pool import Database
from fleetmeter.http.shared.authentication import PUBLIC, SCOPE
from fleetmeter.http.shared.openapi import document
from fleetmeter.http.shared.problems import not_migrated, problem

SWAGGER_UI = Path(str(files("swagger_ui"))) / "static"


class Health(msgspec.Struct):
    """The answer to a health check."""

    status: str


class Welcome(msgspec.Struct):
    """The answer of `GET /`."""

    message: str
    version: str
    links: dict[str, str]


@get("/", summary="Get version and links", tags=["Service"], opt={SCOPE: PUBLIC})
async def index() -> Welcome:
    """Shows the version and where to go from here."""
    return Welcome(
        message="FleetMeter is running",
        version=__version__,
        links={
            "documentation": "/docs",
            "openapi": "/openapi.json",
            "ready": "/health/ready",
            "vehicles": "/v1/vehicles",
            "meters": "/v1/meters",
        },
    )


@get("/health/live", summary="Liveness check", tags=["Service"], opt={SCOPE: PUBLIC})
async def live() -> Health:
    """Answers while the process runs; restart the service if it does not."""
    return Health("alive")


@get("/health/ready", summary="Readiness check", tags=["Service"], opt={SCOPE: PUBLIC})
async def ready(database: NamedDependency[Database]) -> Health:
    """Answers 200 when the database is reachable and migrated, else 503."""
    async with database.connection() as connection:
        missing = await missing_migrations(connection)
    if missing:
        raise not_migrated(f"missing: {', '.join(missing)}")
    return Health("ready")


@get("/openapi.json", include_in_schema=False, media_type=MediaType.JSON, opt={SCOPE: PUBLIC})
async def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the OpenAPI document."""
    return Response(await document(request.app), media_type=MediaType.JSON)


async def _have_document(request: Request[Any, Any, Any]) -> None:
    """Make the document first: the page contains it."""
    await document(request.app)


def _no_page(response: Response[Any]) -> Response[Any]:
    """Answer unknown paths below /docs with a problem document, not with a page."""
    if response.status_code == HTTP_404_NOT_FOUND:
        raise problem(HTTP_404_NOT_FOUND, "the API reference is at /docs")
    return response


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
                description="An access key, `fm_…`. Not needed while there is none.",
            )
        }
    ),
    security=[{"key": []}],
    use_handler_docstrings=True,
    openapi_router=Router(
        "/docs",
        route_handlers=[],
        include_in_schema=False,
        opt={SCOPE: PUBLIC},
        before_request=_have_document,
        after_request=_no_page,
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

swagger_ui_files: Router = create_static_files_router(
    path="/assets/swagger-ui",
    directories=[SWAGGER_UI],
    include_in_schema=False,
    opt={SCOPE: PUBLIC},
)
