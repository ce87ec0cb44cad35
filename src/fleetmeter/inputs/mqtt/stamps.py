"""Stamps readings by their arrival, so that those of one moment are one reading. Pure.

Devices publish each value in a topic of its own, one right after the other. Times of arrival are
rounded down, to whole seconds as a rule, so that such values have one time and complete each other.
A second, different value of a measurement within that time keeps its exact time, and is a reading
of its own.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from fleetmeter.inputs.mapping.topics import Arriving
from fleetmeter.readings.kinds import MAX_INTERVAL_KWH, MAX_REGISTER_KWH
from fleetmeter.readings.telemetry import NUMBERS, TEXTS, Telemetry, attribute
from fleetmeter.readings.units import dimension_of

_MOST_DEVICES, _LONGEST_ID = 100_000, 64
"""Devices whose latest values are remembered, and the characters of their ids; readings with longer
ones are refused."""

_TEXTS = [attribute(name) for name in TEXTS]
_NUMBERS = [attribute(name) for name in NUMBERS]
_HIGHEST_KWH = {
    attribute(name): MAX_REGISTER_KWH if name.endswith("Total") else MAX_INTERVAL_KWH
    for name in NUMBERS
    if dimension_of(name) == "kWh"
}
_EPOCH = datetime.fromtimestamp(0, UTC)


class Stamps:
    """Stamps readings, and remembers what each device sent in its latest second."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str | None, ...], tuple[datetime, dict[str, float]]] = {}

    def stamp(self, arriving: Arriving, arrived: datetime) -> Telemetry:
        """Return a reading with its time; `arrived` is when its message did."""
        reading, resolution_s = arriving
        time = rounded_down(arrived, resolution_s)
        device = tuple(getattr(reading, name) for name in _TEXTS)
        if any(len(text) > _LONGEST_ID for text in device if text is not None):
            reading.timestamp = time
            return reading
        values = values_of(reading)
        at, known = self._latest.get(device, (_EPOCH, {}))
        if at < time:
            if device not in self._latest and len(self._latest) >= _MOST_DEVICES:
                self._latest.clear()
            self._latest[device] = time, values
        elif at == time and any(known.get(name, value) != value for name, value in values.items()):
            time = arrived
        elif at == time:
            known |= values
        reading.timestamp = time
        return reading


def rounded_down(time: datetime, resolution_s: float) -> datetime:
    """Return the last multiple of a resolution, counted from 1970 on."""
    step = timedelta(seconds=resolution_s)
    return time - (time - _EPOCH) % step


def values_of(reading: Telemetry) -> dict[str, float]:
    """Return the measurements that a reading has."""
    given = ((name, getattr(reading, name)) for name in _NUMBERS)
    return {name: value for name, value in given if value is not None}


def _is_refused(values: dict[str, float]) -> bool:
    """Return whether an energy among some values costs all of them."""
    return any(
        f"{name}_total" in values or not 0 <= values[name] <= highest
        for name, highest in _HIGHEST_KWH.items()
        if name in values
    )


class Gathering:
    """Puts readings together that complete each other, in the order of the first of each."""

    def __init__(self) -> None:
        self.readings: list[Telemetry] = []
        self._places: dict[tuple[Any, ...], int] = {}

    def add(self, reading: Telemetry) -> None:
        """Add a reading to one of its device and time that lacks its values, or by itself.

        One that will be refused stays by itself, so that it costs no other.
        """
        key = (reading.timestamp, *(getattr(reading, name) for name in _TEXTS))
        place = self._places.setdefault(key, len(self.readings))
        if place == len(self.readings):
            self.readings.append(reading)
            return
        other = self.readings[place]
        values = values_of(reading)
        if any(
            getattr(other, name) not in (None, value) for name, value in values.items()
        ) or _is_refused(values_of(other) | values):
            self.readings.append(reading)  # whoever stores them decides
            return
        for name, value in values.items():
            setattr(other, name, value)
