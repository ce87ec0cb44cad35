"""Provides randomness: each part of a fleet draws from a source of its own.

Adding a vehicle or a fault therefore changes nothing about the others.
"""

from random import Random


def seeded(*parts: object) -> Random:
    """Return a generator that gives the same numbers for the same parts, in every process."""
    return Random("/".join(map(str, parts)))  # noqa: S311 - nobody must be unable to guess them


TABLE = 4096
"""Number of positions at which a slice of one of the tables below can begin."""
_LONG = TABLE + 64


def _table(name: str, low: int, high: int, step: int = 1) -> tuple[int, ...]:
    draw = seeded("table", name).randrange
    return tuple(draw(low, high, step) for _ in range(_LONG))


JITTER_US = _table("jitter", 0, 4_000_000, 1000)
"""Delays with which a device takes its readings; slicing a table is cheaper than drawing."""

DELAYS_US = _table("delays", 800_000, 5_000_000)
"""Times that readings take to arrive."""

VOLTAGE_NOISE_MV = _table("voltage", -1100, 1100, 10)
STANDBY_NOISE_MWH = _table("standby", -4, 5)
