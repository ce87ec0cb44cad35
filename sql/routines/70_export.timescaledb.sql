-- Returns the parts in which history is exported, oldest first: the chunk of a day. Each has its own order: that of the
-- primary key, or of the columnstore's segments.
create or replace function export_parts(p_start timestamptz, p_end timestamptz)
returns table (starts timestamptz, ends timestamptz)
language sql
stable
as $$
    select
        greatest(c.range_start, p_start),
        least(c.range_end, p_end)
    from timescaledb_information.chunks as c
    where c.hypertable_schema = current_schema()
        and c.hypertable_name = 'readings'
        and c.range_start < p_end
        and c.range_end > p_start
    order by c.range_start;
$$;
