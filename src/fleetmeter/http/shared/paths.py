"""Percent-encoded ids in paths: a `/` in an id does not split the path.

A server hands over the decoded path, in which `EV%2F1` has become two segments. So routing gets
the path as it was sent, and the parameters that it finds are decoded once.
"""

import re
import string
from urllib.parse import quote, unquote

from litestar import Litestar
from litestar.types import (
    ASGIApp,
    LifeSpanReceive,
    LifeSpanScope,
    LifeSpanSend,
    Receive,
    Scope,
    Send,
)

from fleetmeter.http.shared.counting import counted
from fleetmeter.http.shared.problems import HAS_NUL, NUL, invalid_parameter

_ENCODED = re.compile("%([0-9A-Fa-f]{2})")
_MALFORMED = re.compile("%(?![0-9A-Fa-f]{2})")

_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
"""Characters that mean the same whether or not they are encoded (RFC 3986, 2.3)."""


class EncodedPaths(Litestar):
    """An application that splits paths before they are decoded, by `decode_parameters`."""

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        """Answer a request, or start and stop."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            scope["path"] = encoded_path(scope["path"], scope.get("raw_path"))
            await counted(super().__call__, scope, receive, send)  # type: ignore[arg-type]


def encoded_path(path: str, raw_path: bytes | None) -> str:
    """Return a request's path as it came, apart from encoded characters that need not be."""
    raw = quote(path).encode() if raw_path is None else raw_path  # servers need not give it
    if b"%" not in raw:
        return path
    text = raw.decode("latin-1")
    if _MALFORMED.search(text):  # it leads nowhere, or to what refuses it
        return text
    return _ENCODED.sub(_plain, text)


def _plain(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0]


def decode_parameters(app: ASGIApp) -> ASGIApp:
    """Wrap a route of EncodedPaths: it gets its path parameters decoded, or answers 400."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        if "%" in scope["path"]:
            # a new mapping: routing keeps the one that it has given
            scope["path_params"] = {
                name: _decoded(name, value) if isinstance(value, str) else value
                for name, value in scope["path_params"].items()
            }
        await app(scope, receive, send)

    return route


def _decoded(name: str, value: str) -> str:
    try:
        if _MALFORMED.search(value):
            raise ValueError
        decoded = unquote(value, errors="strict")
    except ValueError:  # UnicodeDecodeError is one
        raise invalid_parameter(name, "is not percent-encoded; write % as %25, / as %2F") from None
    if NUL in decoded:
        raise invalid_parameter(name, HAS_NUL)
    return decoded
