-- What `fleetmeter storage` asks of tables on either engine.

-- About how many rows a table has: what the planner knows where it was analysed, a real count otherwise.
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

-- What is told of together, in its order; a relation that stands for itself has its own name.
create or replace function storage_groups()
returns table (place bigint, relation text)
language sql
immutable
begin atomic
    select g.place, g.relation
    from unnest(array[
        'vehicle_readings', 'meter_readings',
        'vehicle_hourly', 'vehicle_daily', 'meter_hourly', 'meter_daily',
        'live state', 'accounted energy', 'corrections', 'other tables'
    ]) with ordinality as g (relation, place);
end;

create or replace function storage_group(p_table name)
returns text
language sql
immutable
return case
    when p_table in ('vehicle_readings', 'meter_readings') then p_table::text
    when p_table in ('vehicle_hourly', 'vehicle_daily', 'meter_hourly', 'meter_daily') then p_table::text
    when p_table = 'kept_vehicle_hours' then 'vehicle_hourly'
    when p_table = 'kept_meter_hours' then 'meter_hourly'
    when p_table in ('vehicle_state', 'meter_state') then 'live state'
    when p_table in ('accounted_energy', 'accounted_hours') then 'accounted energy'
    when p_table in ('replaced_vehicle_readings', 'replaced_meter_readings') then 'corrections'
    else 'other tables'
end;

-- Every plain table that may be read, with its indexes and what is stored beside it.
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
