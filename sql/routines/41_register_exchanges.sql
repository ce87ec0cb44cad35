-- Exchanges of meters that somebody stated: from the time on, the register goes on from what the new meter showed
-- first.

-- Derives a register again from where an exchange is stated, or is not any more. Without a reading behind it, the
-- database looks into the next one that comes.
create or replace function derive_from_exchange(p_device integer, p_is_reverse boolean, p_at timestamptz)
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_time timestamptz;
    l_changed record;
begin
    select r.time
    into l_time
    from readings as r
    where r.device = p_device
        and r.time > p_at
        and case when p_is_reverse then r.reverse_register_mwh else r.register_mwh end is not null
    order by r.time
    limit 1;
    if not found then
        select r.time
        into l_time
        from readings as r
        where r.device = p_device
            and case when p_is_reverse then r.reverse_register_mwh else r.register_mwh end is not null
        order by r.time desc
        limit 1;
    end if;
    if l_time is null then
        -- writers that know nothing of the device look again
        update versions
        set assignments = assignments + 1;
        return;
    end if;
    l_changed := derive_registers(p_device, p_is_reverse, l_time, l_time);
    perform note_device_changed(p_device, l_changed.starts, l_changed.ends);
end;
$$;

-- States that a meter was exchanged; what is stated of that time now. What was stated before stays.
create or replace function state_exchange(
    p_device integer,
    p_is_reverse boolean,
    p_at timestamptz,
    p_last_mwh bigint,
    p_first_mwh bigint
)
returns register_exchanges
language plpgsql
as $$
declare
    l_stated register_exchanges;
begin
    insert into register_exchanges (device, is_reverse, at, last_mwh, first_mwh)
    values (p_device, p_is_reverse, p_at, p_last_mwh, p_first_mwh)
    on conflict do nothing;
    if found then
        perform derive_from_exchange(p_device, p_is_reverse, p_at);
    end if;
    select x.*
    into l_stated
    from register_exchanges as x
    where x.device = p_device
        and x.is_reverse = p_is_reverse
        and x.at = p_at;
    return l_stated;
end;
$$;

-- Takes the statement back; whether there was one.
create or replace function withdraw_exchange(p_device integer, p_is_reverse boolean, p_at timestamptz)
returns boolean
language plpgsql
as $$
begin
    delete from register_exchanges as x
    where x.device = p_device
        and x.is_reverse = p_is_reverse
        and x.at = p_at;
    if not found then
        return false;
    end if;
    perform derive_from_exchange(p_device, p_is_reverse, p_at);
    return true;
end;
$$;
