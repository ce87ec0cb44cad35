"""POST /v1/corrections: replaces the values of a stored reading, and keeps what it had."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from asyncpg import Record
from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.status_codes import HTTP_404_NOT_FOUND, HTTP_409_CONFLICT
from msgspec import UNSET, Meta, UnsetType

from fleetmeter.api.parameters import check_printable, check_time, refuse_unknown_parameters
from fleetmeter.database.pool import Connection, Database, retried
from fleetmeter.database.sql import queries
from fleetmeter.problems import invalid_parameter, problem
from fleetmeter.readings.model import (
    DeviceId,
    MeterReading,
    MeterRow,
    Timestamp,
    VehicleReading,
    VehicleRow,
    rfc3339,
)
from fleetmeter.readings.stored import (
    meter_as_sent,
    meter_fields,
    meter_telemetry,
    vehicle_as_sent,
    vehicle_fields,
    vehicle_telemetry,
)
from fleetmeter.readings.validate import Bounds, Invalid, Telemetry, meter_row, vehicle_row

MOST_VERSIONS = 100
"""Of one reading."""

Who = Annotated[str, Meta(min_length=1, max_length=200, examples=["anna@example.com"])]
Reason = Annotated[
    str, Meta(min_length=1, max_length=1000, examples=["the meter's factor was set wrong"])
]


class Correction(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Which reading, its new values (what is absent stays as it is), by whom and why."""

    vehicle_id: DeviceId | UnsetType = UNSET
    meter_id: (
        Annotated[
            DeviceId | None,
            Meta(
                description="Without vehicleId, whose reading it is. With it, the meter that the "
                "vehicle charged from; null: the assigned one."
            ),
        ]
        | UnsetType
    ) = UNSET
    timestamp: Timestamp
    kwh_delivered_dc: float | UnsetType = UNSET
    kwh_delivered_dc_total: float | UnsetType = UNSET
    soc: float | UnsetType = UNSET
    battery_temp: float | UnsetType = UNSET
    kwh_consumed_ac: float | UnsetType = UNSET
    kwh_consumed_ac_total: float | UnsetType = UNSET
    voltage: float | UnsetType = UNSET
    who: Who
    reason: Reason


class Corrected(msgspec.Struct, rename="camel", kw_only=True):
    """What a correction did."""

    version: Annotated[
        int, Meta(description="Of this reading; 1 is what the device sent.", examples=[2])
    ]
    changed: Annotated[
        bool, Meta(description="False when it had these values already: nothing was replaced.")
    ]


class CorrectedVehicle(Corrected, kw_only=True):
    """A vehicle's reading as it stands now."""

    reading: VehicleReading


class CorrectedMeter(Corrected, kw_only=True):
    """A meter's reading as it stands now."""

    reading: MeterReading


@post("/", status_code=200, summary="Replace the values of a stored reading")
async def correct(
    database: NamedDependency[Database], data: JSONBody[Correction]
) -> CorrectedVehicle | CorrectedMeter:
    """What it had stays as a version; live state and rollups follow. Sending it again is safe."""
    check_printable("$.who", data.who)
    check_printable("$.reason", data.reason)
    time = check_time("$.timestamp", data.timestamp)
    vehicle_id, meter_id = data.vehicle_id, data.meter_id
    if vehicle_id is UNSET and not isinstance(meter_id, str):
        raise invalid_parameter("$", "has neither vehicleId nor meterId")

    async def run() -> CorrectedVehicle | CorrectedMeter:
        async with database.transaction() as connection:
            if vehicle_id is not UNSET:
                return await _correct_vehicle(connection, vehicle_id, time, data)
            return await _correct_meter(connection, str(meter_id), time, data)

    return await retried(run)


