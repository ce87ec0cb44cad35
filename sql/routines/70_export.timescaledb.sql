-- The parts in which history is exported, oldest first: a day's chunk of vehicles' readings, then of meters'.
-- Its order is the one that the chunk has by itself: of the primary key, or of the columnstore's segments.
create or replace function export_parts(p_start timestamptz, p_end timestamptz)
returns table (source text, starts timestamptz, ends timestamptz)
language sql
stable
as $$
    select
        c.hypertable_name::text,
        greatest(c.range_start, p_start),
        least(c.range_end, p_end)
    from timescaledb_information.chunks as c
    where c.hypertable_schema = current_schema()
        and c.hypertable_name in ('vehicle_readings', 'meter_readings')
        and c.range_start < p_end
        and c.range_end > p_start
    order by c.range_start, c.hypertable_name desc;
$$;
