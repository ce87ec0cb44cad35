"""Who acts: said by an adapter (a request, a command) for its task, asked by whoever stores it."""

from contextvars import ContextVar

import msgspec

from fleetmeter.access.principal import ANYBODY


class Actor(msgspec.Struct, frozen=True):
    """Somebody who changes things."""

    name: str
    """The name of a Principal, or of a command's user."""

    address: str | None = None
    """Where the request came from; None for a command."""

    request_id: str | None = None


_ANYBODY = Actor(ANYBODY.name)

_acting: ContextVar[Actor] = ContextVar("acting", default=_ANYBODY)


def acting() -> Actor:
    """Return who acts in this task."""
    return _acting.get()


def act_as(actor: Actor) -> None:
    """Let an actor do whatever this task does from now on."""
    _acting.set(actor)


def signed(said: str | None) -> str:
    """Return who is stored with a change: who acts, with the name that the request says.

    `key:depot-7 (anna)`; as long as there is no key, anybody is who they say they are.
    """
    name = acting().name
    if said is None:
        return name
    return said if name == ANYBODY.name else f"{name} ({said})"
