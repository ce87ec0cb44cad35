"""Parses values that several commands take: times and device ids."""

from datetime import UTC, datetime

import click
import msgspec

from fleetmeter.readings.ids import DEVICE_ID_RULE, is_device_id

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time, or a date as its midnight UTC. Raises click.BadParameter."""
    is_date = len(text) == len("2026-01-31")
    try:
        time = msgspec.convert(f"{text}T00:00:00Z" if is_date else text, datetime)
    except msgspec.ValidationError:
        raise click.BadParameter(
            f"{text} is not a date or time; write 2026-01-31 or 2026-01-31T10:00:00Z"
        ) from None
    if time.tzinfo is None:
        raise click.BadParameter(f"{text} has no offset; end it with Z or ±hh:mm")
    if not _EARLIEST <= time <= _LATEST:
        raise click.BadParameter(f"must be from {_EARLIEST.year} to {_LATEST.year}")
    return time.astimezone(UTC)


def parse_device_id(text: str) -> str:
    """Check a device id. Raises click.BadParameter."""
    if not is_device_id(text):
        raise click.BadParameter(DEVICE_ID_RULE)
    return text
