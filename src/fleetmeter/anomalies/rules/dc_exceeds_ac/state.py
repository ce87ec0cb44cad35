"""Remembers DC beyond AC: of the vehicle that took it, and of the meter."""

from datetime import datetime, timedelta

import msgspec

from fleetmeter.anomalies.rules.shared.state import DeviceState, State

LONGEST = timedelta(hours=13)
"""How much later or earlier a meter may show what a vehicle took whose clock is 12 hours off."""


class Suspicion(msgspec.Struct, omit_defaults=True):
    """A meter at which DC exceeded AC in an hour, while it is not clear why."""

    since: datetime
    vehicles: list[str]
    candidates: list[str] = []
    """Other meters that may have fed them."""

    dc_mwh: int = 0
    ac_mwh: int = 0
    """DC and AC of the hour with the largest excess."""

    is_covered: bool = True
    """The meter reported. False: only a curve that fits elsewhere says that something is wrong."""

    until: datetime | None = None
    """When it did not: readings of later say nothing of it."""


class Unexplained(msgspec.Struct, omit_defaults=True):
    """DC beyond AC whose cause is not known, though later readings may say it."""

    meter: str
    since: datetime
    """When the session began, or the first hour that is looked at."""

    until: datetime
    """Readings of later say nothing of it."""

    dc_mwh: int = 0
    ac_mwh: int = 0


class VehicleExcess(State):
    """A vehicle whose DC exceeds the AC of its meter."""

    other_meter: str | None = None
    """Where it charges instead."""

    unexplained: Unexplained | None = None
    """Its excess, as long as the cause is not known."""


class MeterExcess(State):
    """A meter at which DC exceeds AC, or that metered what no vehicle took."""

    suspicion: Suspicion | None = None
    unclaimed: datetime | None = None
    """The last hour in which it metered what no vehicle took."""

    def forget(self, ends: datetime) -> bool:
        """Drop AC that is too old to be anybody's."""
        if self.unclaimed is None or ends - self.unclaimed <= LONGEST:
            return False
        self.unclaimed = None
        return True


def hold(state: DeviceState, stored: DeviceState, started_at: datetime) -> None:
    """Carry on with an excess that was found before."""
    excess, before = state.of(VehicleExcess), stored.get(VehicleExcess)
    if excess.other_meter is None:
        excess.other_meter = None if before is None else before.other_meter
        excess.unexplained = None if before is None else before.unexplained
