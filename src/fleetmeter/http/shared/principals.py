"""Who sends a request, for handlers: dependencies `principal` and `reach`."""

from typing import Any

from litestar import Request
from litestar.types import Scope

from fleetmeter.access.principal import ANYBODY, Principal
from fleetmeter.access.rates import Allowance
from fleetmeter.access.reach import Reach


def principal_of(scope: Scope) -> Principal:
    """Return who was let in with a request."""
    principal: Principal = scope["state"].get("principal", ANYBODY)
    return principal


def allowance_of(scope: Scope) -> Allowance:
    """Return what the sender of a request may still use; not for a public route."""
    allowance: Allowance = scope["state"]["allowance"]
    return allowance


def provide_principal(request: Request[Any, Any, Any]) -> Principal:
    """Return who sends the request."""
    return principal_of(request.scope)


def provide_reach(request: Request[Any, Any, Any]) -> Reach:
    """Return the devices that the sender of the request may see and write."""
    return principal_of(request.scope).reach
