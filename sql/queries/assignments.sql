-- Which vehicle charges at which meter.

-- name: assign_meter(vehicle_id, meter_id, since)^
-- Records an assignment; null for since means now. Restamp in a transaction of its own after it.
select vehicle_id, since, meter_id
from assign_meter(:vehicle_id, :meter_id, :since)

-- name: restamp_readings(vehicle_id, since)$
-- Stamps the readings that an assignment concerns, a transaction a day; how many changed.
call restamp_readings(:vehicle_id, :since, null)

-- name: assignment_end(vehicle_id, since)$
-- When the vehicle's next assignment begins (primary key); null: this one is still in force.
select min(since)
from meter_assignments
where vehicle_id = :vehicle_id
    and since > :since

-- name: assignments(vehicle_id, start, limit)
-- A page of a vehicle's assignments, oldest first, each until the next (primary key).
select since, lead(since) over (order by since) as until, meter_id
from meter_assignments
where vehicle_id = :vehicle_id
    and since >= :start
order by since
limit :limit
