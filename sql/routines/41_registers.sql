-- Readings of registers (ever-growing totals): stored with the interval energy that follows from the
-- device's reading before in time, whatever the order in which they arrive. A late one between two others
-- splits their difference, so that the one behind it is derived anew in the same transaction.
--
-- The device's row of live state is its lock: whoever stores a register of it waits for who does, and sees
-- what was stored. A device without one has no history, and gets a row from before all times.

-- What follows from a register's reading and the one before it, p_span_ms earlier. A register that shows less than
-- before was reset or replaced, and so was one that rises by more than 1,000 kWh and 10 MW all the while: its
-- energy counts on from the new value. Less than before is a rollover when the register is known to turn over,
-- and that makes less than a tenth of its range.
create or replace function register_energy(
    p_previous_mwh bigint,
    p_register_mwh bigint,
    p_rollover_mwh bigint,
    p_span_ms bigint,
    out energy_mwh bigint,
    out reset boolean
)
language sql
immutable
parallel safe
begin atomic
    select
        case when r.rise_mwh between 0 and r.most_mwh then r.rise_mwh else 0 end,
        p_previous_mwh is not null and (r.rise_mwh between 0 and r.most_mwh) is not true
    from (
        select
            case
                when p_register_mwh >= p_previous_mwh then p_register_mwh - p_previous_mwh
                when (p_rollover_mwh - p_previous_mwh + p_register_mwh) * 10 < p_rollover_mwh
                    then p_rollover_mwh - p_previous_mwh + p_register_mwh
            end as rise_mwh,
            -- 10 MW are 10^10 mW, and an hour has 3.6 × 10^6 ms
            1000000000 + p_span_ms * 10000 / 3.6 as most_mwh
    ) as r;
end;

