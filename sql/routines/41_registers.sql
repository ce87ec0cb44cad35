-- Readings of registers (ever-growing totals): stored with the interval energy that follows from the
-- device's reading before in time, whatever the order in which they arrive. A late one between two others
-- splits their difference, so that the one behind it is derived anew in the same transaction.
--
-- The device's row of live state is its lock: whoever stores a register of it waits for who does, and sees
-- what was stored. A device without one has no history, and gets a row from before all times.

-- What follows from a register's reading and the one before it. Less than before is a reset or another
-- register, which counts on from its new value, unless the register is known to roll over and has just
-- done so: then that is less than a tenth of its range ago.
create or replace function register_energy(
    p_previous_mwh bigint,
    p_register_mwh bigint,
    p_rollover_mwh bigint,
    out energy_mwh bigint,
    out reset boolean
)
language sql
immutable
parallel safe
begin atomic
    select
        case
            when p_register_mwh >= p_previous_mwh then p_register_mwh - p_previous_mwh
            when p_rollover_mwh - p_previous_mwh + p_register_mwh between 0 and p_rollover_mwh / 10
                then p_rollover_mwh - p_previous_mwh + p_register_mwh
            else 0
        end,
        coalesce(
            p_register_mwh < p_previous_mwh
            and (p_rollover_mwh - p_previous_mwh + p_register_mwh between 0 and p_rollover_mwh / 10) is not true,
            false
        );
end;

-- The readings of the session's register_timeline that are new, or come right behind a new one.
create or replace function derived_readings()
returns table (
    device_id text,
    at timestamptz,
    is_new boolean,
    energy_mwh bigint,
    span_s integer,
    reset boolean
)
language plpgsql
as $$
begin
    return query
    select
        t.device_id,
        t.time,
        t.is_new,
        e.energy_mwh,
        case when not e.reset then extract(epoch from t.time - t.previous_time)::integer end,
        e.reset
    from (
        select
            r.*,
            lag(r.time) over device as previous_time,
            lag(r.register_mwh) over device as previous_mwh,
            lag(r.is_new) over device as follows_new
        from register_timeline as r
        window device as (partition by r.device_id order by r.time)
    ) as t
    cross join lateral register_energy(t.previous_mwh, t.register_mwh, t.rollover_mwh) as e
    where t.is_new
        or t.follows_new;
end;
$$;

-- As store_vehicle_readings(), for vehicles whose energy in the temporary table is a register.
create or replace function store_vehicle_registers()
returns table (part integer, readings bigint, refused text[])
language plpgsql
as $$
declare
    l_late boolean;
