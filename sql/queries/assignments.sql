-- Which vehicle charges at which meter.

-- name: assign_meter(vehicle_id, meter_id, since)^
-- Records an assignment from a time or from now on, to a meter or to none. Gives the vehicle's number and since when:
-- restamp in a transaction of its own after it. May be null: meter_id, since.
select vehicle, since
from assign_meter(:vehicle_id, :meter_id, :since)

-- name: restamp_readings(vehicle, since)$
-- Stamps the readings that an assignment concerns, a transaction a day; how many changed.
call restamp_readings(:vehicle, :since, null)

-- name: assignments_to_stamp(vehicle)
-- Since when assignments of a vehicle hold whose readings are still to be stamped (primary key).
select since
from assignments
where vehicle = :vehicle
    and restamped_at is null
order by since

-- name: assignment_end(vehicle, since)$
-- When the vehicle's next assignment begins (primary key); null: this one is still in force.
select min(since)
from assignments
where vehicle = :vehicle
    and since > :since

-- name: assignments(vehicle_id, start, limit, reach_ids, reach_sites)
-- A page of a vehicle's assignments, oldest first, each until the next (primary key); without those to a meter that is
-- outside the reach.
select a.since, a.until, m.id as meter_id, a.by_transaction
from (
    select s.since, lead(s.since) over (order by s.since) as until, s.meter, s.by_transaction
    from assignments as s
    where s.vehicle = (select device_of('vehicle', :vehicle_id))
        and s.since >= :start
) as a
left join devices as m
    on m.device = a.meter
where m.device is null
    or within_reach(m.id, m.site, :reach_ids, :reach_sites)
order by a.since
limit :limit

-- name: assignment_at(vehicle_id, at)^
-- The assignment in force at a time or now (primary key); no row: there is none. May be null: at.
select a.since, m.id as meter_id
from assignments as a
left join devices as m
    on m.device = a.meter
where a.vehicle = (select device_of('vehicle', :vehicle_id))
    and a.since <= coalesce(:at, now())
order by a.since desc
limit 1
