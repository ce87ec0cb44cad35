-- Recorded exchanges of meters: from that time on, the register continues from the first value of the new meter.

-- Derives a register again from the time of an exchange that was recorded or deleted. If no reading follows yet, the
-- next one is compared with the exchange when it arrives.
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
        -- writers whose cache knows no register of the device look again
        update versions
        set assignments = assignments + 1;
        return;
    end if;
    l_changed := derive_registers(p_device, p_is_reverse, l_time, l_time);
    perform note_device_changed(p_device, l_changed.starts, l_changed.ends);
end;
$$;

-- Records an exchange of a meter; returns what is recorded for that time. An earlier record of the same time stays.
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

-- Deletes a recorded exchange; returns whether there was one.
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
