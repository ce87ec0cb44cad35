-- The rollups without continuous aggregates: plain views over history, with the same names and columns, and the
-- stored rollups of history that was dropped. Buckets begin a microsecond after the quarter hour, hour or day of UTC:
-- a reading stamped 11:00 belongs to the quarter before.

create or replace view quarter_hourly as
select
    date_bin('15 minutes', time, '2000-01-01 00:00:00.000001+00') as bucket,
    device,
    meter,
    count(*) as readings,
    count(*) filter (where reset) as resets,
    coalesce(sum(energy_mwh) filter (where not spread), 0)::bigint as energy_mwh,
    coalesce(sum(span_ms) filter (where not spread), 0)::bigint as covered_ms,
    -- each rollup, last: {of_history} as {name},
    min(soc_bp) as soc_bp_min, max(soc_bp) as soc_bp_max, count(battery_temp_cdeg) as battery_temp_cdeg_count,
    coalesce(sum(battery_temp_cdeg), 0)::bigint as battery_temp_cdeg_sum,
    min(battery_temp_cdeg) as battery_temp_cdeg_min, max(battery_temp_cdeg) as battery_temp_cdeg_max,
    count(power_w) as power_w_count, coalesce(sum(power_w), 0)::bigint as power_w_sum, min(power_w) as power_w_min,
    max(power_w) as power_w_max,
    count(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))) as voltage_mv_count,
    coalesce(sum(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))), 0)::bigint as
        voltage_mv_sum,
    min(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))) as voltage_mv_min,
    max(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))) as voltage_mv_max,
    count(voltage_l1_mv) as voltage_l1_mv_count, coalesce(sum(voltage_l1_mv), 0)::bigint as voltage_l1_mv_sum,
    min(voltage_l1_mv) as voltage_l1_mv_min, max(voltage_l1_mv) as voltage_l1_mv_max,
    count(voltage_l2_mv) as voltage_l2_mv_count, coalesce(sum(voltage_l2_mv), 0)::bigint as voltage_l2_mv_sum,
    min(voltage_l2_mv) as voltage_l2_mv_min, max(voltage_l2_mv) as voltage_l2_mv_max,
    count(voltage_l3_mv) as voltage_l3_mv_count, coalesce(sum(voltage_l3_mv), 0)::bigint as voltage_l3_mv_sum,
    min(voltage_l3_mv) as voltage_l3_mv_min, max(voltage_l3_mv) as voltage_l3_mv_max
    -- end
from readings
group by 1, 2, 3
union all
select *
from kept_quarter_hours;

