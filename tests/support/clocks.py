"""Times that tests send readings at, and a clock that they move."""

from datetime import UTC, datetime, timedelta


def midday(days_ago: int) -> datetime:
    """Noon in UTC, so many days ago."""
    now = datetime.now(UTC)
    return now.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)


class HandClock:
    """A clock that stands still until a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now
