"""Remembers excess DC, for the vehicle that took it and for the meter."""

from datetime import datetime, timedelta

import msgspec

from fleetmeter.anomalies.rules.shared.state import DeviceState, State

LONGEST = timedelta(hours=13)
"""Maximum delay until a meter shows the energy of a vehicle whose clock is 12 hours off."""


class Suspicion(msgspec.Struct, omit_defaults=True):
    """A meter at which DC exceeded AC in an hour, for an unknown reason."""

    since: datetime
    vehicles: list[str]
    candidates: list[str] = []
    """Other meters that may have fed the vehicles."""

    dc_mwh: int = 0
    ac_mwh: int = 0
    """DC and AC of the hour with the largest excess."""

    is_covered: bool = True
    """The meter reported. If False, only a curve that fits elsewhere shows a fault."""

    until: datetime | None = None
    """End of the time without reports; later readings do not count."""


class Unexplained(msgspec.Struct, omit_defaults=True):
    """Excess DC of unknown cause, which later readings may explain."""

    meter: str
    since: datetime
    """Start of the session, or of the first hour considered."""

    until: datetime
    """Later readings do not count."""

    dc_mwh: int = 0
    ac_mwh: int = 0


class VehicleExcess(State):
    """A vehicle whose DC exceeds the AC of its meter."""

    other_meter: str | None = None
    """The meter at which it charges instead."""

    unexplained: Unexplained | None = None
    """Its excess, while the cause is unknown."""


class MeterExcess(State):
    """A meter at which DC exceeds AC, or that metered what no vehicle took."""

    suspicion: Suspicion | None = None
    unclaimed: datetime | None = None
    """The last hour in which it metered what no vehicle took."""

    def forget(self, ends: datetime) -> bool:
        """Drop unclaimed AC that is too old."""
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
