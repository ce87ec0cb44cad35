-- Live state and history of the devices.

-- name: vehicle(vehicle_id)^
-- The newest reading of one vehicle (primary key).
select vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, last_seen
from vehicle_state
where vehicle_id = :vehicle_id

-- name: vehicles(after, limit)
-- A page of vehicles in the order of their ids (primary key).
select vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, last_seen
from vehicle_state
where vehicle_id > :after
order by vehicle_id
limit :limit

-- name: vehicle_history(vehicle_id, start, end, limit)
-- A page of one vehicle's readings, oldest first (primary key, only the chunks of the window).
select time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id
from vehicle_readings
where vehicle_id = :vehicle_id
    and time >= :start
    and time < :end
order by time
limit :limit

-- name: vehicle_known(vehicle_id)$
-- Whether a vehicle has ever reported or been assigned.
select exists (select from vehicle_state where vehicle_id = :vehicle_id)
    or exists (select from meter_assignments where vehicle_id = :vehicle_id)

-- name: meter(meter_id)^
-- The newest reading of one meter (primary key).
select meter_id, time, energy_mwh, voltage_mv, last_seen
from meter_state
where meter_id = :meter_id

-- name: meters(after, limit)
-- A page of meters in the order of their ids (primary key).
select meter_id, time, energy_mwh, voltage_mv, last_seen
from meter_state
where meter_id > :after
order by meter_id
limit :limit

-- name: meter_history(meter_id, start, end, limit)
-- A page of one meter's readings, oldest first (primary key, only the chunks of the window).
select time, energy_mwh, voltage_mv
from meter_readings
where meter_id = :meter_id
    and time >= :start
    and time < :end
order by time
limit :limit

-- name: meter_known(meter_id)$
-- Whether a meter has ever reported or had a vehicle assigned.
select exists (select from meter_state where meter_id = :meter_id)
    or exists (select from meter_vehicles where meter_id = :meter_id)
