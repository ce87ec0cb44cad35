"""Turns rows of a table into readings, with a mapping."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from fleetmeter.files.imports.mapping.clock import Clock, Length
from fleetmeter.files.imports.mapping.model import ABSENT, Bound, Time, Value, formats_of
from fleetmeter.files.imports.mapping.numbers import number_reader
from fleetmeter.files.imports.mapping.table_columns import TableColumns, matches, places_of
from fleetmeter.files.imports.mapping.times import time_reader
from fleetmeter.files.imports.mapping.values import (
    Differences,
    Take,
    counter_taker,
    number_taker,
    text_taker,
)
from fleetmeter.readings.telemetry import FIELDS, NUMBERS, Telemetry
from fleetmeter.readings.validate import Invalid

Cells = Sequence[Any]

_PLACES = {field: place for place, field in enumerate(FIELDS)}
_START, _END = _PLACES["intervalStart"], _PLACES["timestamp"]
_SECONDS = {"s": 1, "min": 60, "h": 3600}


class _Device(NamedTuple):
    """The values to read from a row for one device; only wide files have several."""

    name: str | None
    """The device's name in the header of a wide file."""

    takes: list[tuple[int, Take, bool]]
    """Place in a Telemetry, what reads it, and whether it is a measurement."""


class RowReader:
    """Turns rows into readings; rows come in the order of the file."""

    def __init__(self, bound: Bound, columns: TableColumns, *, newest_first: bool = False) -> None:
        """Raises MappingError."""
        self._bound = bound
        self._columns = columns
        self._absent = {*ABSENT, *(each.lower() for each in bound.mapping.absent)}
        self._where = places_of(bound.mapping.where, columns)
        self._time = _TimeTaker(bound.time, columns, newest_first)
        self._start = None
        if bound.start is not None:
            self._start = _TimeTaker(bound.start, columns, newest_first)
        self._differences = Differences(newest_first=newest_first)
        self._has_counters = any(value.difference for value in bound.fields.values())
        kind = bound.kind
        self._measured = {*kind.fields}
        self._keeps_interval = any(
            name in bound.fields
            for name in kind.fields
            if f"{name}Total" in kind.fields  # interval energy
        )
        self._id_place = _PLACES[kind.id_field]
        self._devices = list(self._device_takes())
        self._series = [
            place for field in bound.fields.values() for place, _ in places_of(field.where, columns)
        ]
        self.left_out = 0
        """Rows that `where` excludes, or in which nothing was measured."""

    def readings(self, cells: Cells) -> list[Telemetry | Invalid]:
        """Return the readings of a row; errors are returned in place of a reading."""
        try:
            if not all(matches(cells[place], wanted) for place, wanted in self._where):
                self.left_out += 1
                return []
            found = self._found(cells)
        except Invalid as invalid:
            return [invalid]
        if not found:
            self.left_out += 1
        return found

    def _found(self, cells: Cells) -> list[Telemetry | Invalid]:
        found: list[Telemetry | Invalid] = []
        interval: tuple[datetime | None, datetime] | None = None
        for device in self._devices:
            slots: list[Any] = [None] * len(FIELDS)
            try:
                for place, take, _ in device.takes:
                    slots[place] = take(cells)
                if not _is_measured(device, slots):
                    continue
                interval = interval or self._interval(cells, self._series_of(cells, slots))
                start, end = interval
                own = None
                if self._has_counters:
                    own = self._differences.apply(slots, slots[self._id_place], end)
            except Invalid as invalid:
                found.append(invalid)
                continue
            if not self._has_counters or _is_measured(device, slots):
                slots[_END] = end
                slots[_START] = start or own
                found.append(Telemetry(*slots))
        if interval is None:
            with suppress(Invalid):  # the clock went on all the same
                self._interval(cells, self._series_of(cells, slots))
        return found

    def _series_of(self, cells: Cells, slots: list[Any]) -> Hashable:
        """Return the device whose times follow each other in the file."""
        if len(self._devices) > 1:
            return ()
        return (slots[self._id_place], *(cells[place] for place in self._series))

    def _interval(self, cells: Cells, series: Any) -> tuple[datetime | None, datetime]:
        """Return the start of a row's interval, if known, and its end."""
        time = self._time.instant(cells, series)
        length = self._time.length(cells)
        start: datetime | None
        if self._start is not None:
            start, end = self._start.instant(cells, series), time
        elif length is None:
            return None, time
        elif self._bound.time.stamp == "start":
            start, end = time, self._time.clock.later(time, length)
        else:
            start, end = self._time.clock.later(time, length, -1), time
        return start if self._keeps_interval else None, end

    def _device_takes(self) -> Iterator[_Device]:
        """Yield what is read, for each device of the header."""
        fields, used = self._bound.fields, self._bound.columns()
        wide = {
            name: {stem: place for place, stem in self._columns.each(value.each, used).items()}
            for name, value in fields.items()
            if value.each is not None
        }
        stems = list(dict.fromkeys(stem for places in wide.values() for stem in places))
        for stem in cast(list[str | None], stems) or [None]:
            takes = []
            for name, value in fields.items():
                place = None if name not in wide or stem is None else wide[name].get(stem)
                if name in wide and place is None:
                    continue
                takes.append(self._take(name, value, place))
            if stem is not None and not any(at == self._id_place for at, _, _ in takes):
                takes.append((self._id_place, _constant(stem), False))
            elif stem is not None:
                takes = [
                    (at, self._named(stem), measured)
                    if at == self._id_place
                    else (at, take, measured)
                    for at, take, measured in takes
                ]
            yield _Device(stem, takes)

    def _named(self, stem: str) -> Take:
        """Return the id of a device of a wide file, as the mapping writes it."""
        value = self._bound.fields[self._bound.kind.id_field]
        return _constant(value.prefix + value.names.get(stem, stem))

    def _take(self, name: str, value: Value, place: int | None) -> tuple[int, Take, bool]:
        if name not in NUMBERS:
            return _PLACES[name], text_taker(value, self._columns), False
        number = number_reader(self._bound.mapping.decimal, self._absent, value.unit)
        take = number_taker(name, value, self._columns, number, place)
        if value.difference:
            by = value.difference
            take = counter_taker(take, self._columns.place(by) if isinstance(by, str) else None)
        measured = name in self._measured and value.constant is None
        return _PLACES[name], take, measured