-- The readings of the session's register_timeline that are new, or come right behind a new one.
create or replace function derived_readings()
returns table (
    device_id text,
    at timestamptz,
    is_new boolean,
    energy_mwh bigint,
    span_ms bigint,
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
        case when not e.reset then t.span_ms end,
        e.reset
    from (
        select
            r.*,
            (extract(epoch from r.time - lag(r.time) over device) * 1000)::bigint as span_ms,
            lag(r.register_mwh) over device as previous_mwh,
            lag(r.is_new) over device as follows_new
        from register_timeline as r
        window device as (partition by r.device_id order by r.time)
    ) as t
    cross join lateral register_energy(t.previous_mwh, t.register_mwh, t.rollover_mwh, t.span_ms) as e
    where t.is_new
        or t.follows_new;
end;
$$;

-- Readings of p_kind (vehicle or meter) that are older than their device's newest: those that are in history
-- already leave the batch, and what history has around the others joins the timeline. Looked for first where
-- the batch is, and a day around it: there the database knows the chunks before it starts. Late readings that
-- are less than an hour apart look together. Returns whether any are left.
create or replace function add_neighbours(p_kind text)
returns boolean
language plpgsql
as $$
declare
    l_id constant text := p_kind || '_id';
    l_incoming constant text := format('incoming_%s_readings', p_kind);
    l_readings constant text := p_kind || '_readings';
    l_day record;
    l_first timestamptz;
    l_last timestamptz;
    l_runs constant text := format(
        $q$
        select l.id, l.rollover_mwh, l.newest, min(l.time) as first, max(l.time) as last
        from (
            select
                i.*,
                count(*) filter (where i.is_first) over (partition by i.id order by i.time) as number
            from (
                select
                    b.%1$I as id,
                    b.time,
                    t.rollover_mwh,
                    t.time as newest,
                    (b.time - lag(b.time) over (partition by b.%1$I order by b.time) <= interval '1 hour') is not true as is_first
                from %2$I as b
                join register_timeline as t
                    on t.device_id = b.%1$I
                    and t.time >= b.time
                    and t.is_newest
            ) as i
        ) as l
        group by l.id, l.rollover_mwh, l.newest, l.number
        $q$,
        l_id, l_incoming
    );
begin
    execute format('select min(r.first), max(r.last) from (%s) as r', l_runs)
    into l_first, l_last;
    if l_first is null then
        return false;
    end if;
    for l_day in
        select *
        from days_of_batch(p_kind)
    loop
        execute format(
            $q$
            with stored as materialized (
                select r.%1$I, r.time
                from %4$s
            )
            delete from %2$I as i
            using stored as s
            where s.%1$I = i.%1$I
                and s.time = i.time
            $q$,
            l_id, l_incoming, l_readings,
            stored_of_day(p_kind, l_day.is_dense)
        )
        using l_day.first, l_day.last, l_day.ids;
    end loop;
    execute format(
        $q$
        insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
        select distinct r.id, n.time, n.register_mwh, r.rollover_mwh, false
        from (%4$s) as r
        cross join lateral (
            (
                select b.time, b.register_mwh
                from %3$I as b
                where b.%1$I = r.id
                    and b.time < r.first
                    and b.time >= $1
                order by b.time desc
                limit 1
            )
            union all
            (
                select w.time, w.register_mwh
                from %3$I as w
                where w.%1$I = r.id
                    and w.time > r.first
                    and w.time < r.last
                    and w.time >= $1
                    and w.time <= $2
            )
            union all
            (
                select a.time, a.register_mwh
                from %3$I as a
                where a.%1$I = r.id
                    and a.time > r.last
                    and a.time <= $2
                order by a.time
                limit 1
            )
        ) as n
        where n.time < r.newest
        $q$,
        l_id, l_incoming, l_readings, l_runs
    )
    using l_first - interval '1 day', l_last + interval '1 day';
    -- what lies further away
    execute format(
        $q$
        insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
        select d.id, n.time, n.register_mwh, d.rollover_mwh, false
        from (
            select
                r.id,
                r.rollover_mwh,
                r.newest,
                bool_or(not exists (
                    select
                    from register_timeline as t
                    where t.device_id = r.id
                        and t.time >= $1
                        and t.time < r.first
                )) as misses_before,
                bool_or(not exists (
                    select
                    from register_timeline as t
                    where t.device_id = r.id
                        and t.time > r.last
                        and t.time <= $2
                )) as misses_after
            from (%4$s) as r
            group by 1, 2, 3
        ) as d
        cross join lateral (
            (
                select b.time, b.register_mwh
                from %3$I as b
                where d.misses_before
                    and b.%1$I = d.id
                    and b.time < $1
                order by b.time desc
                limit 1
            )
            union all
            (
                select a.time, a.register_mwh
                from %3$I as a
                where d.misses_after
                    and a.%1$I = d.id
                    and a.time > $2
                order by a.time
                limit 1
            )
        ) as n
        where (d.misses_before or d.misses_after)
            and n.time < d.newest
        $q$,
        l_id, l_incoming, l_readings, l_runs
    )
    using l_first - interval '1 day', l_last + interval '1 day';
    return true;
end;
$$;

-- A hypertable's update that waits for a row which another transaction changes passes over it: what must change a reading
-- makes sure that it did, and is done again as a whole if not. Whoever changes a device's readings holds its row of
-- live state, so that this does not happen.
create or replace function require_one_row(p_updated bigint)
returns void
language plpgsql
as $$
begin
    if p_updated <> 1 then
        raise exception 'a reading was changed by somebody else meanwhile' using errcode = 'serialization_failure';
    end if;
end;
$$;

-- Stored readings of p_kind that come right behind new ones get the rest of the difference. One by one: only a
-- key that is known when the statement is planned finds its place in the columnstore without unpacking the rest.
create or replace function correct_readings(p_kind text)
returns void
language plpgsql
as $$
declare
    l_update constant text := format(
        'update %I set energy_mwh = $3, span_ms = $4, reset = $5 where %I = $1 and time = $2',
        p_kind || '_readings', p_kind || '_id'
    );
    l_update_state constant text := format(
        'update %I set energy_mwh = $3, span_ms = $4, reset = $5 where %I = $1 and time = $2',
        p_kind || '_state', p_kind || '_id'
    );
    l_rolled_up_before constant timestamptz := rolled_up_before(p_kind || '_readings');
    l_reading record;
    l_updated bigint;
begin
    for l_reading in
        select *
        from derived_readings() as d
        where not d.is_new
    loop
        execute l_update
        using l_reading.device_id, l_reading.at, l_reading.energy_mwh, l_reading.span_ms, l_reading.reset;
        get diagnostics l_updated = row_count;
        perform require_one_row(l_updated);
        execute l_update_state
        using l_reading.device_id, l_reading.at, l_reading.energy_mwh, l_reading.span_ms, l_reading.reset;
        if l_reading.at < l_rolled_up_before then
            insert into late_hours (source, hour)
            values (p_kind || '_readings', floor_hour(l_reading.at));
        end if;
    end loop;
end;
$$;

-- As store_vehicle_readings(), for vehicles whose energy in the temporary table is a register.
create or replace function store_vehicle_registers()
returns table (part integer, readings bigint, refused text[], conflict vehicle_readings)
language plpgsql
as $$
declare
    l_late boolean;
    l_locked bigint;
begin
    perform stamp_vehicle_readings();

    -- again when one of them was purged in between
    loop
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
        get diagnostics l_locked = row_count;
        exit when l_locked = (select count(distinct i.vehicle_id) from incoming_vehicle_readings as i);
    end loop;

    return query
    with refused_readings as (
        delete from incoming_vehicle_readings as i
        using vehicle_state as s
        where s.vehicle_id = i.vehicle_id
            and s.register_mwh is null
        returning i.part, i.vehicle_id
    )
    select r.part, 0::bigint, array_agg(distinct r.vehicle_id), null::vehicle_readings
    from refused_readings as r
    group by 1;

    -- what is new lies behind the newest reading, or between its neighbours in history
    delete from register_timeline;
    insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new, is_newest)
    select s.vehicle_id, s.time, s.register_mwh, d.register_rollover_mwh, false, true
    from vehicle_state as s
    left join vehicle_settings as d
        on d.vehicle_id = s.vehicle_id
    where s.vehicle_id in (select i.vehicle_id from incoming_vehicle_readings as i)
        and s.time > '-infinity';
    if exists (
        select
        from incoming_vehicle_readings as i
        join register_timeline as t
            on t.device_id = i.vehicle_id
            and t.time >= i.time
    ) then
        return query
        select null::integer, 0::bigint, null::text[], c
        from conflicting_vehicle_readings() as c;
    end if;
    l_late := add_neighbours('vehicle');
    insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
    select i.vehicle_id, i.time, i.energy_mwh, d.register_rollover_mwh, true
    from incoming_vehicle_readings as i
    left join vehicle_settings as d
        on d.vehicle_id = i.vehicle_id;
    -- first, so that late_devices, which is written with what is new, waits for their hours too
    if l_late then
        perform correct_readings('vehicle');
    end if;

    return query
    with stored as (
        insert into vehicle_readings (
            vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared,
            register_mwh, span_ms, reset
        )
        select
            i.vehicle_id, i.time, d.energy_mwh, i.soc_bp, i.battery_temp_cdeg, i.meter_id, i.meter_declared,
            i.energy_mwh, d.span_ms, d.reset
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
        select s.vehicle_id, s.time
        from stored as s
        where s.time < (select rolled_up_before('vehicle_readings'))
    ),
    hours as (
        insert into late_hours (source, hour)
        select distinct 'vehicle_readings', floor_hour(l.time)
        from late as l
        returning id
    ),
    devices as (
        insert into late_devices (source, device_id, since, late_hours_until)
        select 'vehicle_readings', l.vehicle_id, min(l.time), (select max(h.id) from hours as h)
        from late as l
        group by l.vehicle_id
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
            removed_at = null,
            register_mwh = n.register_mwh,
            span_ms = n.span_ms,
            reset = n.reset
        from (
            select distinct on (r.vehicle_id) r.*
            from stored as r
            order by r.vehicle_id, r.time desc
        ) as n
        where s.vehicle_id = n.vehicle_id
            and s.time < n.time
    )
    select i.part, count(*), null::text[], null::vehicle_readings
    from stored as s
    join incoming_vehicle_readings as i
        on i.vehicle_id = s.vehicle_id
        and i.time = s.time
    group by 1;
