-- The rollups where there are no continuous aggregates: plain views over history, under the same
-- names and columns, and what is kept of history that was dropped. Buckets start at whole hours and days of UTC.

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
group by 1, 2, 3
union all
select
    bucket,
    vehicle_id,
    meter_id,
    readings,
    interval_readings,
    span_ms,
    resets,
    energy_mwh,
    soc_bp_min,
    soc_bp_max,
    battery_temp_cdeg_sum,
    battery_temp_cdeg_min,
    battery_temp_cdeg_max
from kept_vehicle_hours;

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
group by 1, 2
union all
select
    bucket,
    meter_id,
    readings,
    interval_readings,
    span_ms,
    resets,
    energy_mwh,
    voltage_mv_sum,
    voltage_mv_min,
    voltage_mv_max
from kept_meter_hours;

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

-- A change of history before this time must be noted in late_hours, and the device in late_devices. A view is never
-- behind, so that nothing has to be rolled up again; but it may have been evaluated.
create or replace function rolled_up_before(p_source text)
returns timestamptz
language plpgsql
stable
as $$
begin
    return evaluated_before();
end;
$$;

create or replace view rolled_up_vehicle_hours as
select *
from kept_vehicle_hours;

create or replace view rolled_up_meter_hours as
select *
from kept_meter_hours;

-- Days are always added up from hours.
create or replace view rolled_up_vehicle_days as
select *
from kept_vehicle_hours
where false;

create or replace view rolled_up_meter_days as
select *
from kept_meter_hours
where false;

-- From when on every reading of this source is still in history.
create or replace function kept_since(p_source text)
returns timestamptz
language sql
stable
begin atomic
    select k.since
    from kept_history as k
    where k.source = p_source;
end;

create or replace function rolled_up_until()
returns timestamptz
language plpgsql
stable
as $$
begin
    return (select min(k.since) from kept_history as k);
end;
$$;

-- There is nothing to refresh: the hours are forgotten.
create or replace procedure refresh_late_hours()
language sql
begin atomic
    delete from late_hours;
end;

-- History is kept for p_days, and dropped a day after, so that readings which are still accepted never meet hours
-- that are kept as rollups alone.
create or replace function configure_retention(p_days integer)
returns void
language sql
begin atomic
    update retention
    set days = p_days;
end;

-- Drops history before a time, and keeps its rollups; how many readings that were. Device by device, since the primary
-- key is the only index of history, and planned for this time: nearly all of history lies behind it.
create or replace function drop_history_before(p_time timestamptz)
returns bigint
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_vehicle_readings bigint;
    l_meter_readings bigint;
begin
    with dropped as (
        delete from vehicle_readings as r
        using vehicle_state as v
        where r.vehicle_id = v.vehicle_id
            and r.time < p_time
        returning r.*
    ),
    kept as (
        insert into kept_vehicle_hours
        select
            date_bin('1 hour', d.time, '2000-01-01 00:00:00+00'),
            d.vehicle_id,
            d.meter_id,
            count(*),
            count(*) filter (where d.register_mwh is null),
            coalesce(sum(d.span_ms), 0),
            count(*) filter (where d.reset),
            sum(d.energy_mwh),
            min(d.soc_bp),
            max(d.soc_bp),
            sum(d.battery_temp_cdeg),
            min(d.battery_temp_cdeg),
            max(d.battery_temp_cdeg)
        from dropped as d
        group by 1, 2, 3
    )
    select count(*)
    into l_vehicle_readings
    from dropped;
    with dropped as (
        delete from meter_readings as r
        using meter_state as m
        where r.meter_id = m.meter_id
            and r.time < p_time
        returning r.*
    ),
    kept as (
        insert into kept_meter_hours
        select
            date_bin('1 hour', d.time, '2000-01-01 00:00:00+00'),
            d.meter_id,
            count(*),
            count(*) filter (where d.register_mwh is null),
            coalesce(sum(d.span_ms), 0),
            count(*) filter (where d.reset),
            sum(d.energy_mwh),
            sum(d.voltage_mv),
            min(d.voltage_mv),
            max(d.voltage_mv)
        from dropped as d
        group by 1, 2
    )
    select count(*)
    into l_meter_readings
    from dropped;
    update kept_history as k
    set since = p_time
    where k.since < p_time;
    return l_vehicle_readings + l_meter_readings;
end;
$$;

-- Drops what is older than history is kept, a day a transaction, the oldest first. One session at a time.
create or replace procedure drop_old_history()
language plpgsql
as $$
declare
    l_started constant timestamptz := clock_timestamp();
    l_until timestamptz;
    l_day_end timestamptz;
    l_readings bigint := 0;
begin
    if not pg_try_advisory_lock(hashtext('fleetmeter.drop_old_history')) then
        return;
    end if;
    select date_bin('1 day', now() - make_interval(days => r.days + 1), '2000-01-01 00:00:00+00')
    into l_until
    from retention as r;
    loop
        select date_bin('1 day', min(o.time), '2000-01-01 00:00:00+00') + interval '24 hours'
        into l_day_end
        from (
            select (select min(r.time) from vehicle_readings as r where r.vehicle_id = v.vehicle_id) as time
            from vehicle_state as v
            union all
            select (select min(r.time) from meter_readings as r where r.meter_id = m.meter_id)
            from meter_state as m
        ) as o;
        exit when l_day_end is null or l_day_end > l_until;
        l_readings := l_readings + drop_history_before(l_day_end);
        commit;
    end loop;
    perform drop_old_versions();
    update retention
    set
        ran_at = l_started,
        took = clock_timestamp() - l_started,
        readings = l_readings;
    commit;
    perform pg_advisory_unlock(hashtext('fleetmeter.drop_old_history'));
end;
$$;

create or replace function failing_jobs()
returns table (job text, error text)
language sql
stable
begin atomic
    select null::text, null::text where false;
end;
