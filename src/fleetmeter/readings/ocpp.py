"""Converts the sampled values of one moment in OCPP, 1.6 and 2.0.1, to Wh, W and V. Pure.

For messages that chargers send, and for those in logs. 1.6 writes numbers as texts and names the
unit of each; 2.0.1 names it in a record of its own, with a power of ten.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from math import isfinite, sqrt
from typing import Any, Literal, NamedTuple

import msgspec

ENERGY = "Energy.Active.Import.Register"
"""What a value is that does not say what it is."""

OUTLET = ("Outlet", "Body", "Cable")
"""Places of what goes through an outlet, preferred first; a value without one is of the outlet."""

INLET = ("Inlet",)
"""The place of what the charging station takes from the grid."""

_EVERYWHERE = (*OUTLET, *INLET, "EV")
_PHASES = ("L1", "L2", "L3")
_BETWEEN_PHASES = ("L1-L2", "L2-L3", "L3-L1")

_FACTORS = {
    "wh": 1.0,
    "kwh": 1000.0,
    "mwh": 1_000_000.0,
    "w": 1.0,
    "kw": 1000.0,
    "mw": 1_000_000.0,
    "v": 1.0,
    "kv": 1000.0,
    "percent": 1.0,
    "%": 1.0,
    "celsius": 1.0,
    "celcius": 1.0,  # as version 1.6 has it
    "": 1.0,
}
"""Factors to Wh, W, V, per cent and °C, by the unit in lower case; chargers mean mega by M."""

_TEMPERATURES = frozenset({"k", "fahrenheit", "f"})
"""Units of temperature that take more than a factor."""

STORED = frozenset(
    {
        ENERGY,
        "Energy.Active.Import.Interval",
        "Energy.Active.Export.Register",
        "Energy.Active.Export.Interval",
        "Power.Active.Import",
        "Power.Active.Export",
        "SoC",
        "Temperature",
        "Voltage",
    }
)
"""The measurands of which something can be stored."""

Number = float | str | None
"""A value; a text is what was sent instead of a number."""


class SampledValue(msgspec.Struct, gc=False):
    """A value as chargers send it, of any type where they deviate."""

    value: Any = None
    measurand: Any = ENERGY
    phase: Any = None
    location: Any = "Outlet"
    context: Any = "Sample.Periodic"
    unit: Any = None
    format: Any = "Raw"
    unitOfMeasure: Any = None  # noqa: N815 - as on the wire


class Values(NamedTuple):
    """What was measured at one moment: Wh, W, per cent, V and °C."""

    register: Number = None
    interval: Number = None
    exported: Number = None
    exported_interval: Number = None
    power: Number = None
    soc: Number = None
    voltage: Number = None
    voltage_l1: Number = None
    voltage_l2: Number = None
    voltage_l3: Number = None
    temperature: Number = None


def values_of(
    sampled: Iterable[SampledValue],
    places: Sequence[str] = (*OUTLET, *INLET),
    unnamed_energy: Literal["Wh", "kWh"] = "Wh",
) -> Values:
    """Return what was measured at some places, preferred first.

    `unnamed_energy` is what energy is in that has no unit, or that of which a charger says Wh.
    """
    found = _found(sampled, unnamed_energy)
    register = _total(found, ENERGY, places)
    exported = _total(found, "Energy.Active.Export.Register", places)
    l1, l2, l3 = (_anywhere(found, "Voltage", phase, places) for phase in _PHASES)
    mean = None
    if not (l1 or l2 or l3):
        mean = _anywhere(found, "Voltage", None, places) or _between_phases(found, places)
    return Values(
        register,
        None if register is not None else _total(found, "Energy.Active.Import.Interval", places),
        exported,
        None if exported is not None else _total(found, "Energy.Active.Export.Interval", places),
        _power(found, places),
        _anywhere(found, "SoC", None, _EVERYWHERE),
        mean,
        l1,
        l2,
        l3,
        found.get(("Temperature", "EV", None)),
    )


def time_of(text: object) -> datetime | None:
    """Return a time as chargers write it, without an offset in UTC; None for what is none."""
    if not isinstance(text, str):
        return None
    written = text.strip().upper()
    if "T" not in written and " " not in written:  # a day is no time
        return None
    try:
        time = datetime.fromisoformat(written)
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


_Found = dict[tuple[str, str, str | None], Number]
"""Values by measurand, place and phase."""


def _found(sampled: Iterable[SampledValue], unnamed_energy: str) -> _Found:
    found: _Found = {}
    for each in sampled:
        measurand, place, phase = each.measurand, each.location, each.phase
        if each.format == "SignedData":
            continue
        key = (
            ENERGY if measurand is None else str(measurand),
            "Outlet" if place is None else str(place),
            None if phase is None else str(phase).removesuffix("-N"),
        )
        if key not in found and (value := _number(each, key[0], unnamed_energy)) is not None:
            found[key] = value
    return found


def unit_of(each: SampledValue) -> tuple[str, Any]:
    """Return the unit of a value in lower case, "" without one, and its power of ten."""
    unit, multiplier = each.unit, 0
    if isinstance(of := each.unitOfMeasure, dict):
        unit, multiplier = of.get("unit", unit), of.get("multiplier") or 0
    elif isinstance(of, str):
        unit = of
    return "" if unit is None else str(unit).strip().lower(), multiplier


def is_stored_of(measurand: str, location: object, places: Sequence[str]) -> bool:
    """Return whether a measurand that can be stored is, of a location; see values_of."""
    if measurand == "Temperature":
        return location == "EV"
    place = "Outlet" if location is None else str(location)
    return place in (_EVERYWHERE if measurand == "SoC" else places)


def is_unit(name: str) -> bool:
    """Return whether a unit, in lower case, is one that values can be converted from."""
    return name in _FACTORS or name in _TEMPERATURES


def _number(each: SampledValue, measurand: str, unnamed_energy: str) -> Number:
    """Return a value in Wh, W, V, per cent or °C; None for one in a unit of something else."""
    name, multiplier = unit_of(each)
    if name in ("", "wh") and measurand.startswith("Energy."):
        name = unnamed_energy.lower()
    try:
        value = float(each.value)
        if not isfinite(value):
            return f"{each.value}"
        if name in _TEMPERATURES:
            return value - 273.15 if name == "k" else (value - 32) * 5 / 9
        if (factor := _FACTORS.get(name)) is None:
            return None
        return value * factor * 10.0 ** int(multiplier) if multiplier else value * factor
    except (TypeError, ValueError, OverflowError):
        return f"{each.value}"


def _total(found: _Found, measurand: str, places: Sequence[str]) -> Number:
    """Return a value of all phases: as it is given, or the sum of the three."""
    for place in places:
        whole = found.get((measurand, place, None))
        if whole is not None:
            return whole
        given = [found.get((measurand, place, phase)) for phase in _PHASES]
        phases = [each for each in given if isinstance(each, float)]
        if phases and len(phases) == 3 - given.count(None):
            return sum(phases)
    return None


def _power(found: _Found, places: Sequence[str]) -> Number:
    """Return the power that is taken, negative for what is given back."""
    taken = _total(found, "Power.Active.Import", places)
    given = _total(found, "Power.Active.Export", places)
    if isinstance(taken, str) or not isinstance(given, float):
        return taken
    return (taken or 0.0) - given


def _anywhere(found: _Found, measurand: str, phase: str | None, places: Sequence[str]) -> Number:
    return next(
        (value for place in places if (value := found.get((measurand, place, phase))) is not None),
        None,
    )


def _between_phases(found: _Found, places: Sequence[str]) -> Number:
    """Return the mean voltage between phase and neutral, of those between phases."""
    given = [_anywhere(found, "Voltage", phase, places) for phase in _BETWEEN_PHASES]
    volts = [each for each in given if isinstance(each, float)]
    return sum(volts) / len(volts) / sqrt(3) if volts else None
