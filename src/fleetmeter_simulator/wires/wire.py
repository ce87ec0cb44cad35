"""Defines what a protocol has to do for the simulator: send readings, and learn their outcome."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from fleetmeter_simulator.client.link import Arrival


class Outcome(msgspec.Struct):
    """What became of the readings of a batch, as far as the protocol says."""

    accepted: int = 0
    """Stored; also those that were stored before, if the protocol does not tell them apart."""

    duplicates: int = 0
    codes: Counter[str] = msgspec.field(default_factory=Counter)
    """Rejections by code."""

    example: str = ""
    """The service's message about one of them."""


class Wire(Protocol):
    """Sends readings in the order of their arrival; for use by one thread."""

    def send(self, batch: Sequence[Arrival]) -> Outcome:
        """Send readings until they are acknowledged. Raises StoppedError, FleetMeterError."""

    def close(self) -> None:
        """Close the connections."""


Stopped = Callable[[], bool]
"""Says whether it is time to stop."""

Waiting = Callable[[str], None]
"""Receives the reason why something is sent again, and an empty text once that worked."""

OpenWire = Callable[[Stopped, Waiting], Wire]
"""Opens a wire for a thread."""