def _is_measured(device: _Device, slots: list[Any]) -> bool:
    return any(measured and slots[place] is not None for place, _, measured in device.takes)


def _constant(text: str) -> Take:
    return lambda cells: text


class _TimeTaker:
    """Reads the time of a row."""

    def __init__(self, time: Time, columns: TableColumns, newest_first: bool) -> None:
        self.clock = Clock(time.zone, newest_first=newest_first)
        self._read = time_reader(formats_of(time))
        chosen = time.columns or [each for each in (time.column,) if each is not None]
        self._places = [columns.place(column) or 0 for column in chosen]
        self._otherwise = None if time.otherwise is None else columns.place(time.otherwise)
        self._names = columns.names
        self._length = None if time.interval is None else Length(time.interval)
        self._duration: Callable[[Cells], Length] | None = None
        if time.duration is not None:
            place = columns.place(time.duration.column) or 0
            number = number_reader(None, ABSENT, time.duration.unit)
            per = _SECONDS[time.duration.unit]

            def duration(cells: Cells) -> Length:
                found = number(cells[place], self._names[place])
                if found is None or not 0 < found * per <= 400 * 86_400:
                    raise Invalid("out_of_range", f"{self._names[place]} is not a length of time")
                return Length(round(found * per))

            self._duration = duration

    def instant(self, cells: Cells, series: Any) -> datetime:
        """Return the time of a row in UTC. Raises Invalid."""
        return self.clock.instant(self.written(cells), series)

    def written(self, cells: Cells) -> datetime:
        """Return the time of a row as it is written. Raises Invalid."""
        name = self._names[self._places[0]]
        if len(self._places) == 1:
            found = self._read(cells[self._places[0]], name)
        else:
            found = self._read(_together([cells[place] for place in self._places]), name)
        if found is None and self._otherwise is not None:
            found = self._read(cells[self._otherwise], self._names[self._otherwise])
        if found is None:
            raise Invalid("missing_field", f"{name}, which is the time, is empty")
        return found

    def length(self, cells: Cells) -> Length | None:
        """Return how long the interval of a row is, where the mapping says so. Raises Invalid."""
        return self._length if self._duration is None else self._duration(cells)


def _together(parts: Sequence[Any]) -> Any:
    """Return a date and a time of day as one; spreadsheets have both as values of their own."""
    day, *rest = parts
    if isinstance(day, datetime) and len(rest) == 1 and hasattr(rest[0], "hour"):
        of_day = rest[0]
        return day + timedelta(hours=of_day.hour, minutes=of_day.minute, seconds=of_day.second)
    return " ".join(str(part).strip() for part in parts if part is not None)
