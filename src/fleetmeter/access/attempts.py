"""Limits how often an address may send wrong keys: a token bucket for each."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from fleetmeter.addresses import network_of

BURST = 20
"""Wrong keys that an address may send at once."""

REFILL_S = 1.0
"""One more after this long, seconds."""

MOST_ADDRESSES = 10_000
"""Addresses that are remembered; beyond that, those that failed longest ago are forgotten."""


class FailedAttempts:
    """Counts failed attempts by address, in bounded memory."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """When the bucket of an address is full again: each attempt moves that on."""

    def wait_s(self, address: str) -> float:
        """Count an attempt; return 0, or how long the address has to wait, seconds."""
        now = self._clock()
        key = network_of(address)
        full = max(self._full_at.get(key, now), now)
        if (wait := full + REFILL_S - now - BURST * REFILL_S) > 0:
            return wait
        self._full_at[key] = full + REFILL_S
        self._full_at.move_to_end(key)
        if len(self._full_at) > MOST_ADDRESSES:
            self._full_at.popitem(last=False)
        return 0.0

    @property
    def remembered(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._full_at)
