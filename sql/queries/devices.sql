-- Live state, history and settings of the devices; of a meter, meter_id is null.

-- name: device(kind, device_id)^
-- The newest reading of one device, and what is set for it (primary keys); no row: it has never reported.
select
    s.*, d.id, m.id as meter_id, n.id as session_id, d.label, d.site, d.reporting_interval_s, d.time_zone,
    d.register_rollover_mwh, d.battery_capacity_wh, d.rated_power_w, d.role, r.energy_mwh as derived_reverse_mwh
from devices as d
join live_state as s
    on s.device = d.device
left join devices as m
    on m.device = s.meter
left join session_ids as n
    on n.session = s.session
left join lateral reverse_energy(s.device, s.reverse_register_mwh_at, s.reverse_register_mwh) as r
    on s.reverse_register_mwh is not null
where d.kind = :kind
    and d.id = :device_id

-- name: devices(kind, after, limit)
-- A page of the devices of a kind in the order of their ids (index by kind and id, primary keys).
select
    s.*, d.id, m.id as meter_id, n.id as session_id, d.label, d.site, d.reporting_interval_s, d.time_zone,
    d.register_rollover_mwh, d.battery_capacity_wh, d.rated_power_w, d.role, r.energy_mwh as derived_reverse_mwh
from devices as d
join live_state as s
    on s.device = d.device
left join devices as m
    on m.device = s.meter
left join session_ids as n
    on n.session = s.session
left join lateral reverse_energy(s.device, s.reverse_register_mwh_at, s.reverse_register_mwh) as r
    on s.reverse_register_mwh is not null
where d.kind = :kind
    and d.id > :after
    and s.removed_at is null
order by d.id
limit :limit

-- name: device_history(kind, device_id, start, end, limit)
-- A page of one device's readings, oldest first (primary key, only the chunks of the window).
select r.*, :device_id::text as id, m.id as meter_id, n.id as session_id, e.energy_mwh as derived_reverse_mwh
from readings as r
left join devices as m
    on m.device = r.meter
left join session_ids as n
    on n.session = r.session
left join lateral reverse_energy(r.device, r.time, r.reverse_register_mwh) as e
    on r.reverse_register_mwh is not null
where r.device = (select device_of(:kind, :device_id))
    and r.time >= :start
    and r.time < :end
order by r.time
limit :limit

-- name: remove_device(kind, device_id)$
-- Takes one device out of live state and lists, until a newer reading brings it back; null: it was never there.
update live_state
set removed_at = coalesce(removed_at, now())
where device = (select device_of(:kind, :device_id))
returning true

-- name: device_known(kind, device_id)$
-- Whether a device has ever reported or been assigned (primary keys, but for assignments to a meter).
select exists (
    select
    from devices as d
    where d.kind = :kind
        and d.id = :device_id
        and (
            exists (select from live_state as s where s.device = d.device)
            or exists (select from meter_vehicles as m where m.meter = d.device)
            or exists (select from assignments as a where d.device in (a.vehicle, a.meter))
        )
)

-- name: derive_intervals(device)!
-- Derives the intervals of stored readings again, by the present reporting interval; a transaction a day.
call derive_intervals(:device)

-- name: set_device(kind, device_id, settings)^
-- Sets what the JSON has, by columns, for one device; all that is set for it.
select *
from set_device(:kind, :device_id, :settings::jsonb)
