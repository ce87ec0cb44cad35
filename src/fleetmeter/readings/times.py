"""Times that people and programs write: with an offset, and of our days."""

from datetime import UTC, datetime

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def in_utc(time: datetime) -> datetime:
    """Return a time in UTC. Raises ValueError, whose text says what is wrong with it."""
    if time.tzinfo is None:
        raise ValueError("has no offset; end it with Z or ±hh:mm")
    if not _EARLIEST <= time <= _LATEST:
        raise ValueError(f"must be from {_EARLIEST.year} to {_LATEST.year}")
    return time.astimezone(UTC)
