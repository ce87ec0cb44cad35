-- The rollups where there are no continuous aggregates: plain views over history, under the same
-- names and columns. Buckets start at whole hours and days of UTC.

create or replace view vehicle_hourly as
select
    date_bin('1 hour', time, '2000-01-01 00:00:00+00') as bucket,
    vehicle_id,
    meter_id,
    count(*) as readings,
    count(*) filter (where register_mwh is null) as interval_readings,
    coalesce(sum(span_ms), 0)::bigint as span_ms,
    count(*) filter (where reset) as resets,
    sum(energy_mwh)::bigint as energy_mwh,
    min(soc_bp) as soc_bp_min,
    max(soc_bp) as soc_bp_max,
    sum(battery_temp_cdeg) as battery_temp_cdeg_sum,
    min(battery_temp_cdeg) as battery_temp_cdeg_min,
    max(battery_temp_cdeg) as battery_temp_cdeg_max
from vehicle_readings
group by 1, 2, 3;

create or replace view vehicle_daily as
select
    date_bin('1 day', bucket, '2000-01-01 00:00:00+00') as bucket,
    vehicle_id,
    meter_id,
    sum(readings)::bigint as readings,
    sum(interval_readings)::bigint as interval_readings,
    sum(span_ms)::bigint as span_ms,
    sum(resets)::bigint as resets,
    sum(energy_mwh)::bigint as energy_mwh,
    min(soc_bp_min) as soc_bp_min,
    max(soc_bp_max) as soc_bp_max,
    sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum,
    min(battery_temp_cdeg_min) as battery_temp_cdeg_min,
    max(battery_temp_cdeg_max) as battery_temp_cdeg_max
from vehicle_hourly
group by 1, 2, 3;

create or replace view meter_hourly as
select
    date_bin('1 hour', time, '2000-01-01 00:00:00+00') as bucket,
    meter_id,
    count(*) as readings,
    count(*) filter (where register_mwh is null) as interval_readings,
    coalesce(sum(span_ms), 0)::bigint as span_ms,
    count(*) filter (where reset) as resets,
    sum(energy_mwh)::bigint as energy_mwh,
    sum(voltage_mv) as voltage_mv_sum,
    min(voltage_mv) as voltage_mv_min,
    max(voltage_mv) as voltage_mv_max
from meter_readings
group by 1, 2;

create or replace view meter_daily as
select
    date_bin('1 day', bucket, '2000-01-01 00:00:00+00') as bucket,
    meter_id,
    sum(readings)::bigint as readings,
    sum(interval_readings)::bigint as interval_readings,
    sum(span_ms)::bigint as span_ms,
    sum(resets)::bigint as resets,
    sum(energy_mwh)::bigint as energy_mwh,
    sum(voltage_mv_sum)::bigint as voltage_mv_sum,
    min(voltage_mv_min) as voltage_mv_min,
    max(voltage_mv_max) as voltage_mv_max
from meter_hourly
group by 1, 2;

-- A view is never behind, so there is nothing to catch up with: nothing is rolled up before the first
-- of all times.
create or replace function rolled_up_before(p_source text)
returns timestamptz
language sql
immutable
return '0001-01-01 00:00:00+00'::timestamptz;

create or replace view rolled_up_vehicle_hours as
select *
from vehicle_hourly
where false;

create or replace view rolled_up_meter_hours as
select *
from meter_hourly
where false;

create or replace function rolled_up_until()
returns timestamptz
language sql
immutable
return '-infinity'::timestamptz;

create or replace procedure refresh_late_hours()
language sql
begin atomic
end;

create or replace function configure_retention(p_days integer)
returns void
language sql
begin atomic
end;

create or replace function failing_jobs()
returns table (job text, error text)
language sql
stable
begin atomic
    select null::text, null::text where false;
end;