async def _correct_vehicle(
    connection: Connection, vehicle_id: str, time: datetime, data: Correction
) -> CorrectedVehicle:
    await queries.begin_correction(connection, kind="vehicle", device_id=vehicle_id)
    stored = await queries.vehicle_reading(connection, vehicle_id=vehicle_id, time=time)
    if stored is None:
        raise _no_reading(vehicle_id, time)
    _check_kind(stored, data)
    row: VehicleRow = _checked(vehicle_row, vehicle_telemetry(stored), data)
    changed = row != vehicle_as_sent(stored)
    replaced = [
        version
        async for version in queries.replaced_vehicle_readings(
            connection, vehicle_id=vehicle_id, start=time, end=time, most=MOST_VERSIONS
        )
    ]
    if changed:
        _check_room(replaced)
        _, _, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, declared = row
        await queries.correct_vehicle_reading(
            connection,
            vehicle_id=vehicle_id,
            time=time,
            energy_mwh=energy_mwh,
            soc_bp=soc_bp,
            battery_temp_cdeg=battery_temp_cdeg,
            meter_id=meter_id,
            meter_declared=declared,
            who=data.who,
            reason=data.reason,
        )
        stored = await queries.vehicle_reading(connection, vehicle_id=vehicle_id, time=time)
    return CorrectedVehicle(
        version=len(replaced) + 1 + changed,
        changed=changed,
        reading=VehicleReading(**vehicle_fields(stored)),
    )


async def _correct_meter(
    connection: Connection, meter_id: str, time: datetime, data: Correction
) -> CorrectedMeter:
    await queries.begin_correction(connection, kind="meter", device_id=meter_id)
    stored = await queries.meter_reading(connection, meter_id=meter_id, time=time)
    if stored is None:
        raise _no_reading(meter_id, time)
    _check_kind(stored, data)
    row: MeterRow = _checked(meter_row, meter_telemetry(stored), data)
    changed = row != meter_as_sent(stored)
    replaced = [
        version
        async for version in queries.replaced_meter_readings(
            connection, meter_id=meter_id, start=time, end=time, most=MOST_VERSIONS
        )
    ]
    if changed:
        _check_room(replaced)
        _, _, energy_mwh, voltage_mv = row
        await queries.correct_meter_reading(
            connection,
            meter_id=meter_id,
            time=time,
            energy_mwh=energy_mwh,
            voltage_mv=voltage_mv,
            who=data.who,
            reason=data.reason,
        )
        stored = await queries.meter_reading(connection, meter_id=meter_id, time=time)
    return CorrectedMeter(
        version=len(replaced) + 1 + changed,
        changed=changed,
        reading=MeterReading(**meter_fields(stored)),
    )


def _check_kind(stored: Record, data: Correction) -> None:
    """A correction does not turn interval energy into a register, or back. Raises 400."""
    register = stored["register_mwh"] is not None
    kind = "a register" if register else "interval energy"
    for interval, total, name in (
        (data.kwh_delivered_dc, data.kwh_delivered_dc_total, "kwhDeliveredDc"),
        (data.kwh_consumed_ac, data.kwh_consumed_ac_total, "kwhConsumedAc"),
    ):
        wrong, right = (name, f"{name}Total") if register else (f"{name}Total", name)
        if (interval if register else total) is not UNSET:
            raise invalid_parameter(f"$.{wrong}", f"the device sends {kind}; correct {right}")


def _checked(to_row: Any, telemetry: Telemetry, data: Correction) -> Any:
    """The row with the new values, which must be such as a device may send. Raises 400."""
    values = {
        name: value
        for name in Telemetry.__struct_fields__
        if name not in ("vehicle_id", "timestamp") and (value := getattr(data, name)) is not UNSET
    }
    bounds = Bounds(telemetry.timestamp, telemetry.timestamp, telemetry.timestamp)  # type: ignore[arg-type]
    try:
        return to_row(msgspec.structs.replace(telemetry, **values), bounds)
    except Invalid as invalid:
        raise invalid_parameter(invalid.path or "$", invalid.detail) from None


def _check_room(replaced: list[Any]) -> None:
    if len(replaced) >= MOST_VERSIONS:
        raise problem(
            HTTP_409_CONFLICT,
            f"the reading has been corrected {MOST_VERSIONS} times; it takes no more corrections",
            kind="too-many-versions",
        )


def _no_reading(device_id: str, time: datetime) -> Exception:
    return problem(
        HTTP_404_NOT_FOUND,
        f"{device_id} has no reading of {rfc3339(time)}",
        kind="unknown-reading",
    )


corrections = Router(
    "/v1/corrections",
    tags=["Corrections"],
    before_request=refuse_unknown_parameters,
    route_handlers=[correct],
)