create or replace view hourly as
select
    date_bin('1 hour', bucket, '2000-01-01 00:00:00.000001+00') as bucket,
    device,
    meter,
    sum(readings)::bigint as readings,
    sum(resets)::bigint as resets,
    sum(energy_mwh)::bigint as energy_mwh,
    sum(covered_ms)::bigint as covered_ms,
    -- each rollup, last: {of_rollup} as {name},
    min(soc_bp_min) as soc_bp_min, max(soc_bp_max) as soc_bp_max,
    sum(battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
    sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum, min(battery_temp_cdeg_min) as battery_temp_cdeg_min,
    max(battery_temp_cdeg_max) as battery_temp_cdeg_max, sum(power_w_count)::bigint as power_w_count,
    sum(power_w_sum)::bigint as power_w_sum, min(power_w_min) as power_w_min, max(power_w_max) as power_w_max,
    sum(voltage_mv_count)::bigint as voltage_mv_count, sum(voltage_mv_sum)::bigint as voltage_mv_sum,
    min(voltage_mv_min) as voltage_mv_min, max(voltage_mv_max) as voltage_mv_max,
    sum(voltage_l1_mv_count)::bigint as voltage_l1_mv_count, sum(voltage_l1_mv_sum)::bigint as voltage_l1_mv_sum,
    min(voltage_l1_mv_min) as voltage_l1_mv_min, max(voltage_l1_mv_max) as voltage_l1_mv_max,
    sum(voltage_l2_mv_count)::bigint as voltage_l2_mv_count, sum(voltage_l2_mv_sum)::bigint as voltage_l2_mv_sum,
    min(voltage_l2_mv_min) as voltage_l2_mv_min, max(voltage_l2_mv_max) as voltage_l2_mv_max,
    sum(voltage_l3_mv_count)::bigint as voltage_l3_mv_count, sum(voltage_l3_mv_sum)::bigint as voltage_l3_mv_sum,
    min(voltage_l3_mv_min) as voltage_l3_mv_min, max(voltage_l3_mv_max) as voltage_l3_mv_max
    -- end
from quarter_hourly
group by 1, 2, 3;

create or replace view daily as
select
    date_bin('1 day', bucket, '2000-01-01 00:00:00.000001+00') as bucket,
    device,
    meter,
    sum(readings)::bigint as readings,
    sum(resets)::bigint as resets,
    sum(energy_mwh)::bigint as energy_mwh,
    sum(covered_ms)::bigint as covered_ms,
    -- each rollup, last: {of_rollup} as {name},
    min(soc_bp_min) as soc_bp_min, max(soc_bp_max) as soc_bp_max,
    sum(battery_temp_cdeg_count)::bigint as battery_temp_cdeg_count,
    sum(battery_temp_cdeg_sum)::bigint as battery_temp_cdeg_sum, min(battery_temp_cdeg_min) as battery_temp_cdeg_min,
    max(battery_temp_cdeg_max) as battery_temp_cdeg_max, sum(power_w_count)::bigint as power_w_count,
    sum(power_w_sum)::bigint as power_w_sum, min(power_w_min) as power_w_min, max(power_w_max) as power_w_max,
    sum(voltage_mv_count)::bigint as voltage_mv_count, sum(voltage_mv_sum)::bigint as voltage_mv_sum,
    min(voltage_mv_min) as voltage_mv_min, max(voltage_mv_max) as voltage_mv_max,
    sum(voltage_l1_mv_count)::bigint as voltage_l1_mv_count, sum(voltage_l1_mv_sum)::bigint as voltage_l1_mv_sum,
    min(voltage_l1_mv_min) as voltage_l1_mv_min, max(voltage_l1_mv_max) as voltage_l1_mv_max,
    sum(voltage_l2_mv_count)::bigint as voltage_l2_mv_count, sum(voltage_l2_mv_sum)::bigint as voltage_l2_mv_sum,
    min(voltage_l2_mv_min) as voltage_l2_mv_min, max(voltage_l2_mv_max) as voltage_l2_mv_max,
    sum(voltage_l3_mv_count)::bigint as voltage_l3_mv_count, sum(voltage_l3_mv_sum)::bigint as voltage_l3_mv_sum,
    min(voltage_l3_mv_min) as voltage_l3_mv_min, max(voltage_l3_mv_max) as voltage_l3_mv_max
    -- end
from hourly
group by 1, 2, 3;

-- Final rollups of history that was dropped.
create or replace view rolled_up_quarter_hours as
select *
from kept_quarter_hours;

-- Hours and days are always added up from quarter hours.
create or replace view rolled_up_hours as
select *
from kept_quarter_hours
where false;

create or replace view rolled_up_days as
select *
from kept_quarter_hours
where false;

-- Return the quarter hour, hour and day of UTC of a bucket.
create or replace function quarter_of(p_bucket timestamptz)
returns timestamptz
language sql
immutable
return date_bin('15 minutes', p_bucket, '2000-01-01 00:00:00+00');

create or replace function hour_of(p_bucket timestamptz)
returns timestamptz
language sql
immutable
return date_bin('1 hour', p_bucket, '2000-01-01 00:00:00+00');

create or replace function day_of(p_bucket timestamptz)
returns timestamptz
language sql
immutable
return date_bin('1 day', p_bucket, '2000-01-01 00:00:00+00');

-- A change of history before this time must be noted in late_hours, and the device in late_devices. A view is always
-- current, so nothing has to be rolled up again; but the hour may have been evaluated.
create or replace function rolled_up_before()
returns timestamptz
language plpgsql
stable
as $$
begin
    return evaluated_before();
end;
$$;

-- The time since when history is complete.
create or replace function kept_since()
returns timestamptz
language sql
stable
begin atomic
    select k.since
    from kept_history as k;
end;

create or replace function rolled_up_until()
returns timestamptz
language plpgsql
stable
as $$
begin
    return (select k.since from kept_history as k);
end;
$$;

-- The hours that are accounted for end here. A change of those before is noted in late_hours (rolled_up_before()); a
-- transaction that began before that has eleven minutes to commit.
create or replace function accountable_until()
returns timestamptz
language sql
stable
return floor_hour(now() - interval '15 minutes');

-- The first hour to account for, from a time on; null without devices. Looking for the oldest reading of every device
-- would cost more than accounting for hours without any, which happens once.
create or replace function accountable_from(p_begin timestamptz)
returns timestamptz
language sql
stable
begin atomic
    select case when exists (select from live_state) then ceil_hour(greatest(p_begin, kept_since())) end;
end;

-- Views need no refresh: only the hours' accounting and sums of meters are deleted, so that they are made again. An
-- interval may begin in dropped history and end in what is kept. Not while an hour is accounted for: it might not hold
-- the change.
create or replace procedure refresh_late_hours()
language plpgsql
as $$
begin
    if not exists (select from late_hours) or not pg_try_advisory_lock(hashtext('fleetmeter.refresh_late_hours')) then
        return;
    end if;
    with late as (
        delete from late_hours as h
        returning h.hour
    ),
    metered as (
        delete from metered_hours as m
        where m.hour in (select l.hour from late as l)
    )
    delete from accounted_hours as a
    where a.hour in (select l.hour from late as l);
    commit;
    perform pg_advisory_unlock(hashtext('fleetmeter.refresh_late_hours'));
end;
$$;

-- History is kept for p_days, and dropped a day later, so that accepted readings never belong to hours of which only
-- rollups are left.
create or replace function configure_retention(p_days integer)
returns void
language sql
begin atomic
    update retention
    set days = p_days;
end;

-- Drops history before a time, keeps its rollups, and returns the number of readings. Device by device, since the
-- primary key is the only index of history, and planned for this time: nearly all of history is newer.
create or replace function drop_history_before(p_time timestamptz)
returns bigint
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_readings bigint;
begin
    with dropped as (
        delete from readings as r
        using live_state as s
        where r.device = s.device
            and r.time <= p_time
        returning r.*
    ),
    kept as (
        insert into kept_quarter_hours
        select
            date_bin('15 minutes', time, '2000-01-01 00:00:00.000001+00'),
            device,
            meter,
            count(*),
            count(*) filter (where reset),
            coalesce(sum(energy_mwh) filter (where not spread), 0),
            coalesce(sum(span_ms) filter (where not spread), 0),
            -- each rollup, last: {of_history},
            min(soc_bp), max(soc_bp), count(battery_temp_cdeg), coalesce(sum(battery_temp_cdeg), 0)::bigint,
            min(battery_temp_cdeg), max(battery_temp_cdeg), count(power_w), coalesce(sum(power_w), 0)::bigint,
            min(power_w), max(power_w),
            count(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))),
            coalesce(sum(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))), 0)::bigint,
            min(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))),
            max(coalesce(voltage_mv, mean_of(voltage_l1_mv, voltage_l2_mv, voltage_l3_mv))), count(voltage_l1_mv),
            coalesce(sum(voltage_l1_mv), 0)::bigint, min(voltage_l1_mv), max(voltage_l1_mv), count(voltage_l2_mv),
            coalesce(sum(voltage_l2_mv), 0)::bigint, min(voltage_l2_mv), max(voltage_l2_mv), count(voltage_l3_mv),
            coalesce(sum(voltage_l3_mv), 0)::bigint, min(voltage_l3_mv), max(voltage_l3_mv)
            -- end
        from dropped
        group by 1, 2, 3
    )
    select count(*)
    into l_readings
    from dropped;
    update kept_history as k
    set since = p_time
    where k.since < p_time;
    return l_readings;
end;
$$;

-- Drops history past its retention, a day per transaction, oldest first. One session at a time.
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
            select (select min(r.time) from readings as r where r.device = s.device) as time
            from live_state as s
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

-- Without a columnstore there is nothing to do.
create or replace procedure pack_rollups()
language sql
begin atomic
    select;
end;

create or replace function failing_jobs()
returns table (job text, error text)
language sql
stable
begin atomic
    select null::text, null::text where false;
end;

-- How far behind the rollup of quarter hours is, seconds; a view never is.
create or replace function rollup_lag_s()
returns double precision
language sql
immutable
return 0;
