-- Returns the policies, how often each should run, and when it last began to (null: never). In plpgsql, so that nothing
-- depends on the extension's views, which an update of it replaces.
create or replace function job_schedule()
returns table (id integer, job text, every interval, paused boolean, running boolean, last_run timestamptz)
language plpgsql
stable
as $$
begin
    return query
    select
        j.job_id,
        format('%s on %s', j.proc_name, j.hypertable_name),
        j.schedule_interval,
        not j.scheduled,
        coalesce(s.job_status = 'Running', false),
        case when isfinite(s.last_run_started_at) then s.last_run_started_at end
    from timescaledb_information.jobs as j
    left join timescaledb_information.job_stats as s
        on s.job_id = j.job_id
    where j.hypertable_schema = current_schema()
        and j.proc_name like 'policy\_%'
    order by j.job_id;
end;
$$;
