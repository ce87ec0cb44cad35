"""Who sends a request: the holder of a key, a person, or anybody on this machine."""

from typing import Literal, get_args

import msgspec

from fleetmeter.access.reach import EVERYTHING, Reach

Scope = Literal["ingest", "read", "operate", "metrics", "admin"]
"""`ingest`: send readings. `read`: ask. `operate`: acknowledge, assign, correct, change settings
and rules. `metrics`: /metrics. `admin`: purge, keys, webhooks, the audit log."""

SCOPES: tuple[Scope, ...] = get_args(Scope)


class Principal(msgspec.Struct, frozen=True):
    """Somebody who was let in."""

    name: str
    """What the audit log and every stored `who` say: `key:depot-7`, a person's subject, …"""

    scopes: frozenset[Scope]

    reach: Reach = EVERYTHING


ANYBODY = Principal("local", frozenset(SCOPES))
"""Everybody, while there is no key: the service then answers on loopback alone."""
