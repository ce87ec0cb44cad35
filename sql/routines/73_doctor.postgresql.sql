-- Returns nothing: the service does what jobs of the database do elsewhere.
create or replace function job_schedule()
returns table (id integer, job text, every interval, paused boolean, running boolean, last_run timestamptz)
language sql
immutable
begin atomic
    select null::integer, null::text, null::interval, null::boolean, null::boolean, null::timestamptz
    where false;
end;
