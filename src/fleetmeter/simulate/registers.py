"""What registers show of what they count: last digits that flutter, and values that drop out."""

from fleetmeter.simulate.chance import seeded

_FLUTTERS = (0, 0, 0, 10_000, 100_000)
"""By how much below what it counted a register shows at times, mWh; most do not."""
_FLUTTERS_OFTEN = 0.1
"""How likely one reading of those that do is below."""
_DROPS_OUT = (0.0, 0.0, 0.0, 1 / 2500)
"""How likely a register drops out with a reading; most never do."""
_LONGEST = 3
"""For how many readings at most."""
_LEAST_MWH = 100_000_000
"""One that counted less, as after a reset, shows it as it is: its dips would pass for resets."""


class Register:
    """How one register shows its total; by chances of its own."""

    def __init__(self, seed: int, kind: str, number: int) -> None:
        self._rng = seeded(seed, "register", kind, number)
        self._flutter_mwh = self._rng.choice(_FLUTTERS)
        self._drops_out = self._rng.choice(_DROPS_OUT)
        self._low_mwh = 0
        self._left = 0

    def shown(self, total_mwh: int) -> int:
        """What it shows of the total."""
        chance = self._rng.random()
        if self._left:
            self._left -= 1
            return self._low_mwh
        if total_mwh < _LEAST_MWH:
            return total_mwh
        if chance < self._drops_out:
            self._left = self._rng.randrange(_LONGEST)
            self._low_mwh = self._rng.choice((0, total_mwh // 2))
            return self._low_mwh
        return total_mwh - (self._flutter_mwh if chance > 1 - _FLUTTERS_OFTEN else 0)
