-- The parts in which history is exported: all of the vehicles' readings, then all of the meters'. History is one
-- table here, and its primary key gives a part in its order.
create or replace function export_parts(p_start timestamptz, p_end timestamptz)
returns table (source text, starts timestamptz, ends timestamptz)
language sql
stable
as $$
    select s.source, p_start, p_end
    from (values (1, 'vehicle_readings'), (2, 'meter_readings')) as s (number, source)
    order by s.number;
$$;
