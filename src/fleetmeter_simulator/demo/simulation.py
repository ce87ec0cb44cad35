"""Writes the history of the demo, and goes on from where a service is."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from fleetmeter_simulator.demo.depots import Fleet, fleet
from fleetmeter_simulator.demo.faults import faults
from fleetmeter_simulator.demo.minutes import Depots
from fleetmeter_simulator.demo.readings import QUARTER, Reading, Recorder

ZONE = ZoneInfo("Europe/Berlin")
_MINUTE = timedelta(minutes=1)
_GROUPS = 12
"""Groups of devices that report one after the other in a minute."""

_lines = msgspec.json.Encoder().encode_lines


class Scope(NamedTuple):
    """Says how much there is."""

    days: int
    """Whole days of history, before the day on which the demo is started first."""

    share: float
    """Share of the vehicles of each depot."""


class Simulation:
    """Simulates the fleet from a midnight on, the same for the same scope and midnight."""

    def __init__(self, scope: Scope, midnight: datetime) -> None:
        self.fleet: Fleet = fleet(scope.share)
        self.midnight = midnight
        offset = midnight.astimezone(ZONE).utcoffset() or timedelta()
        depots = Depots(self.fleet, faults(self.fleet, scope.days), midnight, offset)
        self._recorder = Recorder(self.fleet, depots)
        self._depots = depots
        self._count = len(self.fleet.vehicles) + len(self.fleet.meters)

    @property
    def now(self) -> datetime:
        """The time up to which it was simulated."""
        return self.midnight + self._depots.minute * _MINUTE

    def skip(self, until: datetime) -> None:
        """Simulate up to a time without reading anything."""
        while self.now + _MINUTE <= until:
            self._depots.step()

    def quarters(self, until: datetime) -> Iterator[list[Reading]]:
        """Yield the readings of each whole quarter hour up to a time, stamped at its end."""
        while True:
            minutes = QUARTER - self._depots.minute % QUARTER
            end = self.now + minutes * _MINUTE
            if end > until:
                return
            times = [end] * self._count
            yield [each for _, each in self._recorder.readings(minutes, times)]

    def minute(self) -> list[tuple[datetime, list[Reading]]]:
        """Return the readings of the next minute: groups of devices, and when each reports."""
        end = self.now + _MINUTE
        groups: list[tuple[datetime, list[Reading]]] = [
            (end + timedelta(seconds=60 / _GROUPS * number), []) for number in range(_GROUPS)
        ]
        times = [groups[number % _GROUPS][0] for number in range(self._count)]
        for number, reading in self._recorder.readings(1, times):
            groups[number % _GROUPS][1].append(reading)
        return groups


def midnight_before(now: datetime, days: int) -> datetime:
    """Return the midnight UTC at which history begins."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days)


def write_history(path: Path, quarters: Iterator[Sequence[Reading]]) -> int:
    """Write readings as a file that `fleetmeter import` takes; return how many. Raises OSError."""
    count = 0
    with path.open("wb") as file:
        for some in quarters:
            file.write(_lines(some))
            count += len(some)
    return count
