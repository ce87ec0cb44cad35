"""Checks one reading: which kind of device sent it, and whether its values can be true.

Batches are checked a column at a time (intake/batch_columns.py); what is wrong there comes here,
item by item, and gets its code and a sentence.
"""

from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from fleetmeter.readings.ids import (
    DEVICE_ID_RULE,
    SESSION_ID_RULE,
    is_device_id,
    is_session_id,
)
from fleetmeter.readings.kinds import (
    KINDS,
    MAX_INTERVAL_KWH,
    MAX_REGISTER_KWH,
    METER,
    SESSION,
    DeviceKind,
    Measurement,
)
from fleetmeter.readings.model import (
    MAX_AHEAD_S,
    Rejection,
    microseconds,
)
from fleetmeter.readings.telemetry import Telemetry, attribute

MWH = 1_000_000
"""Milliwatt-hours of a kWh."""

MAX_INTERVAL_US = 400 * 86_400 * 1_000_000
"""Longest interval that a reading may state, microseconds."""


class Bounds(NamedTuple):
    """The times between which a reading is accepted, both included."""

    since: datetime
    latest: datetime

    @classmethod
    def at(cls, now: datetime, retention_days: int, kept_since: datetime) -> "Bounds":
        """Return the bounds at `now`; `kept_since` is from when on history is whole."""
        return cls(
            since=max(now - timedelta(days=retention_days), kept_since),
            latest=now + timedelta(seconds=MAX_AHEAD_S),
        )


class Invalid(Exception):  # noqa: N818 - an outcome of an item, not an error of the service
    """An item that is not a reading: a stable code, a sentence and the JSON path of the field."""

    __slots__ = ("code", "detail", "path", "sent")

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.path = path
        self.sent: bytes = b""
        """The item, where it could not be decoded; its beginning, if it was long."""


def invalid_item(item: int, invalid: Invalid) -> Rejection:
    """Return what is wrong with an item, as an outcome."""
    return Rejection(item, invalid.code, invalid.detail, invalid.path)


class Reading(NamedTuple):
    """A reading in stored units. Its energy is interval energy or what a register shows."""

    kind: DeviceKind
    id: str
    time: int
    """Microseconds since 2000."""

    energy_mwh: int | None
    register_mwh: int | None
    meter_id: str | None
    """The meter that the reading named, of a kind that charges."""

    interval_start: int | None
    """Start of its interval, if stated, microseconds since 2000."""

    values: tuple[int | None, ...]
    """The values of the kind's measurements, in their order; None is absent."""

    session_id: str | None = None
    """The plug-in or transaction that it belongs to."""

    dropped: tuple[Invalid, ...] = ()
    """Reasons why values of measurements were left out."""


def checked(item: Telemetry, bounds: Bounds) -> Reading:
    """Return an item in stored units, values rounded to the nearest unit. Raises Invalid."""
    kind = next(
        (kind for kind in KINDS if getattr(item, attribute(kind.id_field)) is not None), None
    )
    if kind is None:
        raise Invalid("unknown_kind", f"has neither {' nor '.join(k.id_field for k in KINDS)}")
    _check_fields(item, kind)
    _check_one_energy(item, kind)
    energy = kind.energy
    interval: float | None = getattr(item, attribute(energy.field))
    total: float | None = getattr(item, attribute(energy.register_field))
    device_id: str = getattr(item, attribute(kind.id_field))
    _check_id(device_id, kind.id_field)
    time = _checked_time(item.timestamp, bounds)
    energy_mwh = register_mwh = interval_start = None
    if interval is not None:
        energy_mwh = _energy(interval, energy.field, MAX_INTERVAL_KWH)
    if total is not None:
        register_mwh = _energy(total, energy.register_field, MAX_REGISTER_KWH)
    dropped: list[Invalid] = []
    values = tuple(_value(item, each, dropped) for each in kind.measurements)
    if (energy_mwh, register_mwh, *values).count(None) == len(values) + 2:
        if dropped:
            raise dropped[0]
        raise Invalid(
            "missing_field",
            f"has no measurement; send {energy.field}, {energy.register_field} or "
            "another measurement",
        )
    session_id = item.session_id
    if session_id is not None and (invalid := unusable(SESSION, session_id)) is not None:
        dropped.append(invalid)
        session_id = None
    meter_id = item.meter_id if kind.charges else None
    if meter_id is not None:
        _check_id(meter_id, METER.id_field)
    if item.interval_start is not None:
        interval_start = _checked_start(item.interval_start, time)
    return Reading(
        kind,
        device_id,
        time,
        energy_mwh,
        register_mwh,
        meter_id,
        interval_start,
        values,
        session_id,
        tuple(dropped),
    )


