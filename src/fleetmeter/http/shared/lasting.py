"""Who sent a request whose connection goes on after its answer, for as long as the key counts."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import TYPE_CHECKING

from litestar.types import Scope

from fleetmeter.access.key_text import parse_key
from fleetmeter.access.keyring import Keyring
from fleetmeter.access.principal import ANYBODY, Principal
from fleetmeter.http.shared.addresses import certificate_subject
from fleetmeter.http.shared.authentication import authorization_of, key_of, unauthenticated

if TYPE_CHECKING:
    from fleetmeter.access.people import People, Session


def lasting_principal(scope: Scope) -> Callable[[], Principal | None]:
    """Return a function that returns who sent a request, and None once the key does not count.

    It raises KeysUnknownError, and knows nothing of the request. Raises 401 for a browser's
    cookie: pages of any site could send it.
    """
    if "cookie" in scope["state"]:
        raise unauthenticated(scope)
    state = scope["litestar_app"].state
    keyring: Keyring = state["keyring"]
    people: People | None = state["people"]
    session: Session | None = scope["state"].get("session")
    authorization = authorization_of(scope)
    given = parse_key(key_of(scope) or "")
    subject = None if authorization else certificate_subject(scope)

    def principal() -> Principal | None:
        if people is not None and session is not None:
            return session.principal if people.still(session) else None
        if keyring.is_open:
            return ANYBODY
        if given is not None:
            return keyring.holder(given)
        return keyring.admit_subject(subject) if subject else None

    return principal


def basic_user(scope: Scope) -> str | None:
    """Return the user of Basic authentication, None without one."""
    scheme, _, credentials = authorization_of(scope).partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return b64decode(credentials, validate=True).partition(b":")[0].decode()
    except (Base64Error, UnicodeDecodeError):
        return ""