begin
    perform stamp_vehicle_readings();

    insert into vehicle_state (
        vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_declared, last_seen, register_mwh
    )
    select distinct on (i.vehicle_id)
        i.vehicle_id, '-infinity'::timestamptz, 0, i.soc_bp, i.battery_temp_cdeg, false, now(), i.energy_mwh
    from incoming_vehicle_readings as i
    order by i.vehicle_id
    on conflict do nothing;
    perform
    from vehicle_state as s
    where s.vehicle_id in (select i.vehicle_id from incoming_vehicle_readings as i)
    order by s.vehicle_id
    for update;

    return query
    with refused_readings as (
        delete from incoming_vehicle_readings as i
        using vehicle_state as s
        where s.vehicle_id = i.vehicle_id
            and s.register_mwh is null
        returning i.part, i.vehicle_id
    )
    select r.part, 0::bigint, array_agg(distinct r.vehicle_id)
    from refused_readings as r
    group by 1;

    -- what is new lies behind the newest reading, or between its neighbours in history
    delete from register_timeline;
    insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
    select s.vehicle_id, s.time, s.register_mwh, d.register_rollover_mwh, false
    from vehicle_state as s
    left join vehicle_settings as d
        on d.vehicle_id = s.vehicle_id
    where s.vehicle_id in (select i.vehicle_id from incoming_vehicle_readings as i)
        and s.time > '-infinity';
    l_late := exists (
        select
        from incoming_vehicle_readings as i
        join register_timeline as t
            on t.device_id = i.vehicle_id
        where i.time <= t.time
    );
    if l_late then
        insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
        select distinct i.vehicle_id, n.time, n.register_mwh, t.rollover_mwh, false
        from incoming_vehicle_readings as i
        join register_timeline as t
            on t.device_id = i.vehicle_id
            and t.time >= i.time
        cross join lateral (
            (
                select b.time, b.register_mwh
                from vehicle_readings as b
                where b.vehicle_id = i.vehicle_id
                    and b.time < i.time
                order by b.time desc
                limit 1
            )
            union all
            (
                select a.time, a.register_mwh
                from vehicle_readings as a
                where a.vehicle_id = i.vehicle_id
                    and a.time >= i.time
                order by a.time
                limit 1
            )
        ) as n
        where n.time < t.time;
        delete from incoming_vehicle_readings as i
        using register_timeline as t
        where t.device_id = i.vehicle_id
            and t.time = i.time;
    end if;
    insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
    select i.vehicle_id, i.time, i.energy_mwh, d.register_rollover_mwh, true
    from incoming_vehicle_readings as i
    left join vehicle_settings as d
        on d.vehicle_id = i.vehicle_id;

    return query
    with stored as (
        insert into vehicle_readings (
            vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared,
            register_mwh, span_s, reset
        )
        select
            i.vehicle_id, i.time, d.energy_mwh, i.soc_bp, i.battery_temp_cdeg, i.meter_id, i.meter_declared,
            i.energy_mwh, d.span_s, d.reset
        from incoming_vehicle_readings as i
        join derived_readings() as d
            on d.device_id = i.vehicle_id
            and d.at = i.time
        order by i.vehicle_id, i.time
        returning *
    ),
    paired as (
        insert into meter_vehicles (meter_id, vehicle_id)
        select distinct s.meter_id, s.vehicle_id
        from stored as s
        where s.meter_id is not null
        order by 1, 2
        on conflict do nothing
    ),
    late as (
        insert into late_hours (source, hour)
        select distinct 'vehicle_readings', floor_hour(s.time)
        from stored as s
        where s.time < (select rolled_up_before('vehicle_readings'))
    ),
    advanced as (
        update vehicle_state as s
        set
            time = n.time,
            energy_mwh = n.energy_mwh,
            soc_bp = n.soc_bp,
            battery_temp_cdeg = n.battery_temp_cdeg,
            meter_id = n.meter_id,
            meter_declared = n.meter_declared,
            last_seen = now(),
            register_mwh = n.register_mwh,
            span_s = n.span_s,
            reset = n.reset
        from (
            select distinct on (r.vehicle_id) r.*
            from stored as r
            order by r.vehicle_id, r.time desc
        ) as n
        where s.vehicle_id = n.vehicle_id
            and s.time < n.time
    )
    select i.part, count(*), null::text[]
    from stored as s
    join incoming_vehicle_readings as i
        on i.vehicle_id = s.vehicle_id
        and i.time = s.time
    group by 1;

    if l_late then
        perform correct_vehicle_readings();
    end if;
end;
$$;

-- The stored readings that come right behind new ones get the rest of the difference.
create or replace function correct_vehicle_readings()
returns void
language plpgsql
as $$
declare
    l_first timestamptz;
    l_last timestamptz;
begin
    select min(d.at), max(d.at)
    into l_first, l_last
    from derived_readings() as d
    where not d.is_new;
    if l_first is null then
        return;
    end if;
    -- it may be in the columnstore
    perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
    with corrected as (
        update vehicle_readings as r
        set
            energy_mwh = d.energy_mwh,
            span_s = d.span_s,
            reset = d.reset
        from derived_readings() as d
        where not d.is_new
            and r.vehicle_id = d.device_id
            and r.time = d.at
            -- only the chunks that it concerns
            and r.time >= l_first
            and r.time <= l_last
        returning r.*
    ),
    late as (
        insert into late_hours (source, hour)
        select distinct 'vehicle_readings', floor_hour(c.time)
        from corrected as c
        where c.time < (select rolled_up_before('vehicle_readings'))
    )
    update vehicle_state as s
    set
        energy_mwh = c.energy_mwh,
        span_s = c.span_s,
        reset = c.reset
    from corrected as c
    where s.vehicle_id = c.vehicle_id
        and s.time = c.time;
end;
$$;

-- The same for meters.
create or replace function store_meter_registers()
returns table (part integer, readings bigint, refused text[])
language plpgsql
as $$
declare
    l_late boolean;
