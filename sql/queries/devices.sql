-- Live state, history and settings of the devices; of a meter, meter_id is null, and so is that of a meter outside the
-- asker's reach.

-- name: device(kind, device_id, reach_ids, reach_sites)^
-- The newest reading of one device, and what is set for it (primary keys); no row: it has never reported.
select
    s.*, d.id, m.id as meter_id, n.id as session_id, d.label, d.site, d.reporting_interval_s, d.time_zone,
    d.register, d.register_rollover_mwh, d.battery_capacity_wh, d.rated_power_w, d.role, d.reports,
    d.stamp_by_arrival, a.sent_time, r.energy_mwh as derived_reverse_mwh, m.site as meter_site
from devices as d
join live_state as s
    on s.device = d.device
left join devices as m
    on m.device = s.meter
    and within_reach(m.id, m.site, :reach_ids, :reach_sites)
left join arrival_stamps as a
    on a.device = s.device
    and a.time = s.time
left join session_ids as n
    on n.session = s.session
left join lateral reverse_energy(
    s.device, s.reverse_register_mwh_at, s.reverse_register_mwh,
    greatest(s.reverse_highest_mwh, s.reverse_register_mwh)
) as r
    on s.reverse_register_mwh is not null
where d.kind = :kind
    and d.id = :device_id

-- name: device_habits(kind, device_id)^
-- How a device reports by its newest readings, what is expected of it, and what the rules remember (primary keys);
-- no row: it has never reported.
select
    observed_interval_s(s.device, s.time) as observed_interval_s,
    coalesce(d.reporting_interval_s, a.reporting_interval_s) as reporting_interval_s,
    coalesce((m.memory ->> 'pauses')::integer, 0) as pauses
from devices as d
join live_state as s
    on s.device = d.device
left join anomaly_memory as m
    on m.aspect = 'hours'
    and m.device_kind = d.kind
    and m.device_id = d.id
cross join accounting as a
where d.kind = :kind
    and d.id = :device_id

-- name: devices(kind, after, last, since, limit, reach_ids, reach_sites)
-- A page of the devices of a kind within reach, in the order of their ids, up to one and of those that reported since a
-- time, where these are given (index by kind and id, primary keys).
select
    s.*, d.id, m.id as meter_id, n.id as session_id, d.label, d.site, d.reporting_interval_s, d.time_zone,
    d.register, d.register_rollover_mwh, d.battery_capacity_wh, d.rated_power_w, d.role, d.reports,
    d.stamp_by_arrival, a.sent_time, r.energy_mwh as derived_reverse_mwh, m.site as meter_site
from devices as d
join live_state as s
    on s.device = d.device
left join devices as m
    on m.device = s.meter
    and within_reach(m.id, m.site, :reach_ids, :reach_sites)
left join arrival_stamps as a
    on a.device = s.device
    and a.time = s.time
left join session_ids as n
    on n.session = s.session
left join lateral reverse_energy(
    s.device, s.reverse_register_mwh_at, s.reverse_register_mwh,
    greatest(s.reverse_highest_mwh, s.reverse_register_mwh)
) as r
    on s.reverse_register_mwh is not null
where d.kind = :kind
    and d.id > :after
    and (:last::text is null or d.id <= :last)
    and (:since::timestamptz is null or s.last_seen >= :since)
    and s.removed_at is null
    and within_reach(d.id, d.site, :reach_ids, :reach_sites)
order by d.id
limit :limit

-- name: device_history(kind, device_id, start, end, limit, reach_ids, reach_sites)
-- A page of one device's readings, oldest first (primary key, only the chunks of the window).
select r.*, :device_id::text as id, m.id as meter_id, n.id as session_id, a.sent_time,
    e.energy_mwh as derived_reverse_mwh
from readings as r
left join devices as m
    on m.device = r.meter
    and within_reach(m.id, m.site, :reach_ids, :reach_sites)
left join arrival_stamps as a
    on a.device = r.device
    and a.time = r.time
left join session_ids as n
    on n.session = r.session
left join lateral reverse_energy(r.device, r.time, r.reverse_register_mwh, r.reverse_highest_mwh) as e
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

-- name: device_within_reach(kind, device_id, reach_ids, reach_sites)$
-- Whether a device is within reach, known or not (index by kind and id).
select subject_within_reach(:kind, :device_id, :reach_ids, :reach_sites)

-- name: derive_intervals(device)!
-- Derives the intervals of stored readings again, by the present reporting interval; a transaction a day.
call derive_intervals(:device)

-- name: set_device(kind, device_id, settings)^
-- Sets what the JSON has, by columns, for one device; all that is set for it.
select *
from set_device(:kind, :device_id, :settings::jsonb)

-- name: device_settings(kind, device_id)^
-- What is set for a device, by columns (unique key); no row: it is not known.
select *
from devices
where kind = :kind
    and id = :device_id

-- name: state_exchange(device, at, is_reverse, last_mwh, first_mwh)^
-- States that a meter was exchanged, and derives what follows; what is stated of that time now. After
-- begin_correction().
select *
from state_exchange(:device, :is_reverse, :at, :last_mwh, :first_mwh)

-- name: withdraw_exchange(device, is_reverse, at)$
-- Takes the statement back, and derives what follows; whether there was one. After begin_correction().
select withdraw_exchange(:device, :is_reverse, :at)

-- name: exchanges(kind, device_id, at, is_reverse, limit)
-- What is stated of the exchanges of a device behind one of them, oldest first (primary key).
select *
from register_exchanges as x
where x.device = (select device_of(:kind, :device_id))
    and (x.at, x.is_reverse) > (:at, :is_reverse)
order by x.at, x.is_reverse
limit :limit

-- name: reporting(now, late_after, silent_after, reach_ids, reach_sites)
-- How many devices of each kind there are within reach, by the number of reporting intervals since their newest
-- reading (live state, whole). A device at rest is one that is set, or was found, to report only while it charges.
select
    c.kind,
    count(*) as known,
    count(*) filter (where c.intervals <= :late_after) as reporting,
    count(*) filter (where c.intervals > :late_after and c.intervals <= :silent_after and not c.rests) as late,
    count(*) filter (where c.intervals > :silent_after and not c.rests) as silent,
    count(*) filter (where c.intervals > :late_after and c.rests) as resting
from (
    select
        d.kind,
        extract(epoch from :now::timestamptz - s.time)::float8
            / coalesce(d.reporting_interval_s, a.reporting_interval_s) as intervals,
        coalesce(d.reports = 'while_charging', (m.memory ->> 'pauses')::integer >= 3, false) as rests
    from live_state as s
    join devices as d
        on d.device = s.device
    left join anomaly_memory as m
        on m.aspect = 'hours'
        and m.device_kind = d.kind
        and m.device_id = d.id
    cross join accounting as a
    where s.removed_at is null
        and within_reach(d.id, d.site, :reach_ids, :reach_sites)
) as c
group by c.kind

-- name: reporting_interval()$
-- The reporting interval of devices that have none of their own, seconds (one row).
select reporting_interval_s
from accounting

-- name: readings_stamped(since, until, reach_ids, reach_sites)$
-- The number of readings in (since, until] of devices within reach that have reported since (live state, and of each
-- device the primary key).
select count(*)
from live_state as s
join devices as d
    on d.device = s.device
cross join lateral (
    select
    from readings as r
    where r.device = s.device
        and r.time > :since
        and r.time <= :until
) as r
where s.time > :since::timestamptz
    and within_reach(d.id, d.site, :reach_ids, :reach_sites)
