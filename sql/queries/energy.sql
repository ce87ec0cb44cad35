-- Energy answers. All read slices: rollups for whole hours, history for the two that a window cuts.

-- name: performance(end, start, interval_s, vehicle_id)^
-- Sums of one vehicle over a window. An hour is covered by as many readings as it should have at
-- most, so that a crowded hour does not hide a gap; with several meters their mean counts.
with hours as (
    select
        e.*,
        greatest(
            extract(epoch from least(e.hour + interval '1 hour', :end, now()) - greatest(e.hour, :start))::float8,
            0
        ) / :interval_s::float8 as expected
    from vehicle_energy(:vehicle_id, :start, :end) as e
),
covered as (
    select
        least(sum(h.dc_readings), max(h.expected)) as dc,
        avg(least(h.ac_readings, h.expected)) filter (where h.meter_id is not null) as ac
    from hours as h
    group by h.hour
)
select
    coalesce(sum(h.dc_mwh), 0)::bigint as dc_mwh,
    coalesce(sum(h.dc_mwh) filter (where h.ac_mwh is not null), 0)::bigint as metered_dc_mwh,
    sum(h.ac_mwh)::bigint as ac_mwh,
    coalesce(sum(h.dc_readings), 0)::bigint as readings,
    coalesce(sum(h.dc_readings) filter (where h.meter_id is null), 0)::bigint as readings_without_meter,
    count(*) filter (where h.meter_id is not null and h.ac_mwh is null) as hours_without_ac,
    sum(h.battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
    max(h.battery_temp_cdeg_max) as battery_temp_cdeg_max,
    min(h.soc_bp_min) as soc_bp_min,
    max(h.soc_bp_max) as soc_bp_max,
    coalesce(array_agg(distinct h.meter_id) filter (where h.meter_id is not null), '{}') as meter_ids,
    (select coalesce(sum(c.dc), 0) from covered as c)::float8 as covered_dc,
    (select coalesce(sum(c.ac), 0) from covered as c)::float8 as covered_ac,
    greatest(extract(epoch from least(:end, now()) - :start), 0)::float8 / :interval_s::float8 as expected
from hours as h

-- name: vehicle_energy(bucket, vehicle_id, start, end, limit)
-- One vehicle's energy by hour or day of UTC, oldest first; empty buckets are left out.
select
    date_bin(:bucket, e.hour, '2000-01-01 00:00:00+00') as bucket,
    sum(e.dc_readings)::bigint as readings,
    sum(e.dc_mwh)::bigint as dc_mwh,
    coalesce(sum(e.dc_mwh) filter (where e.ac_mwh is not null), 0)::bigint as metered_dc_mwh,
    sum(e.ac_mwh)::bigint as ac_mwh,
    sum(e.battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
    max(e.battery_temp_cdeg_max) as battery_temp_cdeg_max,
    min(e.soc_bp_min) as soc_bp_min,
    max(e.soc_bp_max) as soc_bp_max,
    coalesce(array_agg(distinct e.meter_id) filter (where e.meter_id is not null), '{}') as meter_ids
from vehicle_energy(:vehicle_id, :start, :end) as e
group by 1
order by 1
limit :limit

-- name: meter_energy(bucket, meter_id, start, end, limit)
-- One meter's energy by hour or day of UTC, oldest first; empty buckets are left out.
select
    date_bin(:bucket, s.hour, '2000-01-01 00:00:00+00') as bucket,
    sum(s.readings)::bigint as readings,
    sum(s.energy_mwh)::bigint as ac_mwh,
    sum(s.voltage_mv_sum)::bigint as voltage_mv_sum,
    min(s.voltage_mv_min) as voltage_mv_min,
    max(s.voltage_mv_max) as voltage_mv_max
from meter_slices(array[:meter_id], :start, :end) as s
group by 1
order by 1
limit :limit