begin
    insert into meter_state (meter_id, time, energy_mwh, voltage_mv, last_seen, register_mwh)
    select distinct on (i.meter_id)
        i.meter_id, '-infinity'::timestamptz, 0, i.voltage_mv, now(), i.energy_mwh
    from incoming_meter_readings as i
    order by i.meter_id
    on conflict do nothing;
    perform
    from meter_state as s
    where s.meter_id in (select i.meter_id from incoming_meter_readings as i)
    order by s.meter_id
    for update;

    return query
    with refused_readings as (
        delete from incoming_meter_readings as i
        using meter_state as s
        where s.meter_id = i.meter_id
            and s.register_mwh is null
        returning i.part, i.meter_id
    )
    select r.part, 0::bigint, array_agg(distinct r.meter_id)
    from refused_readings as r
    group by 1;

    -- what is new lies behind the newest reading, or between its neighbours in history
    delete from register_timeline;
    insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
    select s.meter_id, s.time, s.register_mwh, d.register_rollover_mwh, false
    from meter_state as s
    left join meter_settings as d
        on d.meter_id = s.meter_id
    where s.meter_id in (select i.meter_id from incoming_meter_readings as i)
        and s.time > '-infinity';
    l_late := exists (
        select
        from incoming_meter_readings as i
        join register_timeline as t
            on t.device_id = i.meter_id
        where i.time <= t.time
    );
    if l_late then
        insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
        select distinct i.meter_id, n.time, n.register_mwh, t.rollover_mwh, false
        from incoming_meter_readings as i
        join register_timeline as t
            on t.device_id = i.meter_id
            and t.time >= i.time
        cross join lateral (
            (
                select b.time, b.register_mwh
                from meter_readings as b
                where b.meter_id = i.meter_id
                    and b.time < i.time
                order by b.time desc
                limit 1
            )
            union all
            (
                select a.time, a.register_mwh
                from meter_readings as a
                where a.meter_id = i.meter_id
                    and a.time >= i.time
                order by a.time
                limit 1
            )
        ) as n
        where n.time < t.time;
        delete from incoming_meter_readings as i
        using register_timeline as t
        where t.device_id = i.meter_id
            and t.time = i.time;
    end if;
    insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
    select i.meter_id, i.time, i.energy_mwh, d.register_rollover_mwh, true
    from incoming_meter_readings as i
    left join meter_settings as d
        on d.meter_id = i.meter_id;

    return query
    with stored as (
        insert into meter_readings (
            meter_id, time, energy_mwh, voltage_mv,
            register_mwh, span_s, reset
        )
        select
            i.meter_id, i.time, d.energy_mwh, i.voltage_mv,
            i.energy_mwh, d.span_s, d.reset
        from incoming_meter_readings as i
        join derived_readings() as d
            on d.device_id = i.meter_id
            and d.at = i.time
        order by i.meter_id, i.time
        returning *
    ),
    late as (
        insert into late_hours (source, hour)
        select distinct 'meter_readings', floor_hour(s.time)
        from stored as s
        where s.time < (select rolled_up_before('meter_readings'))
    ),
    advanced as (
        update meter_state as s
        set
            time = n.time,
            energy_mwh = n.energy_mwh,
            voltage_mv = n.voltage_mv,
            last_seen = now(),
            register_mwh = n.register_mwh,
            span_s = n.span_s,
            reset = n.reset
        from (
            select distinct on (r.meter_id) r.*
            from stored as r
            order by r.meter_id, r.time desc
        ) as n
        where s.meter_id = n.meter_id
            and s.time < n.time
    )
    select i.part, count(*), null::text[]
    from stored as s
    join incoming_meter_readings as i
        on i.meter_id = s.meter_id
        and i.time = s.time
    group by 1;

    if l_late then
        perform correct_meter_readings();
    end if;
end;
$$;

-- The stored readings that come right behind new ones get the rest of the difference.
create or replace function correct_meter_readings()
returns void
language plpgsql
as $$
declare
    l_first timestamptz;
    l_last timestamptz;
begin
    select min(d.at), max(d.at)
    into l_first, l_last
    from derived_readings() as d
    where not d.is_new;
    if l_first is null then
        return;
    end if;
    -- it may be in the columnstore
    perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
    with corrected as (
        update meter_readings as r
        set
            energy_mwh = d.energy_mwh,
            span_s = d.span_s,
            reset = d.reset
        from derived_readings() as d
        where not d.is_new
            and r.meter_id = d.device_id
            and r.time = d.at
            -- only the chunks that it concerns
            and r.time >= l_first
            and r.time <= l_last
        returning r.*
    ),
    late as (
        insert into late_hours (source, hour)
        select distinct 'meter_readings', floor_hour(c.time)
        from corrected as c
        where c.time < (select rolled_up_before('meter_readings'))
    )
    update meter_state as s
    set
        energy_mwh = c.energy_mwh,
        span_s = c.span_s,
        reset = c.reset
    from corrected as c
    where s.meter_id = c.meter_id
        and s.time = c.time;
end;
$$;
