-- What is stored, and the jobs that maintain it, where the service does that itself: no chunks and no policies. The
-- rollups of history are views; those of dropped history are kept quarter hours.

create or replace function stored_relations()
returns setof stored_relation
language plpgsql
stable
as $$
begin
    return query
    select
        g.relation,
        coalesce(sum(t.about_rows), 0)::bigint,
        coalesce(sum(t.bytes), 0)::bigint,
        null::bigint,
        null::bigint,
        null::bigint,
        null::bigint,
        null::bigint,
        null::timestamptz,
        null::timestamptz
    from storage_groups() as g
    left join stored_tables() as t
        on t.relation = g.relation
    group by g.place, g.relation
    order by g.place;
end;
$$;

create or replace function storage_jobs()
returns setof storage_job
language sql
stable
begin atomic
    select
        'retention',
        'history',
        null::interval,
        r.ran_at,
        case when r.ran_at is not null then 'succeeded' end,
        null::text,
        r.took,
        null::timestamptz,
        r.readings
    from retention as r;
end;
