"""The page for people at `/`, and the files it loads. It contains no data; it asks the API."""

from pathlib import Path
from typing import Any

import msgspec
from litestar import MediaType, Request, get
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.params import FromPath
from litestar.response import Response
from litestar.status_codes import HTTP_304_NOT_MODIFIED, HTTP_404_NOT_FOUND

from fleetmeter import __version__
from fleetmeter.http.shared.authentication import PUBLIC, SCOPE
from fleetmeter.http.shared.operations import component, described, response
from fleetmeter.http.shared.problems import problem
from fleetmeter.http.shared.web_files import WebFile, web_files

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_FOR_EVER = "public, max-age=31536000, immutable"


class Welcome(msgspec.Struct):
    """The answer of `GET /` to programs."""

    message: str
    version: str
    links: dict[str, str]


_RESPONSES = {
    "200": response(
        "The page for browsers; version and links for programs.",
        {
            "application/json": component("Welcome"),
            "text/html": Schema(type=OpenAPIType.STRING),
        },
    )
}


@get(
    "/",
    summary="Get version and links",
    tags=["Service"],
    opt={SCOPE: PUBLIC},
    operation_class=described(_RESPONSES),
)
async def index(request: Request[Any, Any, Any]) -> Response[Welcome]:
    """Shows the version and where to go from here; browsers get a page to look at the fleet."""
    if accepts_html(request.headers.get("accept", "")):
        return _page(request)
    welcome = Welcome(
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
    return Response(welcome, media_type=MediaType.JSON, headers={"Vary": "Accept"})


def accepts_html(accept: str) -> bool:
    """Return whether an Accept header asks for HTML by name, as browsers do (RFC 9110, 12.5.1)."""
    for part in accept.lower().split(","):
        media_type, *parameters = (each.strip() for each in part.split(";"))
        if media_type in ("text/html", "application/xhtml+xml"):
            return not any(_is_zero(each) for each in parameters)
    return False


def _is_zero(parameter: str) -> bool:
    """Return whether a parameter of a media type is a weight of zero: anything but this."""
    name, _, weight = parameter.partition("=")
    return name == "q" and not weight.strip("0.")


def _page(request: Request[Any, Any, Any]) -> Response[Any]:
    files = web_files()
    headers = {
        "ETag": files.etag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    if files.etag in request.headers.get("if-none-match", ""):
        vary = {"Vary": "Accept, Accept-Encoding"}
        return Response(None, status_code=HTTP_304_NOT_MODIFIED, headers=headers | vary)
    return _sent(files.page, request, headers, vary="Accept, Accept-Encoding")


@get("/assets/{version:str}/{file_path:path}", include_in_schema=False, opt={SCOPE: PUBLIC})
async def page_files(
    request: Request[Any, Any, Any], version: FromPath[str], file_path: FromPath[Path]
) -> Response[bytes]:
    """Return a file of the page; the file system never sees its path."""
    files = web_files()
    file = files.assets.get(file_path.as_posix().removeprefix("/"))
    if version != files.version or file is None:
        raise problem(
            HTTP_404_NOT_FOUND,
            "the page has no such file, or has changed: load it again",
            headers={"Cache-Control": "no-store"},
        )
    headers = {"Cache-Control": _FOR_EVER, "Content-Security-Policy": "default-src 'none'"}
    return _sent(file, request, headers, vary="Accept-Encoding")


def _sent(
    file: WebFile, request: Request[Any, Any, Any], headers: dict[str, str], *, vary: str
) -> Response[Any]:
    """Return a file, compressed for those who take gzip."""
    headers = headers | {"Vary": vary}
    content = file.content
    if takes_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        content = file.compressed
    return Response(content, media_type=file.media_type, headers=headers)


def takes_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header names gzip, and not to refuse it."""
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (each.strip() for each in part.split(";"))
        if coding == "gzip":
            return not any(_is_zero(each) for each in parameters)
    return False
