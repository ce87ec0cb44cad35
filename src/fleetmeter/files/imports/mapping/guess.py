"""Guesses a mapping for a file from the names of its columns and their content."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.mapping.guess_fields import MOST, GuessedField, guess_fields, or_none
from fleetmeter.files.imports.mapping.samples import Sample
from fleetmeter.files.imports.mapping.times import time_reader
from fleetmeter.readings.kinds import METER, VEHICLE, DeviceKind

_TIMES = ("iso", "epoch", "epoch_ms", "epoch_us", "month-first", "day-first", "rfc2822")
"""Formats to try; month first comes early, since any day after the 12th refutes it."""

_TIME_WORDS = (
    r"time|date|datum|zeit|tijd|stamp|fecha|hora|heure|begin|start|from|end|^to$|until|von|bis|epoch"
    r"|^ts$"
)
_START_WORDS = r"start|begin|from|^von|^van|since|debut|inicio"
_END_WORDS = r"end|^to$|until|^bis|^tot$|stop"
_VEHICLE_WORDS = r"vehicle|^car|vin$|^ev\b|fahrzeug|voertuig"
_DEVICE_WORDS = (
    r"meter.?(id|no|nr|num)|^meter$|charger|station|device|serial|mpan|ean|^id$|outlet|evse"
)
_PART_WORDS = r"tari|\b[TL]\d|phase|low|high|peak|dal|piek|\b[HN]T\b|\b[abc]\b|[abc]_"


def guess(sample: Sample, device: str | None, zone: str | None) -> str:
    """Return a mapping as TOML that may fit. Raises SourceError without a time or a number."""
    times = _times(sample)
    decimal = _decimal(sample, {place for place, _ in times})
    kind = _kind(sample)
    fields = guess_fields(sample, kind, {place for place, _ in times}, decimal)
    if not fields:
        raise SourceError(
            "no column looks like energy, power or another measurement; the columns found are "
            f"{', '.join(map(str, sample.names[:60]))}"
        )
    lines = list(_said_fields(sample, fields))
    said = [
        "# a guess: look at each line, and at what fleetmeter import --map … --dry-run shows",
        f'kind = "{kind.name}"',
        *_layout(sample, decimal),
        *_said_times(sample, times, fields, kind, zone),
        "[fields]",
        *_said_id(sample, kind, device, lines),
        *lines,
    ]
    return "\n".join(said) + "\n"


def _times(sample: Sample) -> list[tuple[int, str]]:
    """Return the columns that are times, with their format. Raises SourceError."""
    found = []
    for place, name in enumerate(sample.names):
        values = sample.values(place)
        likely = re.search(_TIME_WORDS, name, re.IGNORECASE) or not sample.has_header
        for format_ in _TIMES:
            counts = format_.startswith("epoch")
            if values and (likely or not counts) and _all_times(values, format_):
                found.append((place, format_))
                break
    if not found:
        raise SourceError(
            "no column looks like a time; the columns found are "
            f"{', '.join(map(str, sample.names[:60]))}"
        )
    return found


def _all_times(values: Sequence[Any], format_: str) -> bool:
    read = time_reader([format_])
    return sum(or_none(read, value) is not None for value in values) >= MOST * len(values)


def _decimal(sample: Sample, times: set[int]) -> str | None:
    cells = [
        str(cell).strip()
        for place in range(len(sample.names))
        if place not in times
        for cell in sample.values(place)
    ]
    return "," if any(re.fullmatch(r"-?[\d. ]*\d,\d+", cell) for cell in cells) else None


def _kind(sample: Sample) -> DeviceKind:
    words = rf"{_VEHICLE_WORDS}|\bsoc\b|battery|odometer"
    is_vehicle = any(re.search(words, name, re.IGNORECASE) for name in sample.names)
    return VEHICLE if is_vehicle else METER


def _layout(sample: Sample, decimal: str | None) -> Iterator[str]:
    if sample.encoding:
        yield f'encoding = "{sample.encoding}"'
    if sample.separator and not sample.has_header:
        yield f"separator = {_quoted(sample.separator)}"
    if not sample.has_header:
        yield "header = false"
    if decimal:
        yield f'decimal = "{decimal}"'


def _said_times(
    sample: Sample,
    times: Sequence[tuple[int, str]],
    fields: Sequence[GuessedField],
    kind: DeviceKind,
    zone: str | None,
) -> Iterator[str]:
    named = [(place, format_, sample.names[place]) for place, format_ in times]
    starts = [each for each in named if re.search(_START_WORDS, each[2], re.IGNORECASE)]
    ends = [each for each in named if re.search(_END_WORDS, each[2], re.IGNORECASE)]
    chosen = (ends or starts or named)[0]
    time = _time(sample, chosen, zone)
    if ends and starts and ends[0] != starts[0]:
        yield f"time = {{ {time} }}"
        yield f"start = {{ {_time(sample, starts[0], zone)} }}"
        return
    of_intervals = any(field.name == kind.energy.field for field in fields)
    seconds = _step(sample, chosen) if of_intervals else None
    if seconds is None:
        yield f"time = {{ {time} }}"
        return
    length = "day" if seconds == 86_400 else f"{seconds} s"
    yield "# are times those of an interval's start or of its end?"
    stamp = "start" if starts else "end"
    yield f'time = {{ {time}, stamp = "{stamp}", interval = "{length}" }}'


def _time(sample: Sample, chosen: tuple[int, str, str], zone: str | None) -> str:
    place, format_, _ = chosen
    said = [f"column = {_column(sample, place)}"]
    if format_ != "iso":
        said.append(f'format = "{_day_or_month(sample, place, format_)}"')
    read = time_reader([format_])
    if any(
        found.tzinfo is None for value in sample.values(place) if (found := or_none(read, value))
    ):
        said.append(f'zone = "{zone or "UTC"}"')
    return ", ".join(said)


def _day_or_month(sample: Sample, place: int, format_: str) -> str:
    """Return whether days or months come first: days, if they can and no half of a day is there."""
    if format_ != "month-first":
        return format_
    values = sample.values(place)
    halves = any(re.search(r"[ap]\.?m", str(value), re.IGNORECASE) for value in values)
    return "day-first" if _all_times(values, "day-first") and not halves else "month-first"


def _step(sample: Sample, chosen: tuple[int, str, str]) -> int | None:
    place, format_, _ = chosen
    read = time_reader([_day_or_month(sample, place, format_)])
    times = [found for value in sample.values(place) if (found := or_none(read, value)) is not None]
    steps = [abs((after - before).total_seconds()) for before, after in _pairs(times)]
    steps = [step for step in steps if step]
    return round(median(steps)) if steps else None


def _pairs(times: Sequence[datetime]) -> Iterator[tuple[datetime, datetime]]:
    return pairwise(times)


def _said_id(
    sample: Sample, kind: DeviceKind, device: str | None, fields: Sequence[str]
) -> Iterator[str]:
    if any(line.partition("=")[2].strip().startswith("{ each") for line in fields):
        return
    words = _VEHICLE_WORDS if kind is VEHICLE else _DEVICE_WORDS
    for place, name in enumerate(sample.names):
        if device is None and re.search(words, name, re.IGNORECASE) and sample.values(place):
            yield f"{kind.id_field} = {_column(sample, place)}"
            return
    ask = "" if device else "  # which one is it?"
    yield f'{kind.id_field} = {{ constant = "{device or kind.example_id}" }}{ask}'


def _said_fields(sample: Sample, fields: Sequence[GuessedField]) -> Iterator[str]:
    by_name: dict[str, list[GuessedField]] = {}
    for field in fields:
        by_name.setdefault(field.name, []).append(field)
    for name, found in by_name.items():
        columns = [_column(sample, field.column) for field in found]
        unit = f', unit = "{found[0].unit}"' if found[0].unit else ""
        comment = f"  # {found[0].comment}" if found[0].comment else ""
        if len(found) == 1:
            yield f"{name} = {{ column = {columns[0]}{unit} }}{comment}"
        elif "kwh" in name and _are_parts(sample, found):
            yield f"{name} = {{ sum = [{', '.join(columns)}]{unit} }}  # are all parts of it?"
        elif "kwh" in name:
            yield f"{name} = {{ each = [{', '.join(columns)}]{unit} }}  # is each a device?"
        else:
            yield f"{name} = {{ column = {columns[0]}{unit} }}  # or {', '.join(columns[1:])}"


def _are_parts(sample: Sample, fields: Sequence[GuessedField]) -> bool:
    """Return whether columns are tariffs or phases rather than devices."""
    names = [sample.names[field.column] for field in fields]
    return all(re.search(_PART_WORDS, name, re.IGNORECASE) for name in names)


def _column(sample: Sample, place: int) -> str:
    return _quoted(sample.names[place]) if sample.has_header else str(place + 1)


def _quoted(text: str) -> str:
    """Return a text as a string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'
