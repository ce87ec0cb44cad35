"""Describes a fault while it lasts: what it changes on the devices."""

from collections.abc import Set
from random import Random

import msgspec

from fleetmeter_simulator.faults.kinds import Fault

SILENCES = frozenset({"vehicle_silent", "meter_silent", "site_silent"})


class Injection(msgspec.Struct):
    """Places a fault in the fleet's own time."""

    fault: Fault
    begin: int
    """First minute."""

    end: int
    devices: Set[str]
    """Devices whose readings or charging it changes."""

    rng: Random
    """A source of its own, so that nothing else changes because of the fault."""

    reroutes: list[tuple[str, str]] = []
    """Vehicles, and the meters at which they really charge."""

    spans: list[tuple[int, int]] = []
    """For an intermittent fault, the minutes in which it is active."""

    @property
    def what(self) -> str:
        """Return the variant, or the kind if it has none."""
        return self.fault.variant or self.fault.kind

    def lasts(self, begin: int, end: int) -> bool:
        """Return whether it is active at any time from one minute to another."""
        return self.begin < end and begin < self.end


def strongest(injections: list[Injection], what: str, minute: int) -> Injection | None:
    """Return the fault of that name that is active in a minute, if any."""
    for injection in injections:
        if injection.what == what and injection.begin <= minute < injection.end:
            return injection
    return None
