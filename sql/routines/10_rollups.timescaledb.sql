-- Keeps the continuous aggregates correct: which history they may already hold, the refresh of hours that changed
-- after that, and the policies.

-- The end of what a rollup has materialised, after which it reads its source ('-infinity': nothing is materialised).
-- Read from the catalogue directly: every batch asks, and the information view joins far more than this needs.
-- In plpgsql, like rolled_up_before(): its plans are cached, while a function in SQL is planned at each call.
create or replace function watermark(p_rollup text)
returns timestamptz
language plpgsql
stable
as $$
begin
    return (
        select
            case
                when w.ends < '0001-01-01 00:00:00+00' then '-infinity'
                else w.ends
            end
        from _timescaledb_catalog.continuous_agg as c
        cross join lateral (
            select _timescaledb_functions.to_timestamp(_timescaledb_functions.cagg_watermark(c.mat_hypertable_id))
        ) as w (ends)
        where c.user_view_schema = current_schema()
            and c.user_view_name = p_rollup
    );
end;
$$;

-- The materialised part of the rollups, without the fresh hours that they read from history on demand: callers that
-- also read those pass their start, rolled_up_until(), which saves the planner half of the work.
do $$
declare
    l_rollup record;
begin
    for l_rollup in
        select
            v.view,
            format('select * from %I.%I', h.schema_name, h.table_name) as query
        from (
            values
                ('quarter_hourly', 'rolled_up_quarter_hours'),
                ('hourly', 'rolled_up_hours'),
                ('daily', 'rolled_up_days')
        ) as v (rollup, view)
        join _timescaledb_catalog.continuous_agg as c
            on c.user_view_schema = current_schema()
            and c.user_view_name = v.rollup
        join _timescaledb_catalog.hypertable as h
            on h.id = c.mat_hypertable_id
    loop
        execute format('create or replace view %I as %s', l_rollup.view, l_rollup.query);
    end loop;
end;
$$;

-- The start of the oldest chunk of history; null without chunks. Read from the catalogue directly, like watermark():
-- every answer asks.
create or replace function history_begins()
returns timestamptz
language plpgsql
stable
as $$
begin
    return (
        select _timescaledb_functions.to_timestamp(min(s.range_start))
        from _timescaledb_catalog.hypertable as h
        join _timescaledb_catalog.dimension as d
            on d.hypertable_id = h.id
        join _timescaledb_catalog.dimension_slice as s
            on s.dimension_id = d.id
        where h.schema_name = current_schema()
            and h.table_name = 'readings'
    );
end;
$$;

-- The time up to which the rollup of quarter hours is complete: a whole quarter hour.
create or replace function rolled_up_until()
returns timestamptz
language plpgsql
stable
as $$
begin
    return floor_quarter(watermark('quarter_hourly'));
end;
$$;

-- The hours that are accounted for end here: they are rolled up.
create or replace function accountable_until()
returns timestamptz
language plpgsql
stable
as $$
begin
    return floor_hour(rolled_up_until());
end;
$$;

-- The first hour to account for, from a time on; null without any.
create or replace function accountable_from(p_begin timestamptz)
returns timestamptz
language plpgsql
stable
as $$
begin
    return floor_hour(
        least(
            (select min(r.bucket) from rolled_up_quarter_hours as r where r.bucket >= p_begin),
            (select min(s.bucket) from spread_energy as s where s.bucket >= p_begin)
        )
    );
end;
$$;

-- A change of history before this time must be noted in late_hours, and the device in late_devices. The refresh
-- policies end an hour before now, so anything older may be rolled up by one that is running at this moment, before
-- its watermark shows it, or by one that starts within the next minutes, while the change commits; and it may be
-- evaluated, which happens later than that.
create or replace function rolled_up_before()
returns timestamptz
language plpgsql
stable
as $$
begin
    return greatest(watermark('quarter_hourly'), watermark('hourly'), watermark('daily'), evaluated_before());
end;
$$;

-- Refreshes the hours of late_hours, and deletes them; some days at a time, so that an interruption loses little. A
-- refresh of days is planned over all chunks of history, which takes longer than the rest: once for all of them. An
-- hour that a rollup does not hold yet (real-time aggregation still reads it from what it is made from) keeps its row
-- until it does: a refresh never moves a watermark into the present. Only where a coarser rollup is ahead (the newest
-- rolled up hour was not the last of its day) do the finer ones follow up to there: it learns of a change from them
-- alone. One session at a time does this; a refresh that meets a policy's fails, and the rows stay. Hours whose history
-- has been dropped are skipped: a refresh would delete their rollups.
create or replace procedure refresh_late_hours()
language plpgsql
as $$
declare
    l_end timestamptz;
    l_daily_end timestamptz;
    l_kept_since timestamptz;
    l_first timestamptz;
    l_day timestamptz;
    l_ids bigint[];
    l_ranges tstzmultirange;
    l_range tstzrange;
    l_rollup text;
