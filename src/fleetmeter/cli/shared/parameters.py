"""Values that several commands take: times and ids of devices."""

from datetime import datetime

import click
import msgspec

from fleetmeter.readings.ids import DEVICE_ID_RULE, is_device_id
from fleetmeter.readings.times import in_utc


def parse_time(text: str) -> datetime:
    """An RFC 3339 time, or a date, which is its midnight in UTC. Raises click.BadParameter."""
    is_date = len(text) == len("2026-01-31")
    try:
        time = msgspec.convert(f"{text}T00:00:00Z" if is_date else text, datetime)
    except msgspec.ValidationError:
        raise click.BadParameter(
            f"{text} is neither like 2026-01-31 nor like 2026-01-31T10:00:00Z"
        ) from None
    try:
        return in_utc(time)
    except ValueError as error:
        raise click.BadParameter(f"{text} {error}") from None


def parse_device_id(text: str) -> str:
    """An id that a device can have. Raises click.BadParameter."""
    if not is_device_id(text):
        raise click.BadParameter(DEVICE_ID_RULE)
    return text
