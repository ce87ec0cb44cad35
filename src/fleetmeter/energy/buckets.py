"""The edges of the buckets of a series: UTC quarter hours or hours, or local days."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Bucket = Literal["15min", "hour", "day"]

_LENGTHS = {"15min": timedelta(minutes=15), "hour": timedelta(hours=1)}


def bounds(start: datetime, end: datetime, bucket: Bucket, zone: ZoneInfo) -> list[datetime]:
    """Return a window's edges and the quarter hours, hours or local midnights between, in UTC.

    A local day has 23, 24 or 25 hours where daylight saving changes, and begins when its date does:
    at the first midnight if there are two, and with the change where it skips midnight.
    """
    inner = (
        _midnights(start, end, zone) if bucket == "day" else _every(_LENGTHS[bucket], start, end)
    )
    return [start, *(bound for bound in inner if start < bound < end), end]


def _every(length: timedelta, start: datetime, end: datetime) -> list[datetime]:
    first = start.replace(minute=0, second=0, microsecond=0)
    count = (end - first) // length + 1
    return [first + number * length for number in range(count)]


def _midnights(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    first = start.astimezone(zone).date()
    count = (end.astimezone(zone).date() - first).days + 1
    # a date that a zone leaves out begins where the next one does
    return sorted({_begin(first + timedelta(days=number), zone) for number in range(count)})


def _begin(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
