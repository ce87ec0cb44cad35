"""One item of a batch: what kind of reading it is, and whether its values can be true."""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from fleetmeter.readings.model import (
    DEVICE_ID,
    DEVICE_ID_RULE,
    MAX_AHEAD_S,
    MAX_BATTERY_TEMP,
    MAX_KWH,
    MAX_VOLTAGE,
    MIN_BATTERY_TEMP,
    MeterRow,
    VehicleRow,
)


class Telemetry(msgspec.Struct, rename="camel", gc=False):
    """Either kind of reading as it comes off the wire; null is the same as absent.

    Unknown fields are ignored, so newer firmware keeps working.
    """

    vehicle_id: str | None = None
    meter_id: str | None = None
    soc: float | None = None
    kwh_delivered_dc: float | None = None
    battery_temp: float | None = None
    kwh_consumed_ac: float | None = None
    voltage: float | None = None
    timestamp: datetime | None = None


class Bounds(NamedTuple):
    """Between which times a reading is taken, both included."""

    vehicles_since: datetime
    meters_since: datetime
    latest: datetime


class Invalid(Exception):  # noqa: N818 - an outcome of an item, not an error of the service
    """An item that is not a reading: a stable code, a sentence and the JSON path of the field."""

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.path = path


def validate(item: Telemetry, bounds: Bounds) -> VehicleRow | MeterRow:
    """The row of a valid reading, in stored units (rounded to the nearest). Raises Invalid."""
    if item.vehicle_id is not None:
        if item.kwh_consumed_ac is not None or item.voltage is not None:
            raise Invalid(
                "contradictory",
                "has vehicleId, but kwhConsumedAc or voltage too; "
                "send the meter's reading as an item of its own",
            )
        return VehicleRow(
            _device_id(item.vehicle_id, "vehicleId"),
            _time(item.timestamp, bounds.vehicles_since, bounds.latest),
            round(_number(item.kwh_delivered_dc, "kwhDeliveredDc", 0, MAX_KWH) * 1_000_000),
            round(_number(item.soc, "soc", 0, 100) * 100),
            round(
                _number(item.battery_temp, "batteryTemp", MIN_BATTERY_TEMP, MAX_BATTERY_TEMP) * 100
            ),
            None if item.meter_id is None else _device_id(item.meter_id, "meterId"),
            item.meter_id is not None,
        )
    if item.meter_id is not None:
        if (
            item.kwh_delivered_dc is not None
            or item.soc is not None
            or item.battery_temp is not None
        ):
            raise Invalid(
                "contradictory",
                "has a vehicle's fields (soc, kwhDeliveredDc, batteryTemp) but no vehicleId",
            )
        return MeterRow(
            _device_id(item.meter_id, "meterId"),
            _time(item.timestamp, bounds.meters_since, bounds.latest),
            round(_number(item.kwh_consumed_ac, "kwhConsumedAc", 0, MAX_KWH) * 1_000_000),
            round(_number(item.voltage, "voltage", 0, MAX_VOLTAGE) * 1000),
        )
    raise Invalid("unknown_kind", "has neither vehicleId nor meterId")


def _device_id(value: str, field: str) -> str:
    if DEVICE_ID.fullmatch(value) is None:
        raise Invalid(
            "invalid_id",
            f"{field} {DEVICE_ID_RULE}",
            f"$.{field}",
        )
    return value


def _number(value: float | None, field: str, low: float, high: float) -> float:
    if value is None:
        raise Invalid("missing_field", f"{field} is missing", f"$.{field}")
    if not low <= value <= high:  # false for NaN too
        raise Invalid(
            "out_of_range", f"{field} is {value:g}; it must be from {low} to {high}", f"$.{field}"
        )
    return value


def _time(value: datetime | None, oldest: datetime, latest: datetime) -> datetime:
    if value is None:
        raise Invalid("missing_field", "timestamp is missing", "$.timestamp")
    if value.tzinfo is None:
        raise Invalid(
            "invalid_timestamp",
            "timestamp has no offset; end it with Z or ±hh:mm",
            "$.timestamp",
        )
    if value < oldest:
        raise Invalid(
            "too_old",
            f"timestamp is older than what is kept; the oldest is {_rfc3339(oldest)}",
            "$.timestamp",
        )
    if value > latest:
        raise Invalid(
            "in_future",
            f"timestamp is more than {MAX_AHEAD_S // 60} minutes ahead; "
            f"the latest is {_rfc3339(latest)}",
            "$.timestamp",
        )
    return value.astimezone(UTC)


def _rfc3339(value: datetime) -> str:
    return value.isoformat(timespec="seconds").replace("+00:00", "Z")
