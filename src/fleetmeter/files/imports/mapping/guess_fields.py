"""Guesses the field of a column of numbers from its name and content."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from fleetmeter.files.imports.mapping.model import ABSENT
from fleetmeter.files.imports.mapping.numbers import number_reader
from fleetmeter.files.imports.mapping.samples import Sample
from fleetmeter.readings.kinds import METER, VEHICLE, DeviceKind
from fleetmeter.readings.validate import Invalid

_ENERGY_WORDS = (
    r"[kKmM]?Wh\b|energ|consum|usage|verbrauch|verbruik|import|charged|delivered|stand|regist"
)
_EXPORT_WORDS = r"export|return|feed.?in|einspeis|terug|lever|inject|discharg"
_POWER_WORDS = r"\bk?W\b|power|leistung|vermogen"
_UNIT = re.compile(
    r"(?<![A-Za-z])(GWh|MWh|kWh|KWH|kwh|Wh|WH|MW|kW|KW|W|°F|°C|mV|V|%|km|mi|miles)(?![A-Za-z])"
)
_LIKE_UNIT = {"KWH": "kWh", "kwh": "kWh", "WH": "Wh", "KW": "kW", "miles": "mi"}

MOST = 0.8
"""Share of a column's cells that must be of a kind: the rest may be sums or remarks."""

T = TypeVar("T")


class GuessedField(NamedTuple):
    """A guess about a column."""

    name: str
    column: int
    unit: str | None
    comment: str = ""


def or_none(read: Callable[[Any, str], T | None], cell: Any) -> T | None:
    """Return the value of a cell, or None if it cannot be read."""
    try:
        return read(cell, "")
    except Invalid:
        return None


def guess_fields(
    sample: Sample, kind: DeviceKind, times: set[int], decimal: str | None
) -> list[GuessedField]:
    """Return guesses for the columns of a file other than times."""
    number = number_reader(decimal, ABSENT, None)
    found: list[GuessedField] = []
    of_column: dict[int, list[float]] = {}
    for place, name in enumerate(sample.names):
        cells = [] if place in times else sample.values(place)
        numbers = [value for cell in cells if (value := or_none(number, cell)) is not None]
        if numbers and len(numbers) >= MOST * len(cells):
            of_column[place] = numbers
            found += _field(place, name, numbers, kind)
    if any(field.name.endswith("Total") for field in found):  # what did not move is one too
        found = [
            field._replace(name=f"{field.name}Total")
            if field.name.startswith("kwh")
            and not field.name.endswith("Total")
            and len({*of_column[field.column]}) == 1
            else field
            for field in found
        ]
    if not found:
        found = [_energy(place, each, kind, None, False) for place, each in of_column.items()]
    return found


def _field(
    place: int, name: str, numbers: Sequence[float], kind: DeviceKind
) -> Iterator[GuessedField]:
    """Yield guesses for a column of numbers."""

    def says(words: str) -> bool:
        return re.search(words, name.replace("_", " "), re.IGNORECASE) is not None

    match = _UNIT.search(name.replace("_", " "))
    unit = _LIKE_UNIT.get(match[1], match[1]) if match else None
    if says(r"cost|price|tariff$|eur|usd|temp.*out|outside"):
        return
    if kind is VEHICLE and says(r"\bsoc\b|state of charge|battery.?(level|%)|^battery$"):
        yield GuessedField("soc", place, "ratio" if max(numbers) <= 1 else None)
    elif kind is VEHICLE and says(r"temp"):
        yield GuessedField("batteryTemp", place, unit if unit in ("°F", "°C") else None)
    elif kind is VEHICLE and says(r"odo|mileage"):
        yield GuessedField("odometerKm", place, unit if unit in ("km", "mi") else None)
    elif (unit or "").endswith("Wh") or (says(_ENERGY_WORDS) and unit is None):
        yield _energy(place, numbers, kind, unit, says(_EXPORT_WORDS))
    elif unit in ("W", "kW", "MW") or says(_POWER_WORDS):
        if not says(r"max|min|peak"):
            yield GuessedField("powerKw", place, unit, "" if unit else "in which unit?")
    elif kind is METER and (unit == "V" or says("volt|spannung")) and not says("max|min"):
        phase = re.search(r"[lL]?([123])\b", name)
        yield GuessedField(f"voltageL{phase[1]}" if phase else "voltage", place, None)


def _energy(
    place: int, numbers: Sequence[float], kind: DeviceKind, unit: str | None, exported: bool
) -> GuessedField:
    rises = all(before <= after for before, after in pairwise(numbers))
    falls = all(before >= after for before, after in pairwise(numbers))
    is_register = len(numbers) > 2 and (rises or falls) and len({*numbers}) > 1
    field = kind.energy.field
    if exported:
        field = "kwhReturnedDc" if kind is VEHICLE else "kwhExportedAc"
    comment = "" if unit else "in which unit?"
    return GuessedField(f"{field}Total" if is_register else field, place, unit or "kWh", comment)
