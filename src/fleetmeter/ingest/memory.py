"""What a writer remembers of its devices.

Hints, bounded: the database decides, and what is forgotten or wrong costs time, never correctness.
Times are those of rows, in microseconds.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, TypeVar

from fleetmeter.readings.model import VehicleRow

_MAX_DEVICES = 500_000
"""Entries of each map before it starts anew."""

NEVER = -(1 << 62)
"""Before any time: of a device without readings."""

FOREVER = 1 << 62
"""After any time: of a device whose readings are not fresh, whatever their time."""

Row = TypeVar("Row", bound=tuple[Any, ...])
"""Of either kind: (id, time, …)."""

Assignments = Sequence[tuple[int, str | None]]
"""A vehicle's assignments as (since, meter), oldest first."""


class LastTimes:
    """The newest stored time of each device, as far as this writer knows."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def holds(self, rows: Iterable[Row]) -> bool:
        """Whether all rows (id, time, …) are surely not newer than what is stored."""
        get = self._times.get
        return all(row[1] <= get(row[0], NEVER) for row in rows)

    def unknown(self, ids: Iterable[str]) -> list[str]:
        """Those that nothing is known of."""
        times = self._times
        return [device for device in ids if device not in times]

    def sorted_out(self, rows: Iterable[Row], horizon: int) -> tuple[list[Row], list[Row]]:
        """Fresh rows (newer than their device's last, not before the horizon), and the others."""
        get = self._times.get
        fresh, late = [], []
        for row in rows:
            time = row[1]
            if time >= horizon and time > get(row[0], NEVER):
                fresh.append(row)
            else:
                late.append(row)
        return fresh, late

    def learn(self, times: Mapping[str, int]) -> None:
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
        self._pairs: set[tuple[str | None, str]] = set()

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

    def stamped(self, rows: Iterable[VehicleRow]) -> list[VehicleRow]:
        """The rows with the meter that each charged from: its own, or the assigned one."""
        of = self._of
        stamped = []
        for row in rows:
            vehicle_id, time, energy, soc, temp, _, declared = row
            if not declared:
                for since, meter_id in reversed(of[vehicle_id]):
                    if since <= time:
                        row = (vehicle_id, time, energy, soc, temp, meter_id, False)
                        break
            stamped.append(row)
        return stamped

    def new_pairs(self, rows: Iterable[VehicleRow]) -> list[tuple[str, str]]:
        """The (meter, vehicle) of the rows that are not known to be noted, in order."""
        pairs = {(row[5], row[0]) for row in rows}
        return sorted((m, v) for m, v in pairs - self._pairs if m is not None)

    def learn_pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """They have been noted and committed."""
        if len(self._pairs) > _MAX_DEVICES:
            self._pairs.clear()
        self._pairs.update(pairs)
