"""Converts wall times to instants across changes of the clock, and computes intervals.

A wall time that comes twice (02:30 in the night when summer ends) is resolved by the order of the
file: the first pass is summer time and, once times go back, winter time. One that never comes
(02:30 when summer begins) is refused, except for the moment of the change itself, which files write
as 02:00 or 03:00.
"""

import re
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from fleetmeter.files.imports.mapping.model import MappingError
from fleetmeter.readings.validate import Invalid

_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?")
_LENGTH = re.compile(r"(\d*)\s*(s|sec|min|h|hour|d|day|month)s?", re.IGNORECASE)
_SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "hour": 3600}
_TICK = timedelta(microseconds=1)

_MOST_SERIES = 100_000
"""Maximum number of devices of one file whose last time is remembered."""


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its IANA name or offset. Raises MappingError."""
    if match := _OFFSET.fullmatch(name):
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        if minutes <= 14 * 60:
            return timezone(timedelta(minutes=minutes if match[1] == "+" else -minutes))
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, or no name of a file
        near = get_close_matches(name, available_timezones(), 1, 0.5)
        hint = f"; did you mean {near[0]}" if near else ""
        raise MappingError(
            f'the time zone "{name}" is unknown{hint}; it is named as Europe/Berlin, UTC or +05:30'
        ) from None


class _Series:
    """The last time of one device in the file, and how often its times repeat."""

    __slots__ = ("instant", "run", "usual", "wall")

    def __init__(self) -> None:
        self.wall: datetime | None = None
        self.instant: datetime | None = None
        self.run = 0
        """Consecutive rows with this wall time."""
        self.usual = 1
        """Most such rows elsewhere: several, if a device has several rows per time."""


class Clock:
    """Turns the times of a file into instants, in the order of the file."""

    def __init__(self, zone: str | None, *, newest_first: bool = False) -> None:
        """Raises MappingError."""
        self._zone = None if zone is None else zone_of(zone)
        self._name = zone
        self._newest_first = newest_first
        self._series: dict[Hashable, _Series] = {}
        self._both = lru_cache(4096)(self._instants)

    def instant(self, time: datetime, series: Hashable = None) -> datetime:
        """Return a time in UTC. Raises Invalid."""
        if time.tzinfo is not None:
            return time.astimezone(UTC)
        if self._zone is None:
            raise Invalid(
                "invalid_timestamp",
                f"{time.isoformat(sep=' ')} has no offset; say where its clock is, with --zone "
                'Europe/Berlin or time = { zone = "Europe/Berlin" }',
            )
        last = self._series.get(series)
        if last is None:
            if len(self._series) >= _MOST_SERIES:
                self._series.clear()
            last = self._series[series] = _Series()
        last.run = last.run + 1 if time == last.wall else 1
        found = self._resolved(time, last)
        last.wall, last.instant = time, found
        return found

    def _resolved(self, wall: datetime, last: _Series) -> datetime:
        first, second = self._both(wall)
        if first == second:
            last.usual = max(last.usual, last.run)
            return first
        if first > second:
            if len({*self._both(wall - _TICK)}) == 1:
                return first  # the moment of the change, by the clock before it
            raise Invalid(
                "invalid_timestamp",
                f"{wall.isoformat(sep=' ')} does not exist in {self._name}: clocks were put "
                "forward over it; if the file keeps to one time all year, give that as zone, "
                'such as "+01:00"',
            )
        before = last.instant
        if last.run > last.usual:
            return first if self._newest_first else second
        if self._newest_first:
            return second if before is None or second <= before else first
        return first if before is None or first >= before else second

    def _instants(self, wall: datetime) -> tuple[datetime, datetime]:
        """Return the instants of a wall time by the clock before and after a change."""
        first = wall.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
        return first, wall.replace(tzinfo=self._zone, fold=1).astimezone(UTC)

    def later(self, instant: datetime, length: "Length", times: int = 1) -> datetime:
        """Return the instant a length later, or earlier (-1); days are those of the zone."""
        if length.seconds:
            return instant + times * timedelta(seconds=length.seconds)
        zone = self._zone or UTC
        wall = instant.astimezone(zone).replace(tzinfo=None)
        if length.months:
            month = wall.year * 12 + wall.month - 1 + times * length.months
            try:
                wall = wall.replace(year=month // 12, month=month % 12 + 1)
            except ValueError:
                raise Invalid(
                    "invalid_timestamp",
                    f"the month {'after' if times > 0 else 'before'} {wall:%Y-%m-%d} has no day "
                    f"{wall.day}",
                ) from None
        else:
            wall += times * timedelta(days=length.days)
        return wall.replace(tzinfo=zone).astimezone(UTC)


class Length:
    """Length of an interval: seconds, or days or months of a calendar."""

    def __init__(self, text: str | int) -> None:
        """Raises MappingError."""
        self.seconds = self.days = self.months = 0
        match = _LENGTH.fullmatch(f"{text} s" if isinstance(text, int) else text.strip())
        count = int(match[1] or 1) if match else 0
        if match is None or not 0 < count <= 100_000:
            raise MappingError(
                f'the interval "{text}" is not understood; it can be "15min", "1h", "day", "month"'
            )
        unit = match[2].lower()
        if unit in _SECONDS:
            self.seconds = count * _SECONDS[unit]
        elif unit == "month":
            self.months = count
        else:
            self.days = count
