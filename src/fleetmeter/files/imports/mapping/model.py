"""Defines the keys of a mapping in a TOML file; docs/import.md explains each."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fleetmeter.errors import FleetMeterError
from fleetmeter.readings.kinds import KIND_OF, KINDS, DeviceKind, KindName
from fleetmeter.readings.telemetry import FIELDS, IDS, NUMBERS, TIMES
from fleetmeter.readings.units import dimension_of, known_units

Column = str | int
"""A column by its name, or by its place from 1 on."""

Where = dict[str, str | list[str]]
"""The values that columns must have, with * for anything."""

ABSENT = ("", "-", "--", "n/a", "na", "nan", "none", "null", "unavailable", "unknown", "#n/a")
"""Texts that stand for nothing in a file, in lower case."""


class MappingError(FleetMeterError):
    """A mapping cannot be used; the text names the key and says what would be right."""


class Value(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The source of one field of a reading."""

    column: Column | None = None
    constant: str | float | None = None
    sum: list[Column] | None = None
    """Columns that are added up."""

    join: list[Column] | None = None
    """Columns that make up an id, with - between them."""

    each: str | list[str] | None = None
    """Columns of which each is another device, by a pattern such as "Charger *" or by names."""

    unit: str | None = None
    factor: float = 1
    names: dict[str, str] = {}
    """The ids here, by the ids in the file."""

    prefix: str = ""
    """Text put before an id."""

    where: Where = {}
    """Only rows in which these columns have these values count."""

    difference: bool | str = False
    """Interval energy from a counter: since the row before, or the one of its session by column."""


