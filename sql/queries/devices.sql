-- Live state, history and settings of the devices.

-- name: vehicle(vehicle_id)^
-- The newest reading of one vehicle, and what is set for it (primary keys).
select v.*, s.label, s.site, s.reporting_interval_s, s.time_zone, s.battery_capacity_wh, s.register_rollover_mwh
from vehicle_state as v
left join vehicle_settings as s
    on s.vehicle_id = v.vehicle_id
where v.vehicle_id = :vehicle_id

-- name: vehicles(after, limit)
-- A page of vehicles in the order of their ids (primary keys).
select v.*, s.label, s.site, s.reporting_interval_s, s.time_zone, s.battery_capacity_wh, s.register_rollover_mwh
from vehicle_state as v
left join vehicle_settings as s
    on s.vehicle_id = v.vehicle_id
where v.vehicle_id > :after
    and v.removed_at is null
order by v.vehicle_id
limit :limit

-- name: vehicle_history(vehicle_id, start, end, limit)
-- A page of one vehicle's readings, oldest first (primary key, only the chunks of the window).
select *
from vehicle_readings
where vehicle_id = :vehicle_id
    and time >= :start
    and time < :end
order by time
limit :limit

-- name: remove_vehicle(vehicle_id)$
-- Takes one vehicle out of live state and lists, until a newer reading brings it back; null: it was never there.
update vehicle_state
set removed_at = coalesce(removed_at, now())
where vehicle_id = :vehicle_id
returning true

-- name: vehicle_known(vehicle_id)$
-- Whether a vehicle has ever reported or been assigned.
select exists (select from vehicle_state where vehicle_id = :vehicle_id)
    or exists (select from meter_assignments where vehicle_id = :vehicle_id)

-- name: begin_vehicle_settings(vehicle_id)!
-- Makes sure that there is a row to lock.
insert into vehicle_settings (vehicle_id)
values (:vehicle_id)
on conflict do nothing

-- name: vehicle_settings(vehicle_id)^
-- What is set for one vehicle (primary key), until the end of the transaction.
select *
from vehicle_settings
where vehicle_id = :vehicle_id
for update

-- name: set_vehicle(vehicle_id, label, site, reporting_interval_s, time_zone, battery_capacity_wh, register_rollover_mwh)!
-- Sets all of one vehicle's settings.
select set_vehicle(
    :vehicle_id, :label, :site, :reporting_interval_s, :time_zone, :battery_capacity_wh, :register_rollover_mwh
)

-- name: meter(meter_id)^
-- The newest reading of one meter, and what is set for it (primary keys).
select m.*, s.label, s.site, s.reporting_interval_s, s.time_zone, s.rated_power_w, s.register_rollover_mwh
from meter_state as m
left join meter_settings as s
    on s.meter_id = m.meter_id
where m.meter_id = :meter_id

-- name: meters(after, limit)
-- A page of meters in the order of their ids (primary keys).
select m.*, s.label, s.site, s.reporting_interval_s, s.time_zone, s.rated_power_w, s.register_rollover_mwh
from meter_state as m
left join meter_settings as s
    on s.meter_id = m.meter_id
where m.meter_id > :after
    and m.removed_at is null
order by m.meter_id
limit :limit

-- name: meter_history(meter_id, start, end, limit)
-- A page of one meter's readings, oldest first (primary key, only the chunks of the window).
select *
from meter_readings
where meter_id = :meter_id
    and time >= :start
    and time < :end
order by time
limit :limit

-- name: remove_meter(meter_id)$
-- Takes one meter out of live state and lists, until a newer reading brings it back; null: it was never there.
update meter_state
set removed_at = coalesce(removed_at, now())
where meter_id = :meter_id
returning true

-- name: meter_known(meter_id)$
-- Whether a meter has ever reported or had a vehicle assigned.
select exists (select from meter_state where meter_id = :meter_id)
    or exists (select from meter_vehicles where meter_id = :meter_id)
    or exists (select from meter_assignments where meter_id = :meter_id)

-- name: begin_meter_settings(meter_id)!
-- Makes sure that there is a row to lock.
insert into meter_settings (meter_id)
values (:meter_id)
on conflict do nothing

-- name: meter_settings(meter_id)^
-- What is set for one meter (primary key), until the end of the transaction.
select *
from meter_settings
where meter_id = :meter_id
for update

-- name: set_meter(meter_id, label, site, reporting_interval_s, time_zone, rated_power_w, register_rollover_mwh)!
-- Sets all of one meter's settings.
select set_meter(:meter_id, :label, :site, :reporting_interval_s, :time_zone, :rated_power_w, :register_rollover_mwh)
