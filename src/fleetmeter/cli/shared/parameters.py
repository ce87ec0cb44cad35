"""Parses values that several commands take: times and device ids."""

from datetime import datetime

import click
import msgspec

from fleetmeter.readings.ids import DEVICE_ID_RULE, is_device_id
from fleetmeter.readings.times import in_utc


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time, or a date as its midnight UTC. Raises click.BadParameter."""
    is_date = len(text) == len("2026-01-31")
    try:
        time = msgspec.convert(f"{text}T00:00:00Z" if is_date else text, datetime)
    except msgspec.ValidationError:
        raise click.BadParameter(
            f"{text} is not a date or time; write 2026-01-31 or 2026-01-31T10:00:00Z"
        ) from None
    try:
        return in_utc(time)
    except ValueError as error:
        raise click.BadParameter(f"{text} {error}") from None


def parse_device_id(text: str) -> str:
    """Check a device id. Raises click.BadParameter."""
    if not is_device_id(text):
        raise click.BadParameter(DEVICE_ID_RULE)
    return text
