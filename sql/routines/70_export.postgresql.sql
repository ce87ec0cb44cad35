-- Returns the parts in which history is exported: all at once. History is one table here, and its primary key has the
-- order.
create or replace function export_parts(p_start timestamptz, p_end timestamptz)
returns table (starts timestamptz, ends timestamptz)
language sql
stable
as $$
    select p_start, p_end;
$$;
