"""Sizes and durations as people read them."""

from datetime import timedelta


def size(bytes_: int) -> str:
    """Return `1.5 GiB` for that many bytes."""
    for unit, length in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if bytes_ >= length:
            return f"{bytes_ / length:,.1f} {unit}"
    return f"{bytes_} B"


def duration(length: timedelta) -> str:
    """Return `36 h`, `10 min` or `2.5 s`, in the largest unit of which it has at least two."""
    seconds = length.total_seconds()
    for unit, unit_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * unit_s or seconds == unit_s:
            return f"{seconds / unit_s:.4g} {unit}"
    return f"{round(seconds, 2):g} s"
