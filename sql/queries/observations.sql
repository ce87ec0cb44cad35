-- What the rules of anomalies are given: hours that are over, readings where those suspect something, devices, clocks.

-- name: observed_hours(vehicle_ids, meter_ids, start, end)
-- Whole hours of some devices, or of all (null, null): rollups, and by the primary key what is not rolled up yet.
select *
from observed_hours(:vehicle_ids, :meter_ids, :start, :end)

-- name: first_hour(since)$
-- The oldest hour at or after a time of which anything is stored (rollups by time; else each device's first reading).
select first_hour(:since)

-- name: newest_vehicle_times(ids, since, before)
-- When the newest reading of each vehicle in [since, before) was (primary key, only the chunks of the window).
select id, time
from newest_vehicle_times(:ids, :since, :before)

-- name: newest_meter_times(ids, since, before)
-- When the newest reading of each meter in [since, before) was (primary key, only the chunks of the window).
select id, time
from newest_meter_times(:ids, :since, :before)

-- name: vehicle_points(ids, starts, end)
-- Readings of some vehicles, oldest first, of each from a time of its own (primary key, only the chunks of the window).
select id, time, energy_mwh, soc_bp, battery_temp_cdeg
from vehicle_points(:ids, :starts, :end)

-- name: meter_points(ids, starts, end)
-- Readings of some meters, oldest first, of each from a time of its own (primary key, only the chunks of the window).
select id, time, energy_mwh, voltage_mv, reset
from meter_points(:ids, :starts, :end)

-- name: devices()
-- Every device that is there (live state, whole).
select
    'vehicle' as kind,
    v.vehicle_id as id,
    s.site,
    coalesce(s.reporting_interval_s, a.reporting_interval_s) as reporting_interval_s,
    s.battery_capacity_wh,
    v.meter_id,
    v.time,
    v.last_seen
from vehicle_state as v
left join vehicle_settings as s
    on s.vehicle_id = v.vehicle_id
cross join accounting as a
where v.removed_at is null
union all
select
    'meter',
    m.meter_id,
    s.site,
    coalesce(s.reporting_interval_s, a.reporting_interval_s),
    null,
    null,
    m.time,
    m.last_seen
from meter_state as m
left join meter_settings as s
    on s.meter_id = m.meter_id
cross join accounting as a
where m.removed_at is null

-- name: clock_samples(behind_s, ahead_s, since, vehicle_ids, meter_ids)
-- Devices of which something newer arrived at or after a time, dated too far from when it did; and those that are
-- named (live state, whole).
select
    'vehicle' as kind,
    v.vehicle_id as id,
    s.site,
    coalesce(s.reporting_interval_s, a.reporting_interval_s) as reporting_interval_s,
    s.battery_capacity_wh,
    v.meter_id,
    v.time,
    v.last_seen
from vehicle_state as v
left join vehicle_settings as s
    on s.vehicle_id = v.vehicle_id
cross join accounting as a
where v.removed_at is null
    and (
        v.last_seen >= :since
        and (
            v.time < v.last_seen - make_interval(secs => :behind_s)
            or v.time > v.last_seen + make_interval(secs => :ahead_s)
        )
        or v.vehicle_id = any(:vehicle_ids::text[])
    )
union all
select
    'meter',
    m.meter_id,
    s.site,
    coalesce(s.reporting_interval_s, a.reporting_interval_s),
    null,
    null,
    m.time,
    m.last_seen
from meter_state as m
left join meter_settings as s
    on s.meter_id = m.meter_id
cross join accounting as a
where m.removed_at is null
    and (
        m.last_seen >= :since
        and (
            m.time < m.last_seen - make_interval(secs => :behind_s)
            or m.time > m.last_seen + make_interval(secs => :ahead_s)
        )
        or m.meter_id = any(:meter_ids::text[])
    )

-- name: ready_late_devices(most)
-- Devices whose history changed in hours that may have been evaluated, once the rollups have followed: the longest
-- waiting, each once, with the rows of late_devices (few; read whole).
select source, device_id, since, ids
from ready_late_devices(:most)

-- name: forget_late_devices(ids)!
-- They have been evaluated anew (primary key).
delete from late_devices
where id = any(:ids)
