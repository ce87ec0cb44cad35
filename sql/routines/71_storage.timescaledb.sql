-- What is stored, in hypertables and beside them, and the last runs of the policies. From the catalogue and the
-- planner's statistics, so that hundreds of chunks are listed as fast as their sizes can be read.

-- Returns the hypertables of this schema, those of continuous aggregates by the names of their views. In plpgsql, as
-- the next two, so that nothing depends on the extension's views, which an update of it replaces.
create or replace function stored_hypertables()
returns table (schema_name name, table_name name, name name)
language plpgsql
stable
as $$
begin
    return query
    select
        h.schema_name,
        h.table_name,
        coalesce(a.user_view_name, h.table_name)
    from _timescaledb_catalog.hypertable as h
    left join _timescaledb_catalog.continuous_agg as a
        on a.mat_hypertable_id = h.id
    where coalesce(a.user_view_schema, h.schema_name) = current_schema();
end;
$$;

-- Returns the chunks of these hypertables, with their sizes. The number of readings in a compressed chunk is known from
-- when it was converted; late ones since then are not counted. The relation of a chunk is in compression_settings, and
-- its number is asked for, since later versions have other columns in the catalogue of chunks: once for each, which a
-- join without statistics would not do.
create or replace function stored_chunks()
returns table (
    hypertable name,
    range_start timestamptz,
    is_compressed boolean,
    about_rows bigint,
    -- with indexes and TOAST; before, if it is compressed
    bytes bigint,
    bytes_before bigint
)
language plpgsql
stable
as $$
begin
    return query
    with named as materialized (
        select
            c.hypertable_schema,
            c.hypertable_name,
            to_regclass(format('%I.%I', c.chunk_schema, c.chunk_name)) as chunk,
            c.is_compressed,
            c.range_start
        from timescaledb_information.chunks as c
    ),
    chunks as materialized (
        select n.*, h.name, _timescaledb_functions.chunk_id_from_relid(n.chunk) as id
        from named as n
        join stored_hypertables() as h
            on h.schema_name = n.hypertable_schema
            and h.table_name = n.hypertable_name
        where n.chunk is not null
    )
    select
        c.name,
        c.range_start,
        c.is_compressed,
        case
            when c.is_compressed then coalesce(z.numrows_pre_compression, 0)
            else about_rows(c.chunk)
        end,
        pg_total_relation_size(c.chunk) + coalesce(pg_total_relation_size(s.compress_relid), 0),
        case
            when c.is_compressed
                then z.uncompressed_heap_size + z.uncompressed_toast_size + z.uncompressed_index_size
        end
    from chunks as c
    left join _timescaledb_catalog.compression_settings as s
        on s.relid = c.chunk
    left join _timescaledb_catalog.compression_chunk_size as z
        on z.chunk_id = c.id;
end;
$$;

-- Compiling the query would take twenty times as long as running it.
create or replace function stored_relations()
returns setof stored_relation
language plpgsql
stable
set jit = off
as $$
begin
    return query
    with hypertables as materialized (
        select *
        from stored_hypertables()
    ),
    stored as (
        select
            storage_group(h.name) as relation,
            coalesce(sum(c.about_rows), 0) as about_rows,
            coalesce(sum(c.bytes), 0)
                + pg_total_relation_size(format('%I.%I', h.schema_name, h.table_name)::regclass) as bytes,
            count(c.hypertable) as chunks,
            count(*) filter (where c.is_compressed) as columnstore_chunks,
            sum(c.about_rows) filter (where c.is_compressed) as columnstore_rows,
            sum(c.bytes_before) filter (where c.is_compressed) as columnstore_bytes_before,
            sum(c.bytes) filter (where c.is_compressed) as columnstore_bytes,
            min(c.range_start) as oldest,
            max(c.range_start) as newest
        from hypertables as h
        left join stored_chunks() as c
            on c.hypertable = h.name
        group by h.schema_name, h.table_name, h.name
        union all
        select t.relation, t.about_rows, t.bytes, null, null, null, null, null, null, null
        from stored_tables() as t
        where not exists (
            select
            from hypertables as h
            where h.table_name = t.name
        )
    )
    select
        g.relation,
        coalesce(sum(s.about_rows), 0)::bigint,
        coalesce(sum(s.bytes), 0)::bigint,
        sum(s.chunks)::bigint,
        sum(s.columnstore_chunks)::bigint,
        sum(s.columnstore_rows)::bigint,
        sum(s.columnstore_bytes_before)::bigint,
        sum(s.columnstore_bytes)::bigint,
        min(s.oldest),
        max(s.newest)
    from storage_groups() as g
    left join stored as s
        on s.relation = g.relation
    group by g.place, g.relation
    order by g.place;
end;
$$;

create or replace function storage_jobs()
returns setof storage_job
language plpgsql
stable
as $$
begin
    return query
    select
        (array['refresh', 'columnstore', 'retention'])[k.place],
        g.relation,
        j.schedule_interval,
        case when isfinite(s.last_run_started_at) then s.last_run_started_at end,
        case
            when s.job_status = 'Running' then 'running'
            when s.last_run_status = 'Success' then 'succeeded'
            when s.last_run_status = 'Failed' then 'failed'
        end,
        case
            when s.last_run_status = 'Failed' then newest_job_error(j.job_id)
        end,
        s.last_run_duration,
        case when isfinite(s.next_start) then s.next_start end,
        null::bigint
    from timescaledb_information.jobs as j
    left join timescaledb_information.job_stats as s
        on s.job_id = j.job_id
    join storage_groups() as g
        on g.relation = storage_group(j.hypertable_name)
    cross join lateral (
        select
            case
                when j.proc_name like '%refresh%' then 1
                when j.proc_name like '%retention%' then 3
                else 2
            end
    ) as k (place)
    where j.hypertable_schema = current_schema()
        and j.proc_name like 'policy\_%'
    order by k.place, g.place;
end;
$$;
