"""Limits what a key may use up per second: token buckets of requests, readings and bytes.

They count per process. What is taken beyond a bucket's size is a debt, which fills up before
anything else is let in: a batch that is larger than the bucket passes when it is full.
"""

from collections import OrderedDict
from collections.abc import Callable
from math import floor
from time import monotonic
from typing import Generic, Literal, TypeVar

from fleetmeter.access.principal import ANYBODY, Principal
from fleetmeter.errors import FleetMeterError
from fleetmeter.settings import Settings

BURST_S = 10
"""A bucket holds what flows into it in this time, seconds."""

MOST_PRINCIPALS = 20_000
"""Principals that are remembered; beyond that, those that came longest ago are forgotten."""

_ROUNDING_S = 1e-6
"""What sums of times may be off, seconds."""

Unit = Literal["requests", "readings", "bytes", "attempts"]

T = TypeVar("T")


class RateExceededError(FleetMeterError):
    """A key uses too much; nothing was done."""

    def __init__(self, unit: Unit, per_s: int, size: int, remaining: int, wait_s: float) -> None:
        super().__init__(f"the key may use {per_s:,} {unit} per second")
        self.unit: Unit = unit
        self.size = size
        """What the bucket holds when it is full."""
        self.remaining = remaining
        """What is left in the bucket."""
        self.wait_s = wait_s
        """When it holds enough, seconds from now."""


class Bucket:
    """A token bucket that starts full; `per_s` flows into it, 0 for no limit."""

    __slots__ = ("_burst_s", "_clock", "_full_at", "per_s", "unit")

    def __init__(
        self, unit: Unit, per_s: int, clock: Callable[[], float], burst_s: int = BURST_S
    ) -> None:
        """Make one that holds what flows into it in `burst_s` seconds."""
        self.unit: Unit = unit
        self.per_s = per_s
        self._burst_s = burst_s
        self._clock = clock
        self._full_at = clock()

    def level(self) -> float:
        """Return what it holds; negative for a debt."""
        return self.per_s * (self._burst_s - max(self._full_at - self._clock(), 0.0))

    def take(self, amount: int) -> None:
        """Take an amount if that, or a whole bucket, is there. Raises RateExceededError.

        Taking nothing raises it for a debt.
        """
        per_s = self.per_s
        if not per_s:
            return
        now, burst_s = self._clock(), self._burst_s
        full_at = self._full_at if self._full_at > now else now
        wanted_s = amount / per_s
        wait_s = full_at - now + (wanted_s if wanted_s < burst_s else burst_s) - burst_s
        if wait_s > _ROUNDING_S:
            remaining = max(floor(self.level()), 0)
            raise RateExceededError(self.unit, per_s, per_s * burst_s, remaining, wait_s)
        self._full_at = full_at + wanted_s

    def charge(self, amount: int) -> None:
        """Take an amount that has been used already."""
        if per_s := self.per_s:
            now = self._clock()
            self._full_at = (self._full_at if self._full_at > now else now) + amount / per_s


class Remembered(Generic[T]):
    """Keeps something for each name, in bounded memory: it forgets what was used longest ago."""

    def __init__(self, most: int, make: Callable[[], T]) -> None:
        self._most = most
        self._make = make
        self._known: OrderedDict[str, T] = OrderedDict()

    def of(self, name: str) -> T:
        """Return what is kept for a name, a new one if there is none."""
        if (found := self._known.get(name)) is None:
            self._known[name] = found = self._make()
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
        return found

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._known)


class Allowance:
    """What somebody may still use."""

    __slots__ = ("bytes", "readings", "requests")

    def __init__(
        self, requests_per_s: int, readings_per_s: int, bytes_per_s: int, clock: Callable[[], float]
    ) -> None:
        self.requests = Bucket("requests", requests_per_s, clock)
        self.readings = Bucket("readings", readings_per_s, clock)
        self.bytes = Bucket("bytes", bytes_per_s, clock)


class Rates:
    """The allowances of a process, in bounded memory."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        self._unlimited = Allowance(0, 0, 0, clock)
        self._known = Remembered(
            MOST_PRINCIPALS,
            lambda: Allowance(
                settings.key_requests_per_s,
                settings.key_readings_per_s,
                settings.key_bytes_per_s,
                clock,
            ),
        )

    def of(self, principal: Principal) -> Allowance:
        """Return what somebody may use: without keys, everything."""
        return self._unlimited if principal is ANYBODY else self._known.of(principal.name)

    @property
    def remembered(self) -> int:
        """Return how many principals are remembered."""
        return len(self._known)
