"""Finds when readings crossed a threshold for long enough, with hysteresis."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

BREAK = timedelta(minutes=5)
"""A gap between readings that is longer ends a run, unless they are expected even more rarely."""


class Crossing(NamedTuple):
    """It became wrong, or right again, and was so for long enough."""

    is_breach: bool
    since: datetime


def longest_gap(interval_s: int) -> timedelta:
    """Return the longest gap between readings of one run."""
    return max(BREAK, timedelta(seconds=2.5 * interval_s))


def crossings(
    verdicts: Iterable[tuple[datetime, bool | None]],
    is_open: bool,
    lasting: timedelta,
    gap: timedelta,
) -> list[Crossing]:
    """Find changes between wrong and right, each after a run of readings that lasted.

    A verdict is True beyond the threshold to open, False beyond the one to clear, None between
    them. A run is readings of one verdict without another between; it lasts from its first to its
    last, so a single reading is none.
    """
    found: list[Crossing] = []
    since: datetime | None = None
    before: datetime | None = None
    for time, verdict in verdicts:
        if verdict is not (not is_open):
            since = None
        elif since is None or before is None or time - before > gap:
            since = time
        elif time - since >= lasting:
            is_open = not is_open
            found.append(Crossing(is_open, since))
            since = None
        before = time
    return found
