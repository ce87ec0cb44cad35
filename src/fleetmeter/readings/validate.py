"""One item of a batch: what kind of reading it is, and whether its values can be true."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec

from fleetmeter.readings.ids import DEVICE_ID_RULE, is_device_id
from fleetmeter.readings.model import (
    EPOCH,
    MAX_AHEAD_S,
    MAX_BATTERY_TEMP,
    MAX_KWH,
    MAX_REGISTER_KWH,
    MAX_VOLTAGE,
    MICROSECOND,
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
    kwh_delivered_dc_total: float | None = None
    kwh_consumed_ac: float | None = None
    kwh_consumed_ac_total: float | None = None
    voltage: float | None = None
    timestamp: datetime | None = None


class Bounds(NamedTuple):
    """Between which times a reading is taken, both included."""

    vehicles_since: datetime
    meters_since: datetime
    latest: datetime

    @classmethod
    def at(cls, now: datetime, retention_days: int, kept_since: Mapping[str, datetime]) -> "Bounds":
        """What may be taken `now`; `kept_since`: from when on history is whole, by table."""
        oldest = now - timedelta(days=retention_days)
        return cls(
            vehicles_since=max(oldest, kept_since["vehicle_readings"]),
            meters_since=max(oldest, kept_since["meter_readings"]),
            latest=now + timedelta(seconds=MAX_AHEAD_S),
        )


class Invalid(Exception):  # noqa: N818 - an outcome of an item, not an error of the service
    """An item that is not a reading: a stable code, a sentence and the JSON path of the field."""

    def __init__(self, code: str, detail: str, path: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.path = path


def vehicle_row(item: Telemetry, bounds: Bounds) -> VehicleRow:
    """The row of an item that has a vehicleId, values rounded to the nearest unit. Raises Invalid.

    Every reading goes through here: what is right is seen at once, what is wrong is found after.
    """
    vehicle_id, meter_id = item.vehicle_id, item.meter_id
    kwh, soc, temp, time = item.kwh_delivered_dc, item.soc, item.battery_temp, item.timestamp
    most = MAX_KWH
    if (total := item.kwh_delivered_dc_total) is not None:
        _check_one_energy(kwh, "kwhDeliveredDc")
        kwh, most = total, MAX_REGISTER_KWH
    if (
        vehicle_id is not None
        and kwh is not None
        and soc is not None
        and temp is not None
        and time is not None
        and time.tzinfo is not None
        and item.kwh_consumed_ac is None
        and item.kwh_consumed_ac_total is None
        and item.voltage is None
        and 0 <= kwh <= most
        and 0 <= soc <= 100
        and MIN_BATTERY_TEMP <= temp <= MAX_BATTERY_TEMP
        and bounds.vehicles_since <= time <= bounds.latest
        and _is_device_id(vehicle_id)
        and (meter_id is None or _is_device_id(meter_id))
    ):
        return (
            vehicle_id,
            (time - EPOCH) // MICROSECOND,
            round(kwh * 1_000_000),
            round(soc * 100),
            round(temp * 100),
            meter_id,
            meter_id is not None,
        )
    if (
        item.kwh_consumed_ac is not None
        or item.kwh_consumed_ac_total is not None
        or item.voltage is not None
    ):
        raise Invalid(
            "contradictory",
            "has vehicleId, but kwhConsumedAc, kwhConsumedAcTotal or voltage too; "
            "send the meter's reading as an item of its own",
        )
    _check_id(vehicle_id, "vehicleId")
    _check_time(time, bounds.vehicles_since, bounds.latest)
    _check_number(kwh, f"kwhDeliveredDc{'' if total is None else 'Total'}", 0, most)
    _check_number(soc, "soc", 0, 100)
    _check_number(temp, "batteryTemp", MIN_BATTERY_TEMP, MAX_BATTERY_TEMP)
    if meter_id is not None:
        _check_id(meter_id, "meterId")
    raise AssertionError("a reading was refused for no reason")


def meter_row(item: Telemetry, bounds: Bounds) -> MeterRow:
    """The row of an item without vehicleId, values rounded to the nearest unit. Raises Invalid."""
    meter_id, kwh, voltage, time = (
        item.meter_id,
        item.kwh_consumed_ac,
        item.voltage,
        item.timestamp,
    )
    most = MAX_KWH
    if (total := item.kwh_consumed_ac_total) is not None:
        _check_one_energy(kwh, "kwhConsumedAc")
        kwh, most = total, MAX_REGISTER_KWH
    if (
        meter_id is not None
        and kwh is not None
        and voltage is not None
        and time is not None
        and time.tzinfo is not None
        and item.kwh_delivered_dc is None
        and item.kwh_delivered_dc_total is None
        and item.soc is None
        and item.battery_temp is None
        and 0 <= kwh <= most
        and 0 <= voltage <= MAX_VOLTAGE
        and bounds.meters_since <= time <= bounds.latest
        and _is_device_id(meter_id)
    ):
        return (
            meter_id,
            (time - EPOCH) // MICROSECOND,
            round(kwh * 1_000_000),
            round(voltage * 1000),
        )
    if meter_id is None:
        raise Invalid("unknown_kind", "has neither vehicleId nor meterId")
    if (
        item.kwh_delivered_dc is not None
        or item.kwh_delivered_dc_total is not None
        or item.soc is not None
        or item.battery_temp is not None
    ):
        raise Invalid(
            "contradictory",
            "has a vehicle's fields (soc, kwhDeliveredDc, batteryTemp) but no vehicleId",
        )
    _check_id(meter_id, "meterId")
    _check_time(time, bounds.meters_since, bounds.latest)
    _check_number(kwh, f"kwhConsumedAc{'' if total is None else 'Total'}", 0, most)
    _check_number(voltage, "voltage", 0, MAX_VOLTAGE)
    raise AssertionError("a reading was refused for no reason")


def _check_one_energy(kwh: float | None, field: str) -> None:
    if kwh is not None:
        raise Invalid(
            "mixed_energy",
            f"has {field} and {field}Total; send the interval's energy or the register, not both",
            f"$.{field}Total",
        )


@lru_cache(1 << 17)
def _matches(value: str) -> bool:
    return is_device_id(value)


def _is_device_id(value: str) -> bool:
    return len(value) <= 64 and _matches(value)  # nothing longer is remembered


def _check_id(value: str | None, field: str) -> None:
    if value is None or not _is_device_id(value):
        raise Invalid("invalid_id", f"{field} {DEVICE_ID_RULE}", f"$.{field}")


def _check_number(value: float | None, field: str, low: float, high: float) -> None:
    if value is None:
        raise Invalid("missing_field", f"{field} is missing", f"$.{field}")
    if not low <= value <= high:  # false for NaN too
        raise Invalid(
            "out_of_range", f"{field} is {value:g}; it must be from {low} to {high}", f"$.{field}"
        )


def _check_time(value: datetime | None, oldest: datetime, latest: datetime) -> None:
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


def _rfc3339(value: datetime) -> str:
    return value.isoformat(timespec="seconds").replace("+00:00", "Z")
