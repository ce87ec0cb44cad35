-- What a writer asks and does in the transaction of a batch.

-- name: begin_batch()^
-- Locks the assignments against a change, and tells their version and which history may be rolled up.
select assignments_version, vehicles_rolled_up_before, meters_rolled_up_before
from begin_batch()

-- name: last_vehicle_times(ids)
-- The newest stored time of each of these vehicles (primary key).
select vehicle_id as id, time
from vehicle_state
where vehicle_id = any(:ids)

-- name: last_meter_times(ids)
-- The newest stored time of each of these meters (primary key).
select meter_id as id, time
from meter_state
where meter_id = any(:ids)

-- name: assignments_of(ids)
-- All assignments of these vehicles, oldest first (primary key).
select vehicle_id, since, meter_id
from meter_assignments
where vehicle_id = any(:ids)
order by vehicle_id, since

-- name: pair(meter_ids, vehicle_ids)!
-- Notes which vehicles have charged from which meters, in the order of the key.
insert into meter_vehicles (meter_id, vehicle_id)
select p.meter_id, p.vehicle_id
from unnest(:meter_ids::text[], :vehicle_ids::text[]) as p (meter_id, vehicle_id)
order by p.meter_id collate "C", p.vehicle_id collate "C"
on conflict do nothing

-- name: advance_vehicles(vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared)!
-- Moves live state forward, never back; each parameter is a column, in the order of the key.
insert into vehicle_state as v (vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared, last_seen)
select n.*, now()
from unnest(
    :vehicle_id::text[], :time::timestamptz[], :energy_mwh::integer[], :soc_bp::smallint[],
    :battery_temp_cdeg::smallint[], :meter_id::text[], :meter_declared::boolean[]
) as n
on conflict (vehicle_id) do update
set
    time = excluded.time,
    energy_mwh = excluded.energy_mwh,
    soc_bp = excluded.soc_bp,
    battery_temp_cdeg = excluded.battery_temp_cdeg,
    meter_id = excluded.meter_id,
    meter_declared = excluded.meter_declared,
    last_seen = excluded.last_seen
where excluded.time > v.time

-- name: advance_meters(meter_id, time, energy_mwh, voltage_mv)!
-- Moves live state forward, never back; each parameter is a column, in the order of the key.
insert into meter_state as m (meter_id, time, energy_mwh, voltage_mv, last_seen)
select n.*, now()
from unnest(:meter_id::text[], :time::timestamptz[], :energy_mwh::integer[], :voltage_mv::integer[]) as n
on conflict (meter_id) do update
set
    time = excluded.time,
    energy_mwh = excluded.energy_mwh,
    voltage_mv = excluded.voltage_mv,
    last_seen = excluded.last_seen
where excluded.time > m.time

-- name: store_vehicle_readings()
-- Merges the batch of the temporary table into history; how many readings were new, by part.
select part, readings
from store_vehicle_readings()

-- name: store_meter_readings()
-- Merges the batch of the temporary table into history; how many readings were new, by part.
select part, readings
from store_meter_readings()
