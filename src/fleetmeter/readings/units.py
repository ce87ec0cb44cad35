"""Converts the units of files and other programs to those of the wire."""

from fleetmeter.readings.kinds import KINDS

_UNITS: dict[str, dict[str, tuple[float, float, float]]] = {
    "kWh": {
        "kWh": (0, 1, 1),
        "Wh": (0, 1, 1000),
        "MWh": (0, 1000, 1),
        "GWh": (0, 1_000_000, 1),
        "J": (0, 1, 3_600_000),
        "Ws": (0, 1, 3_600_000),
        "Wmin": (0, 1, 60_000),
        "kJ": (0, 1, 3600),
        "MJ": (0, 1, 3.6),
    },
    "kW": {"kW": (0, 1, 1), "W": (0, 1, 1000), "MW": (0, 1000, 1)},
    "%": {"%": (0, 1, 1), "ratio": (0, 100, 1)},
    "°C": {
        "°C": (0, 1, 1),
        "C": (0, 1, 1),
        "°F": (-32, 5, 9),
        "F": (-32, 5, 9),
        "K": (-273.15, 1, 1),
    },
    "V": {"V": (0, 1, 1), "mV": (0, 1, 1000), "kV": (0, 1000, 1)},
    "km": {"km": (0, 1, 1), "m": (0, 1, 1000), "mi": (0, 1.609344, 1)},
}
"""Offset, factor and divisor of each unit, by the unit of the wire.

A division by 1000 is exact to the last digit where a multiplication by 0.001 is not.
"""

_DIMENSIONS: dict[str, str] = {
    field: next((each.unit for each in kind.measurements if each.field == field), "kWh")
    for kind in KINDS
    for field in kind.fields
}


def dimension_of(field: str) -> str:
    """Return the unit of a field on the wire."""
    return _DIMENSIONS[field]


def known_units(dimension: str) -> tuple[str, ...]:
    """Return the units that can be converted to one of the wire."""
    return tuple(_UNITS.get(dimension, {dimension: None}))


def conversion(field: str, unit: str | None) -> tuple[float, float, float]:
    """Return the offset, the factor and the divisor that convert a value."""
    dimension = dimension_of(field)
    return _UNITS.get(dimension, {}).get(unit or dimension, (0, 1, 1))
