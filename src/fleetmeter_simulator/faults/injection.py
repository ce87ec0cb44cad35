"""A fault while it lasts: what the devices ask of it."""

from collections.abc import Set
from random import Random

import msgspec

from fleetmeter_simulator.faults.kinds import Fault

SILENCES = frozenset({"vehicle_silent", "meter_silent", "site_silent"})


class Injection(msgspec.Struct):
    """A fault in the fleet's own time."""

    fault: Fault
    begin: int
    """Minute."""

    end: int
    devices: Set[str]
    """Whose readings or charging it changes."""

    rng: Random
    """Of its own: what is not concerned stays as it is without the fault."""

    reroutes: list[tuple[str, str]] = []
    """Vehicles, and the meters at which they really charge."""

    spans: list[tuple[int, int]] = []
    """Of what comes and goes: minutes in which it is there."""

    @property
    def what(self) -> str:
        """The variant, or the kind of one that has none."""
        return self.fault.variant or self.fault.kind

    def lasts(self, begin: int, end: int) -> bool:
        """Whether it does at any time from one minute to another."""
        return self.begin < end and begin < self.end


def strongest(injections: list[Injection], what: str, minute: int) -> Injection | None:
    """The one of that name that is there in a minute."""
    for injection in injections:
        if injection.what == what and injection.begin <= minute < injection.end:
            return injection
    return None
