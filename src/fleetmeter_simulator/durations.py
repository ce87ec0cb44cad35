"""Parses lengths of time of the command line."""

import re
from datetime import timedelta

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([dhms])")
_MOST = timedelta(days=3660)


def parse_duration(text: str) -> timedelta:
    """Parse a length like 30d, 2h, 90m, 45s or 1d12h. Raises ValueError."""
    if text == "0":
        return timedelta()
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a length of time; write it like 30d, 2h, 90m or 1d12h")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds > _MOST.total_seconds():
        raise ValueError(f"{text} is longer than {_MOST.days}d")
    return timedelta(seconds=seconds)
