"""Encodes readings as MessagePack, which costs both sides least."""

from collections.abc import Sequence

import msgspec

from fleetmeter_simulator.client.link import Arrival
from fleetmeter_simulator.client.readings import reading_of

CONTENT_TYPE = "application/msgpack"

_encode = msgspec.msgpack.Encoder().encode


def body(arrivals: Sequence[Arrival]) -> bytes:
    """Encode the body of a request."""
    return _encode([reading_of(arrival) for arrival in arrivals])
