"""Where a request comes from, and what a trusted proxy says about its client."""

from litestar.types import Scope

from fleetmeter.settings import Settings

_FORWARDED = b"x-forwarded-for"


def client_address(scope: Scope) -> str:
    """Return the address of who sends a request, behind trusted proxies, too."""
    peer = _peer(scope)
    proxies = settings_of(scope).proxies
    if not proxies:
        return peer
    return proxies.client_of(
        peer, [value.decode("latin-1") for value in header_values(scope, _FORWARDED)]
    )


def certificate_subject(scope: Scope) -> str | None:
    """Return the subject of the client's certificate, as a trusted proxy says it.

    None from anybody else, and for a header that is there twice: the proxy did not replace the
    client's own.
    """
    settings = settings_of(scope)
    if settings.client_cert_header is None or not settings.proxies.include(_peer(scope)):
        return None
    values = header_values(scope, settings.client_cert_header.lower().encode())
    return values[0].decode("latin-1") if len(values) == 1 and values[0] else None


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def is_forwarded_https(scope: Scope) -> bool:
    """Return whether a trusted proxy says that the client came by HTTPS."""
    if not settings_of(scope).proxies.include(_peer(scope)):
        return False
    values = header_values(scope, b"x-forwarded-proto")
    return bool(values) and values[-1].rpartition(b",")[2].strip().lower() == b"https"


def header_values(scope: Scope, header: bytes) -> list[bytes]:
    """Return the values of a header, whose name is in lower case."""
    return [value for name, value in scope["headers"] if name == header]


def host_name(host: bytes) -> str:
    """Return the name or the address in a Host header, in lower case, without its port."""
    text = host.decode("latin-1").lower()
    return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]


def settings_of(scope: Scope) -> Settings:
    """Return the settings of the service."""
    settings: Settings = scope["litestar_app"].state["settings"]
    return settings
