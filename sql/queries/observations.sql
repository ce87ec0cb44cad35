-- What the rules read: hours that are over, readings where those look suspicious, devices, clocks.

-- name: observed_hours(vehicle_ids, meter_ids, start, end)
-- Whole hours of some devices, or of all (null, null): rollups, and by the primary key what is not rolled up yet.
-- May be null: vehicle_ids, meter_ids.
select *
from observed_hours(:vehicle_ids, :meter_ids, :start, :end)

-- name: first_hour(since)$
-- The oldest hour from a time on of which anything is stored (rollups by time; else each device's first reading);
-- null: nothing is.
select first_hour(:since)

-- name: newest_times(kind, ids, since, until)
-- When the newest reading of each device of a kind in (since, until] was (primary key, only the chunks of the window).
select id, time
from newest_times(:kind, :ids, :since, :until)

-- name: vehicle_points(ids, starts, end)
-- Readings of some vehicles, oldest first, of each from a time of its own (primary key, only the chunks of the window).
select id, time, energy_mwh, span_ms, soc_bp, battery_temp_cdeg
from points('vehicle', :ids, :starts, :end)

-- name: meter_points(ids, starts, end)
-- Readings of some meters, oldest first, of each from a time of its own (primary key, only the chunks of the window).
select id, time, energy_mwh, span_ms, voltage_mv, reset, voltage_l1_mv, voltage_l2_mv, voltage_l3_mv
from points('meter', :ids, :starts, :end)

-- name: peaks(kind, ids, starts, limits_w, end)
-- Readings of some devices, each device's from a time of its own, oldest first: those whose energy is a power above a
-- limit of its own, and those whose register rises by what cannot be (primary keys, only the chunks of the window).
select id, time, energy_mwh, span_ms, is_jump
from peaks(:kind, :ids, :starts, :limits_w, :end)

-- name: register_falls(vehicle_ids, meter_ids, start, end)
-- How often registers fell in each hour of (start, end], of some devices or of all (null, null), by kind (indexes by
-- time).
-- May be null: vehicle_ids, meter_ids.
select hour, device_kind, device_id, dips, flutters, resets
from register_falls(:vehicle_ids, :meter_ids, :start, :end)

-- name: roster()
-- Every device that is there (live state, whole).
select
    d.kind,
    d.id,
    d.site,
    coalesce(d.reporting_interval_s, a.reporting_interval_s) as reporting_interval_s,
    d.battery_capacity_wh,
    d.rated_power_w,
    d.role,
    d.reports,
    d.register = 'session' as counts_sessions,
    m.id as meter_id,
    s.time,
    s.last_seen
from live_state as s
join devices as d
    on d.device = s.device
left join devices as m
    on m.device = s.meter
cross join accounting as a
where s.removed_at is null

-- name: clock_samples(behind_s, ahead_s, since, vehicle_ids, meter_ids)
-- Devices of which something newer arrived at or after a time, dated too far from when it did; and those that are
-- named (live state, whole).
select
    d.kind,
    d.id,
    d.site,
    coalesce(d.reporting_interval_s, a.reporting_interval_s) as reporting_interval_s,
    d.battery_capacity_wh,
    d.rated_power_w,
    d.role,
    d.reports,
    d.register = 'session' as counts_sessions,
    m.id as meter_id,
    s.time,
    s.last_seen
from live_state as s
join devices as d
    on d.device = s.device
left join devices as m
    on m.device = s.meter
cross join accounting as a
where s.removed_at is null
    and (
        s.last_seen >= :since
        and (
            s.time < s.last_seen - make_interval(secs => :behind_s)
            or s.time > s.last_seen + make_interval(secs => :ahead_s)
        )
        or d.kind = 'vehicle' and d.id = any(:vehicle_ids::text[])
        or d.kind = 'meter' and d.id = any(:meter_ids::text[])
    )

-- name: ready_late_devices(most)
-- Devices whose history changed in hours that may have been evaluated, once the rollups have followed: the longest
-- waiting, each once, with the rows of late_devices (few; read whole).
select device_kind, device_id, since, ids
from ready_late_devices(:most)

-- name: forget_late_devices(ids)!
-- Forgets late devices that have been evaluated again (primary key).
delete from late_devices
where id = any(:ids)
