-- Corrections of readings, and the versions that they replaced.

-- name: begin_correction(kind, device_id)$
-- One change of a device's readings at a time, until the end of the transaction; the number of the device.
select begin_correction(:kind, :device_id)

-- name: number_device(kind, device_id)$
-- The number of a device, which is given one when it has none. After begin_correction().
select number_device(:kind, :device_id)

-- name: reading(kind, device_id, time, reach_ids, reach_sites)^
-- One reading as it stands in history, how many versions corrections have replaced, and which energy its device sends
-- (primary keys); without the id of a meter that is outside the reach. No row: it is not in history.
select
    r.*, :device_id::text as id, m.id as meter_id, n.id as session_id,
    (select count(*) from replaced_readings as v where v.device = r.device and v.time = r.time) as replaced,
    a.sent_time, s.energy_at is not null as has_sent_energy, s.register_mwh is not null as sends_register
from readings as r
left join devices as m
    on m.device = r.meter
    and within_reach(m.id, m.site, :reach_ids, :reach_sites)
left join arrival_stamps as a
    on a.device = r.device
    and a.time = r.time
left join session_ids as n
    on n.session = r.session
left join live_state as s
    on s.device = r.device
where r.device = (select device_of(:kind, :device_id))
    and r.time = :time

-- name: voided_reading(kind, device_id, time)^
-- What a reading had that was taken out, how many versions there are of it, and which energy its device sends (primary
-- keys); no row: it was not taken out.
select
    r.*, :device_id::text as id, m.id as meter_id, n.id as session_id, r.version as replaced,
    s.energy_at is not null as has_sent_energy, s.register_mwh is not null as sends_register
from replaced_readings as r
left join devices as m
    on m.device = r.meter
left join session_ids as n
    on n.session = r.session
left join live_state as s
    on s.device = r.device
where r.device = (select device_of(:kind, :device_id))
    and r.time = :time
    and exists (select from voided_readings as v where v.device = r.device and v.time = r.time)
order by r.version desc
limit 1

-- name: void_reading(kind, device_id, time, who, reason)$
-- Takes one reading out; the number of the version now in force.
select void_reading(begin_correction(:kind, :device_id), :time, :who, :reason)

-- name: bring_back_reading(kind, device_id, time)$
-- Makes room again for a reading that was taken out, for a correction that gives it values.
select bring_back_reading(begin_correction(:kind, :device_id), :time)

-- name: voided_history(kind, device_id, start, end, limit)
-- The keys of a device's readings that were taken out, oldest first (primary key).
select :device_id::text as id, v.time
from voided_readings as v
where v.device = (select device_of(:kind, :device_id))
    and v.time >= :start
    and v.time < :end
order by v.time
limit :limit

-- name: correct_reading(kind, device_id, time, values, who, reason)$
-- Gives one reading the values of the JSON, by columns; the number of the version now in force.
select correct_reading(begin_correction(:kind, :device_id), :time, :values::jsonb, :who, :reason)

-- name: replaced_readings(kind, device_id, start, end, most, reach_ids, reach_sites)
-- The versions that corrections replaced, of the readings from start to end, both included (primary key); without ids
-- of meters that are outside the reach.
select r.*, :device_id::text as id, m.id as meter_id, n.id as session_id
from replaced_readings as r
left join devices as m
    on m.device = r.meter
    and within_reach(m.id, m.site, :reach_ids, :reach_sites)
left join session_ids as n
    on n.session = r.session
where r.device = (select device_of(:kind, :device_id))
    and r.time >= :start
    and r.time <= :end
order by r.time, r.version
limit :most
