"""Simulated time: as fast as it may until it has caught up with the present, and then with it."""

from collections.abc import Callable
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


class Pace:
    """Never ahead of the present: the service refuses readings of the future."""

    def __init__(
        self, start: datetime, speed: float | None, now: Callable[[], datetime] = _now
    ) -> None:
        """`speed`: how many times as fast as the present; None: as fast as it can."""
        self._start = start
        self._speed = speed
        self._clock = now
        self._began = now()

    def now(self) -> datetime:
        """Up to when it is simulated."""
        present = self._clock()
        if self._speed is None:
            return present
        return min(present, self._start + (present - self._began) * self._speed)

    def caught_up(self) -> bool:
        """Whether that is the present."""
        present = self._clock()
        if self._speed is None:
            return True
        return self._start + (present - self._began) * self._speed >= present
