"""Places the faults of the demo, so that some are open and others over when it begins."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from fleetmeter_simulator.demo.depots import Fleet

Effect = Literal[
    "loss",
    "swapped",
    "standby",
    "sag",
    "hot",
    "aged",
    "stuck",
    "vehicle_silent",
    "meter_silent",
]

_HOUR, _DAY = 60, 24 * 60
_ALWAYS = 3660 * _DAY


class Fault(NamedTuple):
    """Describes what is wrong with a vehicle or a charge point between two minutes."""

    effect: Effect
    device: int
    """Position among the vehicles or, for a meter's fault, among the meters."""

    begin: int
    end: int
    """Minutes since the fleet's first midnight."""

    size: float = 0.0


_PLAN: Sequence[tuple[Effect, str, float, float, float]] = (
    # device, hours before the last midnight of history from and to (negative: after), size
    ("loss", "HAR-EV-12", 6 * 24, -3660 * 24, 0.13),
    ("swapped", "HAR-EV-31", 4 * 24 - 4, -3660 * 24, 0),
    ("aged", "NOR-EV-09", 12 * 24, -3660 * 24, 0.68),
    ("vehicle_silent", "NOR-EV-22", 19, -3660 * 24, 0),
    ("standby", "HAR-CP-44", 2 * 24, -3660 * 24, 260),
    ("standby", "RIV-CP-05", 16 * 24, 9 * 24, 210),
    ("sag", "NOR-CP-17", 10 * 24 + 5, 10 * 24 - 3, 0.14),
    ("hot", "AIR-EV-04", 3 * 24 + 12, 2 * 24 + 12, 51),
    ("stuck", "RIV-EV-11", 9 * 24, 5 * 24, 0),
    ("meter_silent", "HAR-CP-63", 6 * 24 + 9, 6 * 24 - 1, 0),
    ("vehicle_silent", "AIR-EV-15", 13 * 24 + 3, 13 * 24 - 7, 0),
    ("loss", "RIV-EV-20", 18 * 24, 11 * 24, 0.15),
)


def faults(fleet: Fleet, days: int) -> list[Fault]:
    """Return the faults of the devices that a fleet has; its history has so many whole days."""
    began = days * _DAY
    places = {each.vehicle_id: number for number, each in enumerate(fleet.vehicles)}
    places |= {each.meter_id: number for number, each in enumerate(fleet.meters)}
    return [
        Fault(effect, places[device], began - round(first * _HOUR), _end(began, last), size)
        for effect, device, first, last, size in _PLAN
        if device in places
    ]


def _end(began: int, hours_before: float) -> int:
    return min(began - round(hours_before * _HOUR), _ALWAYS)


def at(some: Iterable[Fault], minute: int) -> list[Fault]:
    """Return the faults that are there in a minute."""
    return [fault for fault in some if fault.begin <= minute < fault.end]