begin
    if not exists (select from late_hours) then
        return;
    end if;
    if not pg_try_advisory_lock(hashtext('fleetmeter.refresh_late_hours')) then
        return;
    end if;
    l_kept_since := kept_since();
    foreach l_rollup in array array['quarter_hourly', 'hourly'] loop
        l_end := watermark(l_rollup);
        l_daily_end := greatest(watermark('hourly'), watermark('daily'));
        if exists (
            select
            from late_hours as h
            where h.hour >= l_kept_since
                and h.hour + interval '1 microsecond' >= l_end
                and h.hour + interval '1 microsecond' < l_daily_end
        ) then
            call refresh_continuous_aggregate(l_rollup::regclass, l_end, l_daily_end);
        end if;
    end loop;
    loop
        -- the last hour that is held may have only its first quarter hours
        l_end := greatest(ceil_hour(rolled_up_until()), watermark('hourly') - interval '1 microsecond');
        l_daily_end := watermark('daily');
        select min(h.hour)
        into l_first
        from late_hours as h
        where h.hour < l_end
            and (l_first is null or h.hour >= l_first + interval '10 days');
        exit when l_first is null;

        select
            array_agg(h.id),
            range_agg(tstzrange(h.hour, h.hour + interval '1 hour')) filter (where h.hour >= l_kept_since)
        into l_ids, l_ranges
        from late_hours as h
        where h.hour >= l_first
            and h.hour < least(l_first + interval '10 days', l_end);

        for l_range in select unnest(l_ranges) loop
            foreach l_rollup in array array['quarter_hourly', 'hourly'] loop
                call refresh_continuous_aggregate(
                    l_rollup::regclass,
                    lower(l_range) + interval '1 microsecond',
                    upper(l_range) + interval '1 microsecond'
                );
            end loop;
        end loop;
        l_day := day_of(lower(l_ranges)) + interval '1 microsecond';
        if l_day < l_daily_end then
            call refresh_continuous_aggregate(
                'daily'::regclass,
                l_day,
                least(
                    day_of(upper(l_ranges) - interval '1 microsecond') + interval '24 hours 1 microsecond',
                    l_daily_end
                )
            );
        end if;
        delete from accounted_hours as a
        using late_hours as h
        where h.id = any(l_ids)
            and a.hour = h.hour;
        delete from late_hours where id = any(l_ids);
        commit;
    end loop;
    perform pg_advisory_unlock(hashtext('fleetmeter.refresh_late_hours'));
end;
$$;

-- Return the quarter hour, hour and day of UTC of a bucket. The planner inlines them, so that TimescaleDB sees a bound
-- on them as one on the bucket.
create or replace function quarter_of(p_bucket timestamptz)
returns timestamptz
language sql
immutable
return time_bucket(interval '15 minutes', p_bucket);

create or replace function hour_of(p_bucket timestamptz)
returns timestamptz
language sql
immutable
return time_bucket(interval '1 hour', p_bucket);

create or replace function day_of(p_bucket timestamptz)
returns timestamptz
language sql
immutable
return time_bucket(interval '1 day', p_bucket);

-- The start of history if older readings were dropped, of which only rollups are known. Null if none were: then all
-- that is known of the time before comes from intervals that end in history. A reading stamped at the start belongs
-- to the quarter hour before.
create or replace function dropped_before()
returns timestamptz
language plpgsql
stable
-- also for those who have others planned for their own times
set plan_cache_mode = force_generic_plan
as $$
declare
    l_begins constant timestamptz := history_begins();
begin
    if exists (select from rolled_up_quarter_hours as q where q.bucket < l_begins - interval '15 minutes') then
        return l_begins;
    end if;
    return null;
end;
$$;

-- The time since when history is complete.
create or replace function kept_since()
returns timestamptz
language plpgsql
stable
as $$
begin
    return (select greatest(k.since, dropped_before()) from kept_history as k);
end;
$$;

