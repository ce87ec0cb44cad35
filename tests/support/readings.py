"""What a request body becomes, without a database: readings in stored units, and outcomes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from fleetmeter.intake.batch_columns import columns_of
from fleetmeter.intake.numbering import unnumbered
from fleetmeter.intake.outcomes import rejection_of
from fleetmeter.intake.rows import ENERGY, NULL, REGISTER, START, TIME, VALUES
from fleetmeter.readings.decode import BatchDecoder, BodyFormat
from fleetmeter.readings.kinds import MEASUREMENTS, PLACES, SESSION
from fleetmeter.readings.model import Rejection
from fleetmeter.readings.telemetry import Telemetry
from fleetmeter.readings.validate import Bounds, Invalid, Reading, checked, invalid_item
from fleetmeter.slices import at_once

NOW = datetime(2026, 2, 9, 10, 0, 30, tzinfo=UTC)
AT = datetime(2026, 2, 9, 10, 0, tzinfo=UTC)
BOUNDS = Bounds(NOW - timedelta(days=400), NOW + timedelta(minutes=5))
VEHICLE = {
    "vehicleId": "EV-1",
    "soc": 72,
    "kwhDeliveredDc": 1.2,
    "batteryTemp": 36,
    "timestamp": "2026-02-09T10:00:00Z",
}
METER = {
    "meterId": "MTR-1",
    "kwhConsumedAc": 1.5,
    "voltage": 230,
    "timestamp": "2026-02-09T10:00:00Z",
}


class Decoded(NamedTuple):
    """A batch: the readings that are right, as they came, and what is wrong with the rest."""

    readings: list[Reading]
    rejected: list[Rejection]

    def of(self, kind: str) -> list[Reading]:
        """The readings of a kind of device."""
        return [reading for reading in self.readings if reading.kind.name == kind]


def decoded(body: Any, max_batch: int = 100, format_: BodyFormat = "json") -> Decoded:
    """Decode a body, whole, and check it."""
    decoder = BatchDecoder(format_, max_batch)
    at_once(decoder.feed(body if isinstance(body, bytes) else json.dumps(body).encode()))
    return judged(at_once(decoder.finish()))


def judged(items: list[Telemetry | Invalid], bounds: Bounds = BOUNDS) -> Decoded:
    """Check items by columns, and each by itself: both must agree."""
    rejected = [invalid_item(n, item) for n, item in enumerate(items) if isinstance(item, Invalid)]
    places = [n for n, item in enumerate(items) if isinstance(item, Telemetry)]
    readings = [item for item in items if isinstance(item, Telemetry)]
    right = []
    if readings:
        columns = columns_of(readings, bounds)
        unnumbered(columns)
        for number, (place, reading) in enumerate(zip(places, readings, strict=True)):
            if columns.wrong[number]:
                rejected.append(rejection_of(place, reading, bounds))
            else:
                right.append(checked(reading, bounds))
                left_out = [f"$.{each.field}" for n, each in columns.dropped if n == number]
                assert left_out == [each.path for each in right[-1].dropped]
                assert columns.rows[:, number].tolist()[TIME:] == as_column(right[-1])
    return Decoded(right, sorted(rejected, key=lambda item: item.index))


def as_column(reading: Reading) -> list[int]:
    """What stands below TIME, and TIME, in a reading's column."""
    column = np.full(VALUES + len(MEASUREMENTS), NULL, np.int64)
    column[TIME] = reading.time
    if reading.interval_start is not None:
        column[START] = reading.interval_start
    if reading.energy_mwh is not None:
        column[ENERGY] = reading.energy_mwh
    if reading.register_mwh is not None:
        column[REGISTER] = reading.register_mwh
    if reading.interval_start is not None:
        column[START] = reading.interval_start
    if reading.session_id is not None:
        column[VALUES + PLACES[SESSION.column]] = 0  # it has no number yet
    for measurement, value in zip(reading.kind.measurements, reading.values, strict=True):
        if value is not None:
            column[VALUES + PLACES[measurement.column]] = value
    return column.tolist()[TIME:]


def rejection(body: Any) -> tuple[str, str]:
    """Code and path of the only item, which is wrong."""
    batch = decoded(body)
    assert not batch.readings
    assert len(batch.rejected) == 1
    return batch.rejected[0].code, batch.rejected[0].path