class Duration(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A column that says how long an interval was."""

    column: Column
    unit: Literal["s", "min", "h"] = "s"


class Time(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The source of a time, and how it is written."""

    column: Column | None = None
    columns: list[Column] | None = None
    """Date and time of day, when they are in separate columns."""

    otherwise: Column | None = None
    """A column to use when the first is empty."""

    format: str | list[str] = "iso"
    zone: str | None = None
    stamp: Literal["end", "start"] = "end"
    interval: str | int | None = None
    duration: Duration | None = None


class Mapping(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A mapping: what the columns of a file mean."""

    time: Time | Column
    fields: dict[str, Value | Column]
    kind: KindName | None = None
    start: Time | Column | None = None
    """The start of the energy's interval, if a column has it."""

    description: str = ""
    reader: str | None = None
    """The reader of the file, if its extension does not show it."""

    encoding: str | None = None
    separator: Annotated[str, Meta(min_length=1, max_length=1)] | None = None
    decimal: Literal[".", ","] | None = None
    header: bool | Annotated[int, Meta(ge=1, le=10_000)] = True
    """The line of the header; by default the first that has the columns, false: there is none."""

    sheet: str | int | None = None
    records: str | None = None
    """The path of the array in a JSON document, such as data.items."""

    ignore: list[str] = []
    """Beginnings of lines that are not data."""

    absent: list[str] = []
    """Further texts that stand for nothing."""

    where: Where = {}
    pattern: str | None = None
    """Regular expression for the charge point in a line of a log, with the group chargePoint."""

    device: str | None = None
    """The id of the device, where the file does not name it."""


class Bound(msgspec.Struct, frozen=True):
    """A mapping, checked, with what it leaves to be understood."""

    mapping: Mapping
    kind: DeviceKind
    time: Time
    start: Time | None
    fields: dict[str, Value]

    def columns(self) -> list[Column]:
        """Return the columns that must be there."""
        found: list[Column] = []
        for time in (self.time, self.start):
            if time is not None:
                found += _columns_of_time(time)
        for value in self.fields.values():
            found += columns_of(value)
        found += self.mapping.where
        return list(dict.fromkeys(found))

    def each(self) -> list[str | list[str]]:
        """Return the patterns of columns of which each is a device."""
        return [value.each for value in self.fields.values() if value.each is not None]


def columns_of(value: Value) -> list[Column]:
    """Return the columns that a field needs."""
    found: list[Column] = [*(value.sum or ()), *(value.join or ()), *value.where]
    if value.column is not None:
        found.append(value.column)
    if isinstance(value.difference, str):
        found.append(value.difference)
    return found


def _columns_of_time(time: Time) -> list[Column]:
    found = [*(time.columns or ())]
    found += [each for each in (time.column, time.otherwise) if each is not None]
    if time.duration is not None:
        found.append(time.duration.column)
    return found


def convert(said: dict[str, Any]) -> Mapping:
    """Return a mapping from what TOML says. Raises MappingError."""
    try:
        return msgspec.convert(said, Mapping)
    except msgspec.ValidationError as error:
        raise MappingError(f"the mapping cannot be used: {error}; see docs/import.md") from None


def bind(mapping: Mapping) -> Bound:
    """Check a mapping. Raises MappingError."""
    fields = {
        name: value if isinstance(value, Value) else Value(column=value)
        for name, value in mapping.fields.items()
    }
    is_wide = any(value.each is not None for value in fields.values())
    for name, value in fields.items():
        if not (is_wide and name in IDS and _sources(value) == 0):  # the header has the id
            _check_field(name, value)
    kind = _kind(mapping, fields)
    if mapping.device is not None and is_wide:
        raise MappingError(
            "the mapping has a device in each column, so that --device cannot be all of them; "
            f'{kind.id_field} = {{ prefix = "{mapping.device}-" }} changes what they are called'
        )
    if mapping.device is not None and mapping.reader != "ocpp":
        fields[kind.id_field] = Value(constant=mapping.device)
    _check_complete(kind, fields)
    time = mapping.time if isinstance(mapping.time, Time) else Time(column=mapping.time)
    start = mapping.start
    if start is not None and not isinstance(start, Time):
        start = Time(column=start, format=time.format)
    if start is not None and start.zone is None:
        start = msgspec.structs.replace(start, zone=time.zone)
    for name, each in (("time", time), ("start", start)):
        if each is not None and (each.column is None) == (each.columns is None):
            raise MappingError(f'{name} needs a column, as in {name} = {{ column = "Date" }}')
    return Bound(mapping, kind, time, start, fields)


def _kind(mapping: Mapping, fields: dict[str, Value]) -> DeviceKind:
    if mapping.kind is not None:
        return KIND_OF[mapping.kind]
    own = [kind for kind in KINDS if kind.id_field in fields]
    own = own or [kind for kind in KINDS if not {*kind.fields}.isdisjoint(fields)]
    if not own:
        raise MappingError('the mapping needs kind = "vehicle" or kind = "meter"')
    return own[0]


def _check_field(name: str, value: Value) -> None:
    if name in TIMES:
        raise MappingError(
            f"{name} stands outside of [fields]: time = {{ … }}, start = {{ … }} for its begin"
        )
    if name not in FIELDS:
        raise MappingError(f"[fields] has {name}; known are {', '.join((*IDS, *NUMBERS))}")
    if _sources(value) != 1:
        raise MappingError(f"{name} needs one of column, constant, sum, join and each")
    if name in NUMBERS:
        if value.join is not None or value.names or value.prefix:
            raise MappingError(f"{name} is a number: join, names and prefix are for ids")
        dimension = dimension_of(name)
        if value.unit is not None and value.unit not in known_units(dimension):
            raise MappingError(
                f"{name} has the unit {value.unit}; it can be "
                f"{', '.join(known_units(dimension))}, or give a factor to {dimension}"
            )
    elif value.unit is not None or value.factor != 1 or value.sum is not None or value.difference:
        raise MappingError(f"{name} is not a number; unit, factor, sum, difference need one")


def _sources(value: Value) -> int:
    """Return how many sources a field has; one is right."""
    sources = (value.column, value.constant, value.sum, value.join, value.each)
    return len(sources) - sources.count(None)


def _check_complete(kind: DeviceKind, fields: dict[str, Value]) -> None:
    """Raises MappingError for fields that do not make a reading."""
    allowed = {*kind.fields, kind.id_field, *(IDS if kind.charges else ())}
    if strangers := [name for name in fields if name in (*NUMBERS, *IDS) and name not in allowed]:
        raise MappingError(f"a {kind.name} has no {', '.join(strangers)}; is kind right?")
    is_wide = any(value.each is not None for value in fields.values())
    if kind.id_field not in fields and not is_wide:
        raise MappingError(
            f"nothing says which {kind.name} it is: add --device ID, or to [fields] "
            f'{kind.id_field} = {{ column = "…" }} or {{ constant = "{kind.example_id}" }}'
        )
    measured = [name for name, value in fields.items() if name in kind.fields]
    if all(fields[name].constant is not None for name in measured):
        raise MappingError(
            f"[fields] has nothing that was measured; add {kind.energy.field} (of the interval), "
            f"{kind.energy.register_field} (a register) or another of "
            f"{', '.join(field for field in kind.fields if field not in measured)}"
        )


def formats_of(time: Time) -> Sequence[str]:
    """Return how a time may be written, most likely first."""
    return [time.format] if isinstance(time.format, str) else time.format
