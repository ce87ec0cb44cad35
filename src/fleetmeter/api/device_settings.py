"""What can be set for a device: where it is, how often it reports, what it can do."""

from typing import Any

import msgspec
from litestar import patch
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET

from fleetmeter.api.known import require_meter, require_vehicle
from fleetmeter.api.parameters import (
    DeviceIdPath,
    check_printable,
    check_site,
    time_zone,
)
from fleetmeter.database.pool import Database
from fleetmeter.database.sql import queries
from fleetmeter.devices import (
    MeterChange,
    MeterSettings,
    VehicleChange,
    VehicleSettings,
    meter_settings,
    vehicle_settings,
)


@patch("/{vehicle_id:str}", summary="Set what is known of a vehicle")
async def patch_vehicle(
    database: NamedDependency[Database], vehicle_id: DeviceIdPath, data: JSONBody[VehicleChange]
) -> VehicleSettings:
    """What is absent stays, null unsets. Answers with all that is set."""
    changes = _checked(data)
    async with database.transaction() as connection:
        await require_vehicle(connection, vehicle_id)
        await queries.begin_vehicle_settings(connection, vehicle_id=vehicle_id)
        row = await queries.vehicle_settings(connection, vehicle_id=vehicle_id)
        changed = msgspec.structs.replace(vehicle_settings(row), **changes)
        await queries.set_vehicle(
            connection,
            vehicle_id=vehicle_id,
            label=changed.label,
            site=changed.site,
            reporting_interval_s=changed.reporting_interval_s,
            time_zone=changed.time_zone,
            battery_capacity_wh=_scaled(changed.battery_capacity_kwh, 1000),
            register_rollover_mwh=_scaled(changed.register_rollover_kwh, 1_000_000),
        )
    return changed


@patch("/{meter_id:str}", summary="Set what is known of a meter")
async def patch_meter(
    database: NamedDependency[Database], meter_id: DeviceIdPath, data: JSONBody[MeterChange]
) -> MeterSettings:
    """What is absent stays, null unsets. Answers with all that is set."""
    changes = _checked(data)
    async with database.transaction() as connection:
        await require_meter(connection, meter_id)
        await queries.begin_meter_settings(connection, meter_id=meter_id)
        row = await queries.meter_settings(connection, meter_id=meter_id)
        changed = msgspec.structs.replace(meter_settings(row), **changes)
        await queries.set_meter(
            connection,
            meter_id=meter_id,
            label=changed.label,
            site=changed.site,
            reporting_interval_s=changed.reporting_interval_s,
            time_zone=changed.time_zone,
            rated_power_w=_scaled(changed.rated_power_kw, 1000),
            register_rollover_mwh=_scaled(changed.register_rollover_kwh, 1_000_000),
        )
    return changed


def _checked(data: VehicleChange | MeterChange) -> dict[str, Any]:
    """The fields that are to change. Raises 400 for what the types do not see."""
    changes = {
        name: value
        for name in data.__struct_fields__
        if (value := getattr(data, name)) is not UNSET
    }
    if (zone := changes.get("time_zone")) is not None:
        time_zone("$.timeZone", zone)
    if (site := changes.get("site")) is not None:
        check_site("$.site", site)
    check_printable("$.label", changes.get("label"))
    return changes


def _scaled(value: float | None, factor: int) -> int | None:
    return None if value is None else round(value * factor)
