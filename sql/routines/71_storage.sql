-- What `fleetmeter storage` shows of tables, on either engine.

-- Returns the approximate number of rows of a table: the planner's estimate if it was analysed, a real count otherwise.
create or replace function about_rows(p_table regclass)
returns bigint
language plpgsql
stable
as $$
declare
    l_rows bigint;
begin
    select c.reltuples::bigint
    into l_rows
    from pg_class as c
    where c.oid = p_table;
    if l_rows < 0 then
        execute format('select count(*) from %s', p_table) into l_rows;
    end if;
    return l_rows;
end;
$$;

-- Returns the groups that are shown, in their order.
create or replace function storage_groups()
returns table (place bigint, relation text)
language sql
immutable
begin atomic
    select g.place, g.relation
    from unnest(array[
        'readings', 'spread energy', 'quarter hours', 'hours', 'days',
        'live state', 'accounted energy', 'corrections', 'other tables'
    ]) with ordinality as g (relation, place);
end;

create or replace function storage_group(p_table name)
returns text
language sql
immutable
return case
    when p_table = 'readings' then 'readings'
    when p_table = 'spread_energy' then 'spread energy'
    when p_table in ('quarter_hourly', 'kept_quarter_hours', 'meter_quarters', 'metered_hours') then 'quarter hours'
    when p_table = 'hourly' then 'hours'
    when p_table = 'daily' then 'days'
    when p_table = 'live_state' then 'live state'
    when p_table in ('accounted_energy', 'accounted_hours') then 'accounted energy'
    when p_table in ('replaced_readings', 'voided_readings') then 'corrections'
    else 'other tables'
end;

-- Returns every plain table that may be read, with the size of its indexes and TOAST.
create or replace function stored_tables()
returns table (name name, relation text, about_rows bigint, bytes bigint)
language sql
stable
begin atomic
    select c.relname, storage_group(c.relname), about_rows(c.oid), pg_total_relation_size(c.oid)
    from pg_class as c
    where c.relnamespace = current_schema()::regnamespace
        and c.relkind = 'r'
        and has_table_privilege(c.oid, 'select');
end;
