"""Keeps the rules' states of a device between hours; a healthy, idle device has none.

Each rule owns a struct of its own (a State). In the database, a device's states lie side by side
in one JSON object, so their field names must differ. Nothing reaches back further than STATE_DAYS:
what was found longer ago no longer counts, so that hours evaluated again from that far back lead to
the same states as hours that were evaluated all along.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from fleetmeter.anomalies.model import AnomalyKind, Cause

STATE_DAYS = 31
"""Days before an hour that must be evaluated to know what is wrong after it."""

EMPTY_AFTER = timedelta(days=STATE_DAYS - 1)
"""Age from which a finding no longer counts."""

Verdict = Literal["breach", "clear"]


class Condition(msgspec.Struct, omit_defaults=True):
    """The condition of one rule for one device."""

    open: bool = False
    """True while it is wrong."""

    since: datetime | None = None
    """Its start, while it is open."""

    cause: Cause | None = None
    """The cause that was reported, while it is open."""

    last: Verdict | None = None
    """The last finding that was certain."""

    at: datetime | None = None
    """The end of the hour of that finding."""

    count: int = 0
    """The rule's count towards a change."""

    count_since: datetime | None = None
    """The time from which it counts."""


class State(msgspec.Struct, omit_defaults=True):
    """The memory of one rule, or of a step that several share, about a device or a site."""

    def forget(self, ends: datetime) -> bool:
        """Drop what is too old after an hour that ends then; return whether something was."""
        return False


S = TypeVar("S", bound=State)

_encode = msgspec.msgpack.Encoder().encode


class DeviceState(msgspec.Struct):
    """All states of one device, or of one site."""

    conditions: dict[AnomalyKind, Condition] = {}
    parts: dict[type[State], Any] = {}
    """By its type, the state of each rule that remembers something."""

    def get(self, type_: type[S]) -> S | None:
        """Return a rule's state, to be read."""
        found: S | None = self.parts.get(type_)
        return found

    def of(self, type_: type[S]) -> S:
        """Return a rule's state, to be changed."""
        found: S | None = self.parts.get(type_)
        if found is None:
            found = self.parts[type_] = type_()
        return found

    def is_open(self, kind: AnomalyKind) -> bool:
        """Return whether a rule's condition is open."""
        condition = self.conditions.get(kind)
        return condition is not None and condition.open

    def prune(self) -> bool:
        """Drop states that hold nothing; return whether anything is left."""
        for type_ in [type_ for type_, part in self.parts.items() if part == type_()]:
            del self.parts[type_]
        return bool(self.conditions or self.parts)


Snapshot = tuple[tuple[type[State], ...], bytes]
"""A copy of a device's state: the types of its parts, and all of it as MessagePack."""


def snapshot(state: DeviceState) -> Snapshot:
    """Copy a state, fast: it is done for the whole fleet before each hour."""
    return tuple(state.parts), _encode((state.conditions, *state.parts.values()))


def restored(copy: Snapshot) -> DeviceState:
    """Return the state as it was when it was copied."""
    types, encoded = copy
    of_all: Any = tuple.__class_getitem__((dict[AnomalyKind, Condition], *types))
    conditions, *parts = msgspec.msgpack.decode(encoded, type=of_all)
    return DeviceState(conditions, dict(zip(types, parts, strict=True)))


class _Conditions(msgspec.Struct, omit_defaults=True):
    conditions: dict[AnomalyKind, Condition] = {}


class StateCodec:
    """Writes and reads the state of a device as one JSON object: the fields of all its parts."""

    def __init__(self, types: Sequence[type[State]], kinds: Any) -> None:
        """Create a codec of states of these types, and of conditions of `kinds`, a Literal."""
        self._owners = {
            field.name: type_ for type_ in types for field in msgspec.structs.fields(type_)
        }
        fields: list[tuple[str, Any, Any]] = [
            ("conditions", dict.__class_getitem__((kinds, Condition)), {}),
            *(
                (field.name, field.type | UnsetType, UNSET)
                for type_ in types
                for field in msgspec.structs.fields(type_)
            ),
        ]
        stored: Any = msgspec.defstruct("StoredState", fields)
        self._decoder = msgspec.json.Decoder(stored)
        self._encoder = msgspec.json.Encoder()

    def encode(self, state: DeviceState) -> bytes:
        """Return the JSON object, without default values."""
        encode = self._encoder.encode
        parts = [encode(_Conditions(state.conditions)), *map(encode, state.parts.values())]
        return b"{%b}" % b",".join(part[1:-1] for part in parts if len(part) > 2)

    def decode(self, stored: bytes | str) -> DeviceState:
        """Read what `encode` wrote."""
        found: Any = self._decoder.decode(stored)
        fields: defaultdict[type[State], dict[str, Any]] = defaultdict(dict)
        for name, owner in self._owners.items():
            value = getattr(found, name)
            if value is not UNSET:
                fields[owner][name] = value
        return DeviceState(found.conditions, {owner: owner(**own) for owner, own in fields.items()})
