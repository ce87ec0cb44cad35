-- What a backup holds, so that a restored database can be compared with it: the rows of each table, and energy.

create or replace function stored_sums()
returns table (relation text, rows bigint, energy_mwh numeric)
language plpgsql
stable
as $$
declare
    l_table name;
begin
    for l_table in
        select c.relname
        from pg_class as c
        where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
        order by c.relname
    loop
        relation := l_table;
        energy_mwh := null;
        execute format('select count(*) from %I', l_table) into rows;
        return next;
    end loop;
    for relation, rows, energy_mwh in
        select d.kind || ' readings', count(*), sum(r.energy_mwh)
        from readings as r
        join devices as d on d.device = r.device
        group by d.kind
        union all
        select d.kind || ' days', count(*), sum(y.energy_mwh)
        from daily as y
        join devices as d on d.device = y.device
        group by d.kind
        order by 1
    loop
        return next;
    end loop;
end;
$$;