def _check_one_energy(item: Telemetry, kind: DeviceKind) -> None:
    """Raise Invalid for an energy that is given as both, of the interval and as a register."""
    for field in kind.fields:
        total = f"{field}Total"
        if total not in kind.fields or None in (
            getattr(item, attribute(field)),
            getattr(item, attribute(total)),
        ):
            continue
        raise Invalid(
            "mixed_energy",
            f"has {field} and {total}; send the interval's energy or the register, not both",
            f"$.{total}",
        )


@cache
def _of_others(kind: DeviceKind) -> tuple[str, ...]:
    """Return the attributes that only other kinds have."""
    return tuple(
        attribute(field)
        for other in KINDS
        if other is not kind
        for field in other.fields
        if field not in kind.fields
    )


def _check_fields(item: Telemetry, kind: DeviceKind) -> None:
    """Raise Invalid for a field that only another kind has."""
    if all(getattr(item, name) is None for name in _of_others(kind)):
        return
    if kind is METER:
        raise Invalid(
            "contradictory",
            "has a vehicle's fields (soc, kwhDeliveredDc, batteryTemp) but no vehicleId",
        )
    raise Invalid(
        "contradictory",
        "has vehicleId, but kwhConsumedAc, kwhConsumedAcTotal or voltage too; "
        "send the meter's reading as an item of its own",
    )


def _check_id(value: str, field: str) -> None:
    if not is_device_id(value):
        raise invalid_id(field)


def invalid_id(field: str) -> Invalid:
    """Return what is wrong with what is no id of a device."""
    return Invalid("invalid_id", f"{field} {DEVICE_ID_RULE}", f"$.{field}")


def _energy(value: float, field: str, high: float) -> int:
    if not 0 <= value <= high:  # false for NaN too
        raise out_of_range(field, value, 0, high)
    return round(value * MWH)


def _value(item: Telemetry, measurement: Measurement, dropped: list[Invalid]) -> int | None:
    """Return a measurement's value; None for one that cannot be, which is noted."""
    value: float | None = getattr(item, attribute(measurement.field))
    if value is None:
        return None
    if (invalid := unusable(measurement, value)) is not None:
        if measurement.is_energy:
            raise invalid
        dropped.append(invalid)
        return None
    return round(value * measurement.scale)


def unusable(measurement: Measurement, value: float | str) -> Invalid | None:
    """Return why a value is impossible, or None if it is possible."""
    field = measurement.field
    if isinstance(value, str):
        if is_session_id(value):
            return None
        return Invalid("invalid_id", f"{field} {SESSION_ID_RULE}", f"$.{field}")
    if value in measurement.not_available:
        detail = f"{field} is {value:g}, which devices send when it is not available"
        return Invalid("out_of_range", detail, f"$.{field}")
    if not measurement.low <= value <= measurement.high:  # false for NaN too
        return out_of_range(field, value, measurement.low, measurement.high)
    return None


def out_of_range(field: str, value: float, low: float, high: float) -> Invalid:
    """Return what is wrong with a value outside of its bounds."""
    return Invalid(
        "out_of_range", f"{field} is {value:g}; it must be from {low} to {high}", f"$.{field}"
    )


def _checked_time(value: datetime | None, bounds: Bounds) -> int:
    if value is None:
        raise Invalid("missing_field", "timestamp is missing", "$.timestamp")
    if value.tzinfo is None:
        raise Invalid(
            "invalid_timestamp",
            "timestamp has no offset; end it with Z or ±hh:mm",
            "$.timestamp",
        )
    if value < bounds.since:
        raise Invalid(
            "too_old",
            f"timestamp is older than what is kept; the oldest is {_rfc3339(bounds.since)}",
            "$.timestamp",
        )
    if value > bounds.latest:
        raise Invalid(
            "in_future",
            f"timestamp is more than {MAX_AHEAD_S // 60} minutes ahead; "
            f"the latest is {_rfc3339(bounds.latest)}",
            "$.timestamp",
        )
    return microseconds(value)


def _checked_start(value: datetime, time: int) -> int:
    if value.tzinfo is None:
        raise Invalid(
            "invalid_timestamp",
            "intervalStart has no offset; end it with Z or ±hh:mm",
            "$.intervalStart",
        )
    start = microseconds(value)
    if not time - MAX_INTERVAL_US <= start < time:
        raise Invalid(
            "out_of_range",
            "intervalStart must be before timestamp, by at most 400 days",
            "$.intervalStart",
        )
    return start


def _rfc3339(value: datetime) -> str:
    return value.isoformat(timespec="seconds").replace("+00:00", "Z")
