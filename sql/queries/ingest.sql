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

-- name: note_late(source, hours, ids, sinces)!
-- Notes hours whose history changes when they may be rolled up or evaluated already, and whose it is, with the last of
-- the hours' ids (as the merge path does).
with noted as (
    insert into late_hours (source, hour)
    select :source, h.hour
    from unnest(:hours::timestamptz[]) as h (hour)
    returning id
)
insert into late_devices (source, device_id, since, late_hours_until)
select :source, d.id, d.since, (select max(n.id) from noted as n)
from unnest(:ids::text[], :sinces::timestamptz[]) as d (id, since)

-- name: advance_vehicles()!
-- Moves live state forward, never back, by what lies in the temporary table.
select advance_vehicles()

-- name: advance_meters()!
-- Moves live state forward, never back, by what lies in the temporary table.
select advance_meters()

-- name: append_readings(assignments_version, vehicle_ids, vehicle_times, vehicle_energies_mwh, socs_bp, battery_temps_cdeg, vehicle_meter_ids, meters_declared, meter_ids, meter_times, meter_energies_mwh, voltages_mv)$
-- Stores a small batch of fresh readings in one round trip, or nothing: false.
select append_readings(
    :assignments_version,
    :vehicle_ids, :vehicle_times, :vehicle_energies_mwh, :socs_bp, :battery_temps_cdeg, :vehicle_meter_ids, :meters_declared,
    :meter_ids, :meter_times, :meter_energies_mwh, :voltages_mv
)

-- name: store_vehicle_readings()
-- Merges the batch of the temporary table into history; how many readings were new and who was
-- refused, by part; and what history has under the keys that came with other values.
select part, readings, refused, conflict
from store_vehicle_readings()

-- name: store_meter_readings()
-- Merges the batch of the temporary table into history; how many readings were new and who was
-- refused, by part; and what history has under the keys that came with other values.
select part, readings, refused, conflict
from store_meter_readings()

-- name: store_vehicle_registers()
-- The same for vehicles that send a register, whose energy follows from the readings around.
select part, readings, refused, conflict
from store_vehicle_registers()

-- name: store_meter_registers()
-- The same for meters that send a register, whose energy follows from the readings around.
select part, readings, refused, conflict
from store_meter_registers()
