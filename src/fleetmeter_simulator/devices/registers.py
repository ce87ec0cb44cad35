"""Simulates what registers show: steps, flutter, placeholders, and dips."""

from typing import NamedTuple

from fleetmeter_simulator.chance import seeded
from fleetmeter_simulator.devices.register_profiles import PLAIN, RegisterProfile

_FLUTTERS = (0, 0, 0, 10_000, 100_000)
"""Amounts by which a register is at times below its count, mWh; most never are."""
_FLUTTERS_OFTEN = 0.1
"""Probability that one of its readings does."""
_DROPS_OUT = (0.0, 0.0, 0.0, 1 / 2500)
"""Probability that a register drops out with a reading; most never do."""
_LONGEST = 3
"""Most readings that a dropout lasts."""
_LEAST_MWH = 100_000_000
"""Below this, as after a reset, a register does not dip: its dips would pass for resets."""
_STATED_AFTER_H = (1, 26)
"""Shortest and longest time until somebody records an exchange, hours."""
_HOUR_US = 3_600_000_000


class Exchange(NamedTuple):
    """Describes the exchange of a meter: what the old one showed last, and the new one first."""

    meter_id: str
    at_us: int
    last_mwh: int
    first_mwh: int
    stated_us: int | None
    """Time when somebody records it, or None."""


class Counted(NamedTuple):
    """Holds what a register had really counted since the fleet began, at one of its readings."""

    device_id: str
    time_us: int
    mwh: int
    resolution_mwh: int
    """By how much less it may show."""


class Register:
    """Shows the total of one register, with its own random quirks."""

    def __init__(self, seed: int, kind: str, number: int, profile: RegisterProfile = PLAIN) -> None:
        self._rng = seeded(seed, "register", kind, number)
        self._flutter_mwh = self._rng.choice(_FLUTTERS)
        self._drops_out = self._rng.choice(_DROPS_OUT)
        if profile.step_mwh > 1:
            self._flutter_mwh = 0
        self._step_mwh = profile.step_mwh
        self._low_mwh = 0
        self._left = profile.placeholders
        self.is_true = True
        """True if the last value was neither a placeholder nor a dropout."""
        self.fell = False
        """True if it dropped out with the last value."""

    @property
    def resolution_mwh(self) -> int:
        """Return by how much less than its total it may show."""
        return max(self._step_mwh - 1, self._flutter_mwh)

    def shown(self, total_mwh: int) -> int:
        """Return what it shows of the total."""
        chance = self._rng.random()
        self.is_true = self.fell = False
        if self._left:
            self._left -= 1
            return self._low_mwh
        if total_mwh >= _LEAST_MWH and chance < self._drops_out:
            self._left = self._rng.randrange(_LONGEST)
            self._low_mwh = self._rng.choice((0, total_mwh // 2))
            self.fell = True
            return self._low_mwh
        self.is_true = True
        if total_mwh >= _LEAST_MWH and chance > 1 - _FLUTTERS_OFTEN:
            total_mwh -= self._flutter_mwh
        return total_mwh - total_mwh % self._step_mwh

    def exchanged(self, meter_id: str, at_us: int, total_mwh: int, *, is_stated: bool) -> Exchange:
        """Return what becomes of its total when another meter takes its place."""
        step, rng = self._step_mwh, self._rng
        first = rng.choice((0, rng.randrange(20) * 1_000_000))
        if is_stated and rng.random() < 0.5:  # one that has counted elsewhere before
            first = total_mwh + 5_000_000_000
        stated_us = at_us + rng.randint(*_STATED_AFTER_H) * _HOUR_US
        return Exchange(
            meter_id,
            at_us,
            total_mwh - total_mwh % step,
            first - first % step,
            stated_us if is_stated else None,
        )


class SessionCounter:
    """Restarts at 0 with each charge."""

    def __init__(self, name: str, shown_mwh: int) -> None:
        """Create the counter; `shown_mwh` is what it showed for the charge before the first one."""
        self._name = name
        self._number = 0
        self._mwh = shown_mwh
        self._charged = True

    def shown(self, energy_mwh: int) -> int:
        """Return what it shows after an interval in which this much was charged."""
        begins = energy_mwh > 0 and not self._charged
        self._charged = energy_mwh > 0
        if begins:  # it shows 0 at the beginning of what it goes on to count
            self._number += 1
            self._mwh = energy_mwh
            return 0
        self._mwh += energy_mwh
        return self._mwh

    @property
    def session_id(self) -> str | None:
        """Return the id of the current charge, if there is one."""
        return f"{self._name}-{self._number}" if self._charged and self._number else None