end;
$$;

-- The same for meters.
create or replace function store_meter_registers()
returns table (part integer, readings bigint, refused text[], conflict meter_readings)
language plpgsql
as $$
declare
    l_late boolean;
    l_locked bigint;
begin
    -- again when one of them was purged in between
    loop
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
        get diagnostics l_locked = row_count;
        exit when l_locked = (select count(distinct i.meter_id) from incoming_meter_readings as i);
    end loop;

    return query
    with refused_readings as (
        delete from incoming_meter_readings as i
        using meter_state as s
        where s.meter_id = i.meter_id
            and s.register_mwh is null
        returning i.part, i.meter_id
    )
    select r.part, 0::bigint, array_agg(distinct r.meter_id), null::meter_readings
    from refused_readings as r
    group by 1;

    -- what is new lies behind the newest reading, or between its neighbours in history
    delete from register_timeline;
    insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new, is_newest)
    select s.meter_id, s.time, s.register_mwh, d.register_rollover_mwh, false, true
    from meter_state as s
    left join meter_settings as d
        on d.meter_id = s.meter_id
    where s.meter_id in (select i.meter_id from incoming_meter_readings as i)
        and s.time > '-infinity';
    if exists (
        select
        from incoming_meter_readings as i
        join register_timeline as t
            on t.device_id = i.meter_id
            and t.time >= i.time
    ) then
        return query
        select null::integer, 0::bigint, null::text[], c
        from conflicting_meter_readings() as c;
    end if;
    l_late := add_neighbours('meter');
    insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
    select i.meter_id, i.time, i.energy_mwh, d.register_rollover_mwh, true
    from incoming_meter_readings as i
    left join meter_settings as d
        on d.meter_id = i.meter_id;
    -- first, so that late_devices, which is written with what is new, waits for their hours too
    if l_late then
        perform correct_readings('meter');
    end if;

    return query
    with stored as (
        insert into meter_readings (
            meter_id, time, energy_mwh, voltage_mv,
            register_mwh, span_ms, reset
        )
        select
            i.meter_id, i.time, d.energy_mwh, i.voltage_mv,
            i.energy_mwh, d.span_ms, d.reset
        from incoming_meter_readings as i
        join derived_readings() as d
            on d.device_id = i.meter_id
            and d.at = i.time
        order by i.meter_id, i.time
        returning *
    ),
    late as (
        select s.meter_id, s.time
        from stored as s
        where s.time < (select rolled_up_before('meter_readings'))
    ),
    hours as (
        insert into late_hours (source, hour)
        select distinct 'meter_readings', floor_hour(l.time)
        from late as l
        returning id
    ),
    devices as (
        insert into late_devices (source, device_id, since, late_hours_until)
        select 'meter_readings', l.meter_id, min(l.time), (select max(h.id) from hours as h)
        from late as l
        group by l.meter_id
    ),
    advanced as (
        update meter_state as s
        set
            time = n.time,
            energy_mwh = n.energy_mwh,
            voltage_mv = n.voltage_mv,
            last_seen = now(),
            removed_at = null,
            register_mwh = n.register_mwh,
            span_ms = n.span_ms,
            reset = n.reset
        from (
            select distinct on (r.meter_id) r.*
            from stored as r
            order by r.meter_id, r.time desc
        ) as n
        where s.meter_id = n.meter_id
            and s.time < n.time
    )
    select i.part, count(*), null::text[], null::meter_readings
    from stored as s
    join incoming_meter_readings as i
        on i.meter_id = s.meter_id
        and i.time = s.time
    group by 1;
end;
$$;
