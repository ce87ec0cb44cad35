"""Times that tests send readings at."""

from datetime import UTC, datetime, timedelta


def midday(days_ago: int) -> datetime:
    """Noon in UTC, so many days ago."""
    now = datetime.now(UTC)
    return now.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)
