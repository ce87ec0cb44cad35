"""Converts the sampled values of one moment in OCPP to columns in Wh, W and V."""

from collections.abc import Sequence
from typing import Any

COLUMNS = (
    "meter",
    "chargePoint",
    "connector",
    "timestamp",
    "importRegister",
    "importInterval",
    "exportRegister",
    "power",
    "soc",
    "voltage",
    "voltageL1",
    "voltageL2",
    "voltageL3",
)
_UNITS = {"Wh": 1.0, "kWh": 1000.0, "W": 1.0, "kW": 1000.0, "V": 1.0, "Percent": 1.0}
_DEFAULT = "Energy.Active.Import.Register"
_WHERE = ("Outlet", "Body", "Cable", "Inlet")
"""Locations of an energy measurement, preferred first; the default is the outlet."""

_PHASES = ("L1", "L2", "L3")


def values_of(sample: dict[str, Any]) -> list[Any]:
    """Return time and values of a moment, in the order of the last of COLUMNS."""
    sampled = [each for each in sample.get("sampledValue") or () if isinstance(each, dict)]
    register = _total(sampled, _DEFAULT)
    interval = None if register is not None else _total(sampled, "Energy.Active.Import.Interval")
    voltages = [_phase(sampled, "Voltage", phase) for phase in _PHASES]
    mean = None if any(voltages) else _phase(sampled, "Voltage", None)
    return [
        sample.get("timestamp"),
        register,
        interval,
        _total(sampled, "Energy.Active.Export.Register"),
        _total(sampled, "Power.Active.Import"),
        _phase(sampled, "SoC", None),
        mean,
        *voltages,
    ]


def _total(sampled: Sequence[dict[str, Any]], measurand: str) -> float | str | None:
    """Return a value of all phases: as it is given, or the sum of the three."""
    for place in _WHERE:
        there = [each for each in sampled if each.get("location", "Outlet") == place]
        whole = _phase(there, measurand, None)
        if whole is not None:
            return whole
        phases = [value for phase in _PHASES if (value := _phase(there, measurand, phase))]
        if phases and all(isinstance(value, float) for value in phases):
            return float(sum(phases))  # type: ignore[arg-type]
    return None


def _phase(
    sampled: Sequence[dict[str, Any]], measurand: str, phase: str | None
) -> float | str | None:
    """Return a value of one phase, or without one; what is not a number as it is, to be refused."""
    for each in sampled:
        own = each.get("phase")
        if each.get("measurand", _DEFAULT) != measurand or each.get("format") == "SignedData":
            continue
        if own in ((None,) if phase is None else (phase, f"{phase}-N")):
            return _number(each)
    return None


def _number(sampled: dict[str, Any]) -> float | str:
    """Return a value in Wh, W or V: 1.6 names the unit, 2.0.1 also a power of ten."""
    value, of = sampled.get("value"), sampled.get("unitOfMeasure")
    unit, multiplier = sampled.get("unit"), 0
    if isinstance(of, dict):
        unit, multiplier = of.get("unit", unit), of.get("multiplier", 0)
    try:
        return float(value) * _UNITS.get(unit or "", 1.0) * 10.0 ** int(multiplier)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return f"{value}"
