"""Runs simulated time: as fast as allowed until it reaches the present, then in real time."""

from collections.abc import Callable
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


class Pace:
    """Tracks simulated time, never beyond the present: the service rejects future readings."""

    def __init__(
        self, start: datetime, speed: float | None, now: Callable[[], datetime] = _now
    ) -> None:
        """Start the clock; `speed` is a multiple of real time, or None for as fast as possible."""
        self._start = start
        self._speed = speed
        self._clock = now
        self._began = now()

    def now(self) -> datetime:
        """Return the time up to which the fleet may be simulated."""
        present = self._clock()
        if self._speed is None:
            return present
        return min(present, self._start + (present - self._began) * self._speed)

    def caught_up(self) -> bool:
        """Return whether simulated time has reached the present."""
        present = self._clock()
        if self._speed is None:
            return True
        return self._start + (present - self._began) * self._speed >= present
