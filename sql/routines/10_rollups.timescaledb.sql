-- What keeps the continuous aggregates true: which history they may already hold, the refresh of
-- hours that changed after that, and the policies.

-- Up to where a rollup of this source stops reading history (the end of what it has materialised).
-- From the catalogue itself: every batch asks, and the information view joins far more than this needs.
-- In plpgsql, as rolled_up_before(): its plans stay, while a function in SQL is planned at each call.
create or replace function watermark(p_rollup text)
returns timestamptz
language plpgsql
stable
as $$
begin
    return (
        select _timescaledb_functions.to_timestamp(_timescaledb_functions.cagg_watermark(c.mat_hypertable_id))
        from _timescaledb_catalog.continuous_agg as c
        where c.user_view_schema = current_schema()
            and c.user_view_name = p_rollup
    );
end;
$$;

-- What the rollups hold, without the fresh hours that they read from history when they are asked: who
-- reads those too names their beginning, rolled_up_until(), and spares the planner half of the work.
do $$
declare
    l_rollup record;
begin
    for l_rollup in
        select
            format('rolled_up_%s', replace(replace(c.user_view_name, 'hourly', 'hours'), 'daily', 'days')) as view,
            format('select * from %I.%I', h.schema_name, h.table_name) as query
        from _timescaledb_catalog.continuous_agg as c
        join _timescaledb_catalog.hypertable as h
            on h.id = c.mat_hypertable_id
        where c.user_view_schema = current_schema()
            and c.user_view_name in ('vehicle_hourly', 'vehicle_daily', 'meter_hourly', 'meter_daily')
    loop
        execute format('create or replace view %I as %s', l_rollup.view, l_rollup.query);
    end loop;
end;
$$;

-- When the oldest chunk of this source begins; null: there is none.
create or replace function history_begins(p_source text)
returns timestamptz
language plpgsql
stable
as $$
begin
    return (
        select min(c.range_start)
        from timescaledb_information.chunks as c
        where c.hypertable_schema = current_schema()
            and c.hypertable_name = p_source
    );
end;
$$;

-- Up to where the hourly rollups of both sources hold all that there is. One may be far behind because its source
-- has sent nothing for long, or never: then there is nothing to roll up before its history begins.
create or replace function rolled_up_until()
returns timestamptz
language plpgsql
stable
as $$
declare
    l_vehicles timestamptz := coalesce(watermark('vehicle_hourly'), '-infinity');
    l_meters timestamptz := coalesce(watermark('meter_hourly'), '-infinity');
begin
    if l_vehicles > l_meters + interval '1 day' then
        l_meters := greatest(l_meters, coalesce(history_begins('meter_readings'), 'infinity'));
    elsif l_meters > l_vehicles + interval '1 day' then
        l_vehicles := greatest(l_vehicles, coalesce(history_begins('vehicle_readings'), 'infinity'));
    end if;
    return least(l_vehicles, l_meters);
end;
$$;

-- The two rollups over a table of readings.
create or replace function hourly_rollup(p_source text)
returns text
language sql
immutable
return case p_source when 'vehicle_readings' then 'vehicle_hourly' else 'meter_hourly' end;

create or replace function daily_rollup(p_source text)
returns text
language sql
immutable
return case p_source when 'vehicle_readings' then 'vehicle_daily' else 'meter_daily' end;

-- A change of history before this time must be noted in late_hours, and the device in late_devices. The refresh
-- policies end an hour before now, so whatever is older can be rolled up by one that is running at this moment,
-- before its watermark tells, or that starts within the next minutes, while the change commits; and it may be
-- evaluated, which is later than that.
create or replace function rolled_up_before(p_source text)
returns timestamptz
language plpgsql
stable
as $$
begin
    return greatest(
        watermark(hourly_rollup(p_source)),
        watermark(daily_rollup(p_source)),
        evaluated_before()
    );
end;
$$;

-- Refreshes the hours of late_hours, and forgets them; a day at a time, so that whatever interrupts it
-- loses little. An hour that the hourly rollup does not hold yet (real-time aggregation still reads it
-- from history) keeps its row until it does: a refresh never moves a watermark into the present. Only
-- where the daily rollup is ahead (the newest rolled up hour was not the last of its day) does the
-- hourly one follow up to there: the daily one learns of a change from it alone.
-- One session at a time does this; a refresh that meets a policy's fails, and the rows stay.
-- Hours whose history has been dropped are left alone: to refresh them would delete their rollups.
create or replace procedure refresh_late_hours()
language plpgsql
as $$
declare
    l_source text;
    l_hourly_end timestamptz;
    l_daily_end timestamptz;
    l_kept_since timestamptz;
    l_day timestamptz;
    l_ids bigint[];
    l_ranges tstzmultirange;
    l_range tstzrange;
