"""Where chance comes from: each part of a fleet has a source of its own.

So one more vehicle, or one more fault, changes nothing of the others.
"""

from random import Random


def seeded(*parts: object) -> Random:
    """The same numbers for the same parts, in every process."""
    return Random("/".join(map(str, parts)))  # noqa: S311 - nobody must be unable to guess them


TABLE = 4096
"""How many places a slice of a table below can begin at."""
_LONG = TABLE + 64


def _table(name: str, low: int, high: int, step: int = 1) -> tuple[int, ...]:
    draw = seeded("table", name).randrange
    return tuple(draw(low, high, step) for _ in range(_LONG))


JITTER_US = _table("jitter", 0, 4_000_000, 1000)
"""How long after its minute a device takes a reading; a slice of it costs less than to draw."""

DELAYS_US = _table("delays", 800_000, 5_000_000)
"""How long a reading is on its way."""

VOLTAGE_NOISE_MV = _table("voltage", -1100, 1100, 10)
STANDBY_NOISE_MWH = _table("standby", -4, 5)
