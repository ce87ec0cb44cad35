"""Small fleets, and what they send, by device."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from fleetmeter.readings.model import EPOCH, MICROSECOND
from fleetmeter_simulator.faults.kinds import Fault, parse_wanted
from fleetmeter_simulator.fleet import Fleet

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday in winter."""

HOUR = timedelta(hours=1)
DAYS = 7
SEED, VEHICLES = 3, 7
"""EV-5 charges its 40 kWh at 11 kW on MTR-4, EV-7 at 7.4 kW on MTR-6, each alone."""


class Sent(NamedTuple):
    """What a fleet sent, each reading once, in the order of its device's clock."""

    fleet: Fleet
    rows: dict[str, list[tuple[Any, ...]]]
    arrived: dict[tuple[str, int], int]
    """When a reading came first: by device and time."""

    def within(self, device_id: str, fault: Fault) -> list[tuple[Any, ...]]:
        """A device's readings in the time of a fault."""
        begin, end = (us(time) for time in (fault.start, fault.end))
        return [row for row in self.rows[device_id] if begin <= row[1] < end]


def us(time: datetime) -> int:
    """As rows hold it."""
    return (time - EPOCH) // MICROSECOND


def sent_by(fleet: Fleet, hours: int) -> Sent:
    """Everything of the first hours."""
    rows: dict[str, dict[int, tuple[Any, ...]]] = defaultdict(dict)
    arrived: dict[tuple[str, int], int] = {}
    for number in range(hours):
        for arrives, _, row in fleet.arrivals(fleet.start + number * HOUR):
            stored = rows[row[0]].setdefault(row[1], row)
            assert stored == row, "the same time with other values"
            arrived.setdefault((row[0], row[1]), arrives)
    ordered = {device: [own[time] for time in sorted(own)] for device, own in rows.items()}
    return Sent(fleet, ordered, arrived)


@cache
def healthy() -> Sent:
    """The fleet without any fault."""
    return sent_by(Fleet(SEED, VEHICLES, START, DAYS), DAYS * 24)


def with_fault(text: str) -> tuple[Fault, Sent]:
    """The same fleet with one."""
    fleet = Fleet(SEED, VEHICLES, START, DAYS, faults=[parse_wanted(text)])
    assert len(fleet.faults) == 1
    return fleet.faults[0], sent_by(fleet, DAYS * 24)