begin
    if not exists (select from late_hours) then
        return;
    end if;
    if not pg_try_advisory_lock(hashtext('fleetmeter.refresh_late_hours')) then
        return;
    end if;
    foreach l_source in array array['vehicle_readings', 'meter_readings'] loop
        l_kept_since := kept_since(l_source);
        l_hourly_end := watermark(hourly_rollup(l_source));
        l_daily_end := watermark(daily_rollup(l_source));
        if exists (
            select
            from late_hours as h
            where h.source = l_source
                and h.hour >= greatest(l_hourly_end, l_kept_since)
                and h.hour < l_daily_end
        ) then
            call refresh_continuous_aggregate(hourly_rollup(l_source)::regclass, l_hourly_end, l_daily_end);
        end if;
        l_day := null;
        loop
            l_hourly_end := watermark(hourly_rollup(l_source));
            l_daily_end := watermark(daily_rollup(l_source));
            select time_bucket(interval '1 day', min(h.hour))
            into l_day
            from late_hours as h
            where h.source = l_source
                and h.hour < l_hourly_end
                and (l_day is null or h.hour >= l_day + interval '24 hours');
            exit when l_day is null;

            select array_agg(h.id), range_agg(tstzrange(h.hour, h.hour + interval '1 hour')) filter (where h.hour >= l_kept_since)
            into l_ids, l_ranges
            from late_hours as h
            where h.source = l_source
                and h.hour >= l_day
                and h.hour < least(l_day + interval '24 hours', l_hourly_end);

            for l_range in select unnest(l_ranges) loop
                call refresh_continuous_aggregate(hourly_rollup(l_source)::regclass, lower(l_range), upper(l_range));
            end loop;
            if l_ranges is not null and l_day < l_daily_end then
                call refresh_continuous_aggregate(daily_rollup(l_source)::regclass, l_day, l_day + interval '24 hours');
            end if;
            delete from accounted_hours as a
            using late_hours as h
            where h.id = any(l_ids)
                and a.hour = h.hour;
            delete from late_hours where id = any(l_ids);
            commit;
        end loop;
    end loop;
    perform pg_advisory_unlock(hashtext('fleetmeter.refresh_late_hours'));
end;
$$;

-- From when on every reading of this source is still in history.
create or replace function kept_since(p_source text)
returns timestamptz
language sql
stable
begin atomic
    select greatest(
        (select k.since from kept_history as k where k.source = p_source),
        history_begins(p_source)
    );
end;

-- Sets the policies for a history of p_days. Readings are accepted and rollups refreshed that far
-- back; history is dropped only a day after, so that no refresh ever meets an hour without its
-- readings (it would delete the hour's rollup). The rollups themselves are kept for ever.
--
-- When history has been dropped before and p_days is raised, it grows back from there: kept_history
-- remembers where it begins, and refreshes go back no further.
--
-- Oldest first: a backlog must not move the watermark past hours that are not rolled up yet.
create or replace function configure_retention(p_days integer)
returns void
language plpgsql
as $$
declare
    l_keep constant interval := make_interval(days => p_days + 1);
    l_refresh interval;
    l_source text;
    l_history_start timestamptz;
    l_rolled_up boolean;
begin
    update retention
    set days = p_days;
    foreach l_source in array array['vehicle_readings', 'meter_readings'] loop
        l_history_start := history_begins(l_source);
        execute format('select exists (select from %I where bucket < $1)', hourly_rollup(l_source))
        into l_rolled_up
        using l_history_start;
        if l_rolled_up then
            update kept_history as k
            set since = l_history_start
            where k.source = l_source
                and k.since < l_history_start;
        end if;
        -- at least what a policy over days needs
        select greatest(
            interval '3 days',
            least(make_interval(days => p_days), make_interval(days => extract(day from now() - k.since)::integer))
        )
        into l_refresh
        from kept_history as k
        where k.source = l_source;

        -- whatever else they are, set by an earlier version, by another setting or by hand, they are made anew
        if (
            select count(*)
            from timescaledb_information.jobs as j
            where j.hypertable_schema = current_schema()
                and (
                    j.proc_name = 'policy_retention'
                    and j.hypertable_name = l_source
                    and (j.config ->> 'drop_after')::interval = l_keep
                    or j.proc_name = 'policy_refresh_continuous_aggregate'
                    and j.hypertable_name in (hourly_rollup(l_source), daily_rollup(l_source))
                    and (j.config ->> 'start_offset')::interval = l_refresh
                )
        ) <> 3 then
            perform remove_retention_policy(l_source, if_exists => true);
            perform remove_continuous_aggregate_policy(hourly_rollup(l_source), if_exists => true);
            perform remove_continuous_aggregate_policy(daily_rollup(l_source), if_exists => true);
            perform add_continuous_aggregate_policy(
                hourly_rollup(l_source),
                start_offset => l_refresh,
                end_offset => interval '1 hour',
                schedule_interval => interval '10 minutes',
                refresh_newest_first => false
            );
            perform add_continuous_aggregate_policy(
                daily_rollup(l_source),
                start_offset => l_refresh,
                end_offset => interval '1 day',
                schedule_interval => interval '1 hour',
                refresh_newest_first => false
            );
            perform add_retention_policy(l_source, l_keep);
        end if;
    end loop;
end;
$$;

-- History is dropped by its retention policies, chunk by chunk. What goes with it follows here; one session at a time.
create or replace procedure drop_old_history()
language plpgsql
as $$
begin
    if pg_try_advisory_xact_lock(hashtext('fleetmeter.drop_old_history')) then
        perform drop_old_versions();
    end if;
end;
$$;

-- Jobs (refresh, retention, columnstore) whose last run failed, with the newest error.
create or replace function failing_jobs()
returns table (job text, error text)
language sql
stable
begin atomic
    select
        format('%s on %s', j.proc_name, s.hypertable_name),
        (
            select e.err_message
            from timescaledb_information.job_errors as e
            where e.job_id = s.job_id
            order by e.start_time desc
            limit 1
        )
    from timescaledb_information.job_stats as s
    join timescaledb_information.jobs as j
        on j.job_id = s.job_id
    where s.last_run_status = 'Failed';
end;
