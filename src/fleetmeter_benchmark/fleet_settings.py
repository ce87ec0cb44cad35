"""Stores the settings and assignments of a simulated fleet."""

from fleetmeter.database.pool import Database
from fleetmeter_simulator.fleet import Fleet


async def store_settings(database: Database, fleet: Fleet) -> None:
    """Store the settings and assignments of all devices, before the fleet's first reading."""
    devices = fleet.devices
    async with database.transaction() as connection:
        await connection.executemany(
            _METER,
            [
                (
                    *(m.meter_id, m.site, m.reporting_interval_s, m.role, m.reports),
                    m.rated_power_kw and round(m.rated_power_kw * 1000),
                    m.register,
                )
                for m in devices.meters
            ],
        )
        await connection.executemany(
            _VEHICLE,
            [
                (
                    *(v.vehicle_id, v.site, v.reporting_interval_s),
                    *(round(v.battery_capacity_kwh * 1000), v.since, v.meter_id),
                    *(v.reports, v.register),
                )
                for v in devices.vehicles
            ],
        )
        await connection.execute("update versions set assignments = assignments + 1")
        # evaluated from the beginning on, as by a service that was there
        await connection.execute("update anomaly_progress set evaluated_until = $1", fleet.start)


_VEHICLE = """
with vehicle as (
    insert into devices (
        kind, id, site, reporting_interval_s, battery_capacity_wh, reports, register
    )
    values ('vehicle', $1, $2, $3, $4, $7, $8)
    returning device
)
insert into assignments (vehicle, since, meter, restamped_at)
select v.device, $5, device_of('meter', $6), now()
from vehicle as v
"""
_METER = """
insert into devices (kind, id, site, reporting_interval_s, role, reports, rated_power_w, register)
values ('meter', $1, $2, $3, $4, $5, $6, $7)
"""