-- Sets the policies for a history of p_days. Readings are accepted and rollups refreshed that far
-- back; history is dropped only a day after, so that no refresh ever meets an hour without its
-- readings (it would delete the hour's rollup). The rollups themselves are kept forever.
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
    l_policy record;
begin
    update retention
    set days = p_days;
    update kept_history
    set since = kept_since();
    -- at least what a policy over days needs
    select greatest(
        interval '3 days',
        least(make_interval(days => p_days), make_interval(days => extract(day from now() - k.since)::integer))
    )
    into l_refresh
    from kept_history as k;

    -- policies that differ, from an earlier version, another setting or by hand, are created again
    if (
        select count(*)
        from timescaledb_information.jobs as j
        where j.hypertable_schema = current_schema()
            and (
                j.proc_name = 'policy_retention'
                and j.hypertable_name = 'readings'
                and (j.config ->> 'drop_after')::interval = l_keep
                or j.proc_name = 'policy_refresh_continuous_aggregate'
                and j.hypertable_name in ('quarter_hourly', 'hourly', 'daily')
                and (j.config ->> 'start_offset')::interval = l_refresh
            )
    ) = 4 then
        return;
    end if;
    perform remove_retention_policy('readings', if_exists => true);
    for l_policy in
        select *
        from (
            values
                ('quarter_hourly', interval '1 hour', interval '10 minutes'),
                ('hourly', interval '1 hour', interval '10 minutes'),
                ('daily', interval '1 day', interval '1 hour')
        ) as p (rollup, end_offset, every)
    loop
        call remove_columnstore_policy(l_policy.rollup::regclass, if_exists => true);
        perform remove_continuous_aggregate_policy(l_policy.rollup::regclass, if_exists => true);
        perform add_continuous_aggregate_policy(
            l_policy.rollup::regclass,
            start_offset => l_refresh,
            end_offset => l_policy.end_offset,
            schedule_interval => l_policy.every,
            refresh_newest_first => false
        );
    end loop;
    perform add_retention_policy('readings', l_keep);
end;
$$;

-- History is dropped by its retention policies, chunk by chunk; this drops what depends on it. One session at a time.
create or replace procedure drop_old_history()
language plpgsql
as $$
begin
    if pg_try_advisory_xact_lock(hashtext('fleetmeter.drop_old_history')) then
        perform drop_old_versions();
    end if;
end;
$$;

-- Moves rollups older than some days into the columnstore, including chunks refreshed since; oldest first, a chunk per
-- transaction. A policy of the extension may only start beyond the reach of all refresh policies.
create or replace procedure pack_rollups(p_most integer default 20)
language plpgsql
as $$
declare
    l_chunk regclass;
begin
    if not pg_try_advisory_lock(hashtext('fleetmeter.pack_rollups')) then
        return;
    end if;
    for l_chunk in
        select format('%I.%I', c.chunk_schema, c.chunk_name)::regclass
        from timescaledb_information.continuous_aggregates as a
        join timescaledb_information.chunks as c
            on c.hypertable_schema = a.materialization_hypertable_schema
            and c.hypertable_name = a.materialization_hypertable_name
        where a.view_schema = current_schema()
            and c.range_end < now() - interval '14 days'
            and (
                not c.is_compressed
                or _timescaledb_functions.chunk_status(format('%I.%I', c.chunk_schema, c.chunk_name)::regclass) & 8 > 0
            )
        order by c.range_start
        limit p_most
    loop
        call convert_to_columnstore(l_chunk, if_not_columnstore => true);
        commit;
    end loop;
    perform pg_advisory_unlock(hashtext('fleetmeter.pack_rollups'));
end;
$$;

-- The newest error of a job. TimescaleDB shows it to the owners of the job and of the database alone, while the service
-- reports jobs of the role that migrates: it is read as that role.
create or replace function newest_job_error(p_job integer)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select e.err_message
        from timescaledb_information.job_errors as e
        where e.job_id = p_job
        order by e.start_time desc
        limit 1
    );
end;
$$;

-- Jobs (refresh, retention, columnstore) whose last run failed, with the newest error. In plpgsql, so that nothing
-- depends on the extension's views, which an update of it replaces.
create or replace function failing_jobs()
returns table (job text, error text)
language plpgsql
stable
as $$
begin
    return query
    select
        format('%s on %s', j.proc_name, s.hypertable_name),
        newest_job_error(s.job_id)
    from timescaledb_information.job_stats as s
    join timescaledb_information.jobs as j
        on j.job_id = s.job_id
    where s.last_run_status = 'Failed';
end;
$$;

-- How far behind the rollup of quarter hours is, seconds; 0 without history.
create or replace function rollup_lag_s()
returns double precision
language plpgsql
stable
as $$
declare
    l_begins timestamptz := history_begins();
begin
    return case
        when l_begins is null then 0
        else extract(epoch from now() - greatest(rolled_up_until(), l_begins))
    end;
end;
$$;
