-- The numbers of devices and charging sessions. Ids are looked up at the edge; everything else uses the number.

-- Returns the number of a device; null if its id is unknown.
create or replace function device_of(p_kind text, p_id text)
returns integer
language plpgsql
stable
as $$
begin
    return (
        select d.device
        from devices as d
        where d.kind = p_kind
            and d.id = p_id
    );
end;
$$;

-- Returns the number of a device; a new device gets one.
create or replace function number_device(p_kind text, p_id text)
returns integer
language plpgsql
as $$
declare
    l_device integer := device_of(p_kind, p_id);
begin
    while l_device is null loop
        insert into devices (kind, id)
        values (p_kind, p_id)
        on conflict do nothing
        returning device into l_device;
        l_device := coalesce(l_device, device_of(p_kind, p_id));
    end loop;
    return l_device;
end;
$$;

-- Returns the numbers of some devices of a kind, in the order of p_ids; null for unknown ids.
create or replace function devices_of(p_kind text, p_ids text[])
returns integer[]
language plpgsql
stable
as $$
begin
    return (
        select array_agg(d.device order by i.place)
        from unnest(p_ids) with ordinality as i (id, place)
        left join devices as d
            on d.kind = p_kind
            and d.id = i.id
    );
end;
$$;

-- Returns the numbers of charging sessions; new sessions get one.
create or replace function number_sessions(p_ids text[])
returns table (id text, session integer)
language plpgsql
as $$
begin
    insert into session_ids (id)
    select u.id
    from unnest(p_ids) as u (id)
    where not exists (select from session_ids as e where e.id = u.id)
    order by u.id collate "C"
    on conflict do nothing;
    return query
    select s.id, s.session
    from session_ids as s
    where s.id = any(p_ids);
end;
$$;
