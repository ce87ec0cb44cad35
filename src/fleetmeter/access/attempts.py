"""Limits how often an address may send wrong keys: a token bucket for each."""

from collections.abc import Callable
from time import monotonic

from fleetmeter.access.rates import Bucket, RateExceededError, Remembered
from fleetmeter.addresses import network_of

PER_S = 1
"""Wrong keys that an address may send per second."""

BURST = 20
"""Wrong keys that it may send at once."""

MOST_ADDRESSES = 10_000
"""Addresses that are remembered; beyond that, those that failed longest ago are forgotten."""


class FailedAttempts:
    """Counts failed attempts by address, in bounded memory."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._buckets = Remembered(
            MOST_ADDRESSES, lambda: Bucket("attempts", PER_S, clock, BURST // PER_S)
        )

    def wait_s(self, address: str) -> float:
        """Count an attempt; return 0, or how long the address has to wait, seconds."""
        try:
            self._buckets.of(network_of(address)).take(1)
        except RateExceededError as error:
            return error.wait_s
        return 0.0

    @property
    def remembered(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._buckets)
