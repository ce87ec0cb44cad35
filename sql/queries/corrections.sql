-- Corrections of readings, and the versions that they replaced.

-- name: begin_correction(kind, device_id)$
-- One change of a device's readings at a time, until the end of the transaction; the number of the device.
select begin_correction(:kind, :device_id)

-- name: number_device(kind, device_id)$
-- The number of a device, which is given one when it has none. After begin_correction().
select number_device(:kind, :device_id)

-- name: reading(kind, device_id, time)^
-- One reading as it stands in history, and how many versions corrections have replaced (primary keys).
select
    r.*, :device_id::text as id, m.id as meter_id, n.id as session_id,
    (select count(*) from replaced_readings as v where v.device = r.device and v.time = r.time) as replaced
from readings as r
left join devices as m
    on m.device = r.meter
left join session_ids as n
    on n.session = r.session
where r.device = (select device_of(:kind, :device_id))
    and r.time = :time

-- name: correct_reading(kind, device_id, time, values, who, reason)$
-- Gives one reading the values of the JSON, by columns; the number of the version now in force.
select correct_reading(begin_correction(:kind, :device_id), :time, :values::jsonb, :who, :reason)

-- name: replaced_readings(kind, device_id, start, end, most)
-- The versions that corrections replaced, of the readings from start to end, both included (primary key).
select r.*, :device_id::text as id, m.id as meter_id, n.id as session_id
from replaced_readings as r
left join devices as m
    on m.device = r.meter
left join session_ids as n
    on n.session = r.session
where r.device = (select device_of(:kind, :device_id))
    and r.time >= :start
    and r.time <= :end
order by r.time, r.version
limit :most
