"""Where a request comes from, and what a trusted proxy says about its client."""

from litestar.types import Scope

from fleetmeter.settings import Settings

_FORWARDED = b"x-forwarded-for"


def client_address(scope: Scope) -> str:
    """Return the address of who sends a request, behind trusted proxies, too."""
    peer = _peer(scope)
    proxies = _settings(scope).proxies
    if not proxies:
        return peer
    return proxies.client_of(
        peer, [value.decode("latin-1") for value in _values(scope, _FORWARDED)]
    )


def certificate_subject(scope: Scope) -> str | None:
    """Return the subject of the client's certificate, as a trusted proxy says it.

    None from anybody else, and for a header that is there twice: the proxy did not replace the
    client's own.
    """
    settings = _settings(scope)
    if settings.client_cert_header is None or not settings.proxies.include(_peer(scope)):
        return None
    values = _values(scope, settings.client_cert_header.lower().encode())
    return values[0].decode("latin-1") if len(values) == 1 and values[0] else None


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _values(scope: Scope, header: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == header]


def _settings(scope: Scope) -> Settings:
    settings: Settings = scope["litestar_app"].state["settings"]
    return settings
