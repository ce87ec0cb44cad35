"""What a writer remembers of its devices.

Hints, bounded: the database decides, and what is forgotten or wrong costs time, never correctness.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Any

_MAX_DEVICES = 500_000
"""Entries of each map before it starts anew."""

Assignments = Sequence[tuple[datetime, str | None]]
"""A vehicle's assignments as (since, meter), oldest first."""


class LastTimes:
    """The newest stored time of each device, as far as this writer knows."""

    def __init__(self) -> None:
        self._times: dict[str, datetime | None] = {}

    def holds(self, rows: Iterable[Sequence[Any]]) -> bool:
        """Whether all rows (id, time, …) are surely not newer than what is stored."""
        times = self._times
        return all((last := times.get(row[0])) is not None and row[1] <= last for row in rows)

    def unknown(self, ids: Iterable[str]) -> list[str]:
        """Those that nothing is known of."""
        times = self._times
        return [device for device in ids if device not in times]

    def get(self, device: str) -> datetime | None:
        """The newest stored time; None for a device without readings."""
        return self._times.get(device)

    def learn(self, times: Mapping[str, datetime | None]) -> None:
        """Remember what was stored or read."""
        if len(self._times) + len(times) > _MAX_DEVICES:
            self._times.clear()
        self._times.update(times)

    def forget(self, ids: Iterable[str]) -> None:
        """They turned out wrong."""
        for device in ids:
            self._times.pop(device, None)


class RememberedAssignments:
    """Assignments, and which pairs of meter and vehicle are noted, true for one version of both."""

    def __init__(self) -> None:
        self._version = -1
        self._of: dict[str, Assignments] = {}
        self._pairs: set[tuple[str, str]] = set()

    def at_version(self, version: int) -> None:
        """Forget everything when somebody has changed an assignment since."""
        if version != self._version:
            self._version = version
            self._of.clear()
            self._pairs.clear()

    def unknown(self, vehicles: Set[str]) -> list[str]:
        """Those whose assignments have to be read; when there is no room, that is all of them."""
        if len(self._of) + len(vehicles) > _MAX_DEVICES:
            self._of.clear()
        return [vehicle for vehicle in vehicles if vehicle not in self._of]

    def learn(self, assignments: Mapping[str, Assignments]) -> None:
        """Remember what was read, also that there are none."""
        self._of.update(assignments)

    def meter_at(self, vehicle: str, time: datetime) -> str | None:
        """The meter of the assignment in force."""
        for since, meter in reversed(self._of[vehicle]):
            if since <= time:
                return meter
        return None

    def new_pairs(self, pairs: set[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those that are not known to be noted, in order."""
        return sorted(pairs - self._pairs)

    def learn_pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """They have been noted and committed."""
        if len(self._pairs) > _MAX_DEVICES:
            self._pairs.clear()
        self._pairs.update(pairs)
