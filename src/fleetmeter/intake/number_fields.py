"""The fields that are numbers: where each stands in an item and in the matrix, and its bounds."""

from typing import NamedTuple

from fleetmeter.intake.rows import ENERGY, REGISTER, VALUES
from fleetmeter.readings.kinds import (
    KINDS,
    MAX_INTERVAL_KWH,
    MAX_REGISTER_KWH,
    PLACES,
    DeviceKind,
    Measurement,
)
from fleetmeter.readings.telemetry import FIELDS, NUMBERS
from fleetmeter.readings.validate import MWH


class NumberField(NamedTuple):
    """A field that is a number: where it stands and goes, and what it may be."""

    place: int
    row: int
    scale: int
    low: float
    high: float
    measurement: Measurement | None
    """None: it is the energy that a device is there for."""
    other: int
    """The row of the other form of the same energy, of an interval or a register; -1: none."""

    @property
    def is_energy(self) -> bool:
        """Return whether a value that cannot be costs the whole reading."""
        return self.measurement is None or self.measurement.is_energy


def _fields_of(kind: DeviceKind) -> list[NumberField]:
    energy = kind.energy
    fields = [
        NumberField(FIELDS.index(name), row, MWH, 0, high, None, other)
        for name, row, high, other in (
            (energy.field, ENERGY, MAX_INTERVAL_KWH, REGISTER),
            (energy.register_field, REGISTER, MAX_REGISTER_KWH, ENERGY),
        )
    ]
    rows = {each.field: VALUES + PLACES[each.column] for each in kind.measurements}
    for each in kind.measurements:
        total = f"{each.field}Total"
        other = rows.get(total, rows.get(each.field.removesuffix("Total"), -1))
        row = rows[each.field]
        fields.append(
            NumberField(
                FIELDS.index(each.field),
                row,
                each.scale,
                each.low,
                each.high,
                each,
                other if other != row else -1,
            )
        )
    return fields


NUMBER_FIELDS = [_fields_of(kind) for kind in KINDS]
"""The fields of each kind."""

FOREIGN = [[FIELDS.index(field) for field in NUMBERS if field not in kind.fields] for kind in KINDS]
"""The places of the fields that each kind does not have."""
