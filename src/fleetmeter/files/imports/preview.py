"""Dry run: shows what an import would store, without a database."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from fleetmeter.files.blocks import Position
from fleetmeter.files.imports.csv_lines import SourceError
from fleetmeter.files.imports.run import Import, notes_of
from fleetmeter.files.imports.sources import UNREADABLE
from fleetmeter.readings.kinds import DeviceKind
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import MWH, Bounds, Invalid, Reading, checked
from fleetmeter.terminal import say

_SHOWN = 10
"""Maximum number of readings, and of wrong lines, that are shown."""

_MOST_DEVICES = 1000
_SINCE_2000_US = 946_684_800_000_000


class _Device(msgspec.Struct):
    """The readings of one device in a file."""

    kind: DeviceKind
    readings: int = 0
    first: int = 2**62
    last: int = -(2**62)
    energy_mwh: int | None = None
    """The sum of its interval energy."""
    registers: tuple[int, int] | None = None
    """First and last value of its register."""

    def add(self, reading: Reading) -> None:
        """Count a reading."""
        self.readings += 1
        if reading.energy_mwh is not None:
            self.energy_mwh = (self.energy_mwh or 0) + reading.energy_mwh
        if (shown := reading.register_mwh) is not None:
            first, last = self.registers or (shown, shown)
            if reading.time <= self.first:
                first = shown
            if reading.time >= self.last:
                last = shown
            self.registers = (first, last)
        self.first, self.last = min(self.first, reading.time), max(self.last, reading.time)

    def __str__(self) -> str:
        """Return the number of readings and their period."""
        said = [f"{self.readings:,} readings from {_rfc3339(self.first)} to {_rfc3339(self.last)}"]
        energy = self.kind.energy
        if self.energy_mwh is not None:
            said.append(f"{energy.field} {self.energy_mwh / MWH:,.6f} in all")
        if self.registers is not None:
            first, last = (each / MWH for each in self.registers)
            said.append(
                f"{energy.register_field} from {first:,.6f} to {last:,.6f}, which is "
                f"{last - first:,.6f}"
            )
        return "; ".join(said)


class Preview:
    """Totals of the files so far."""

    def __init__(self, retention_days: int) -> None:
        now = datetime.now(UTC)
        self._bounds = Bounds.at(now, retention_days, datetime.min.replace(tzinfo=UTC))
        self._retention_days = retention_days

    def show(self, each: Import) -> bool:
        """Show a file; return whether all of it would be taken. Raises MappingError."""
        devices: dict[tuple[str, str], _Device] = {}
        wrong: list[str] = []
        shown = refused = too_old = 0
        try:
            for number, item in _items(each):
                reading = self._checked(item)
                if isinstance(reading, Invalid):
                    refused += 1
                    too_old += reading.code == "too_old"
                    if len(wrong) < _SHOWN:
                        wrong.append(f"  {number}: {reading.code}: {reading.detail}")
                    continue
                key = (reading.kind.name, reading.id)
                if key not in devices and len(devices) >= _MOST_DEVICES:
                    key = (reading.kind.name, "(others)")
                devices.setdefault(key, _Device(reading.kind)).add(reading)
                if shown < _SHOWN:
                    shown += 1
                    say(msgspec.json.encode(stored(reading)).decode())
        except SourceError as error:
            say(f"{each.path}: {error}", err=True)
            return False
        say(f"{each.path}: a dry run, nothing was stored", err=True)
        for (kind, id_), device in devices.items():
            say(f"{kind} {id_}: {device}", err=True)
        if refused:
            say(f"{refused:,} would be rejected; by line, the first of them:", err=True)
            say("\n".join(wrong), err=True)
        if too_old:
            say(
                f"{too_old:,} are older than the {self._retention_days} days that are kept; "
                "FLEETMETER_RETENTION_DAYS sets that, before the database is made",
                err=True,
            )
        if not devices:
            say("no reading would be stored", err=True)
        return bool(devices) and not refused

    def _checked(self, item: Telemetry | Invalid) -> Reading | Invalid:
        if isinstance(item, Invalid):
            return item
        try:
            return checked(item, self._bounds)
        except Invalid as invalid:
            return invalid


def _items(each: Import) -> Iterator[tuple[int, Telemetry | Invalid]]:
    """Yield a file's items with line numbers. Raises SourceError and MappingError."""
    with each.path.open("rb") as file:
        try:
            _, source = each.opened(file)
        except (*UNREADABLE, OSError) as error:
            raise SourceError(f"it cannot be read: {error}") from None
        for note in notes_of(source):
            say(f"{each.path}: {note}", err=True)
        blocks = source.blocks(Position())
        while True:
            try:
                block = next(blocks, None)
            except (*UNREADABLE, OSError) as error:
                raise SourceError(f"it cannot be read: {error}") from None
            if block is None:
                break
            yield from zip(block.numbers, block.items, strict=True)
        if left_out := getattr(source, "left_out", 0):
            say(f"{each.path}: {left_out:,} rows left out: nothing in them is wanted", err=True)


def stored(reading: Reading) -> dict[str, Any]:
    """Return a reading as it is stored, in units of the wire."""
    kind = reading.kind
    found: dict[str, Any] = {kind.id_field: reading.id}
    if kind.charges and reading.meter_id is not None:
        found["meterId"] = reading.meter_id
    if reading.interval_start is not None:
        found["intervalStart"] = _rfc3339(reading.interval_start)
    found["timestamp"] = _rfc3339(reading.time)
    if reading.energy_mwh is not None:
        found[kind.energy.field] = reading.energy_mwh / MWH
    if reading.register_mwh is not None:
        found[kind.energy.register_field] = reading.register_mwh / MWH
    for measurement, value in zip(kind.measurements, reading.values, strict=True):
        if value is not None:
            found[measurement.field] = value / measurement.scale
    return found


def _rfc3339(since_2000_us: int) -> str:
    time = datetime.fromtimestamp((since_2000_us + _SINCE_2000_US) // 1_000_000, UTC)
    fraction = since_2000_us % 1_000_000
    text = time.isoformat(timespec="seconds").removesuffix("+00:00")
    return f"{text}.{fraction:06}Z" if fraction else f"{text}Z"
