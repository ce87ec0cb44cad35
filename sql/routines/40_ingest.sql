-- What a writer asks first in its transaction. The lock is taken in a statement of its own, so that the
-- ones after it see every assignment that was committed before it was granted: a change of assignment
-- takes it exclusively.

create or replace function begin_batch()
returns table (assignments_version bigint, vehicles_rolled_up_before timestamptz, meters_rolled_up_before timestamptz)
language plpgsql
as $$
begin
    perform pg_advisory_xact_lock_shared(hashtext('fleetmeter.assignments'));
    return query
    select v.version, rolled_up_before('vehicle_readings'), rolled_up_before('meter_readings')
    from assignment_version as v;
end;
$$;

-- A device sends interval energy or a register, and keeps to it. Every batch of interval energy meets the
-- device's live state in its upsert, which is where this is asked; a batch that mixes is undone as a whole, and
-- merged with the refusal of those readings alone.
create or replace function refuse_register(p_device text)
returns boolean
language plpgsql
as $$
begin
    raise exception 'the device % sends a register', p_device using errcode = 'FM001';
end;
$$;

-- Moves live state forward, never back, by the readings in the session's temporary tables; of a device's
-- the newest counts. In the order of the keys, so that two batches that meet wait for each other in one
-- direction only.
create or replace function advance_vehicles()
returns void
language plpgsql
as $$
begin
    insert into vehicle_state as v (vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared, last_seen)
    select distinct on (i.vehicle_id)
        i.vehicle_id, i.time, i.energy_mwh, i.soc_bp, i.battery_temp_cdeg, i.meter_id, i.meter_declared, now()
    from incoming_vehicle_readings as i
    order by i.vehicle_id, i.time desc
    on conflict (vehicle_id) do update
    set
        time = excluded.time,
        energy_mwh = excluded.energy_mwh,
        soc_bp = excluded.soc_bp,
        battery_temp_cdeg = excluded.battery_temp_cdeg,
        meter_id = excluded.meter_id,
        meter_declared = excluded.meter_declared,
        last_seen = excluded.last_seen,
        removed_at = null
    where (v.register_mwh is null or refuse_register(v.vehicle_id))
        and excluded.time > v.time;
end;
$$;

create or replace function advance_meters()
returns void
language plpgsql
as $$
begin
    insert into meter_state as m (meter_id, time, energy_mwh, voltage_mv, last_seen)
    select distinct on (i.meter_id)
        i.meter_id, i.time, i.energy_mwh, i.voltage_mv, now()
    from incoming_meter_readings as i
    order by i.meter_id, i.time desc
    on conflict (meter_id) do update
    set
        time = excluded.time,
        energy_mwh = excluded.energy_mwh,
        voltage_mv = excluded.voltage_mv,
        last_seen = excluded.last_seen,
        removed_at = null
    where (m.register_mwh is null or refuse_register(m.meter_id))
        and excluded.time > m.time;
end;
$$;

-- A small batch of fresh readings in one round trip: history and live state, or nothing (false) when
-- what the writer remembers is not true any more: the version of the assignments, or which history may
-- be rolled up. Each parameter is a column, readings in the order of their keys. It says for itself how
-- live state advances: a temporary table costs a small batch more than all the rest.
create or replace function append_readings(
    p_assignments_version bigint,
    p_vehicle_ids text[],
    p_vehicle_times timestamptz[],
    p_vehicle_energies_mwh integer[],
    p_socs_bp smallint[],
    p_battery_temps_cdeg smallint[],
    p_vehicle_meter_ids text[],
    p_meters_declared boolean[],
    p_meter_ids text[],
    p_meter_times timestamptz[],
    p_meter_energies_mwh integer[],
    p_voltages_mv integer[]
)
returns boolean
language plpgsql
as $$
declare
    l_terms record;
begin
    select *
    into l_terms
    from begin_batch();
    if l_terms.assignments_version <> p_assignments_version
        or l_terms.vehicles_rolled_up_before > any(p_vehicle_times)
        or l_terms.meters_rolled_up_before > any(p_meter_times)
    then
        return false;
    end if;
    if cardinality(p_vehicle_ids) > 0 then
        with fresh as (
            insert into vehicle_readings (vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared)
            select *
            from unnest(
                p_vehicle_ids, p_vehicle_times, p_vehicle_energies_mwh, p_socs_bp,
                p_battery_temps_cdeg, p_vehicle_meter_ids, p_meters_declared
            )
            returning *
        )
        insert into vehicle_state as v (vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared, last_seen)
        select distinct on (f.vehicle_id)
            f.vehicle_id, f.time, f.energy_mwh, f.soc_bp, f.battery_temp_cdeg, f.meter_id, f.meter_declared, now()
        from fresh as f
        order by f.vehicle_id, f.time desc
        on conflict (vehicle_id) do update
        set
            time = excluded.time,
            energy_mwh = excluded.energy_mwh,
            soc_bp = excluded.soc_bp,
            battery_temp_cdeg = excluded.battery_temp_cdeg,
            meter_id = excluded.meter_id,
            meter_declared = excluded.meter_declared,
            last_seen = excluded.last_seen,
            removed_at = null
        where (v.register_mwh is null or refuse_register(v.vehicle_id))
        and excluded.time > v.time;
    end if;
    if cardinality(p_meter_ids) > 0 then
        with fresh as (
            insert into meter_readings (meter_id, time, energy_mwh, voltage_mv)
            select *
            from unnest(p_meter_ids, p_meter_times, p_meter_energies_mwh, p_voltages_mv)
            returning *
        )
        insert into meter_state as m (meter_id, time, energy_mwh, voltage_mv, last_seen)
        select distinct on (f.meter_id)
            f.meter_id, f.time, f.energy_mwh, f.voltage_mv, now()
        from fresh as f
        order by f.meter_id, f.time desc
        on conflict (meter_id) do update
        set
            time = excluded.time,
            energy_mwh = excluded.energy_mwh,
            voltage_mv = excluded.voltage_mv,
            last_seen = excluded.last_seen,
            removed_at = null
        where (m.register_mwh is null or refuse_register(m.meter_id))
        and excluded.time > m.time;
    end if;
    return true;
end;
$$;

-- The merge path: a batch of late, resent or unknown readings that lies in the session's temporary
-- table goes into history, live state and the notes beside them, in the caller's transaction. Returns, for
-- parts (requests) of the batch, how many were new, and which devices were refused because they send a
-- register; and what history has where a reading of the batch has other values. As everywhere, history comes
-- before live state and every insert is in the order of its key: batches that meet wait for each other in
-- one direction.
--
-- What changes hours that may be rolled up or evaluated notes them, and their devices with the last of the hours' ids:
-- a device is not evaluated anew before the rollups have followed. That id comes from what the insert of the hours
-- returns: nothing else says in which order two parts of a statement run, and an id that is read too early would
-- be too small. Rows are only added, so that nobody waits for anybody.

-- The days of a batch of p_kind (vehicle or meter) in the session's temporary table: from when to when, of which devices,
-- and whether most of what history has of them then is asked for.
create or replace function days_of_batch(p_kind text)
returns table (first timestamptz, last timestamptz, ids text[], is_dense boolean)
language plpgsql
as $$
begin
    return query execute format(
        $q$
        select
            min(i.time),
            max(i.time),
            array_agg(distinct i.id),
            count(distinct i.id) * extract(epoch from max(i.time) - min(i.time)) / 60 <= 20 * count(*)
        from (select %I as id, time from %I) as i
        group by date_bin('1 day', i.time, '2000-01-01 00:00:00+00')
        $q$,
        p_kind || '_id', format('incoming_%s_readings', p_kind)
    );
end;
$$;

-- What history has of a day of the batch, as r: for a statement that is planned with the day's first and last time and
-- devices ($1, $2, $3). All of those devices' readings at once, which unpacks each batch of the columnstore once, or for few
-- of many reading by reading.
create or replace function stored_of_day(p_kind text, p_is_dense boolean)
returns text
language sql
immutable
return format(
    case
        when p_is_dense then
            '%2$I as r
            where r.%1$I = any($3)
                and r.time >= $1
                and r.time <= $2'
        else
            '%3$I as o
            cross join lateral (
                select h.*
                from %2$I as h
                where h.%1$I = o.%1$I
                    and h.time = o.time
                    and h.time >= $1
                    and h.time <= $2
                limit 1
            ) as r
            where o.time >= $1
                and o.time <= $2'
    end,
    p_kind || '_id', p_kind || '_readings', format('incoming_%s_readings', p_kind)
);

-- Readings of history whose key the batch brings with other values. Day by day, with times that the planner knows, so
-- that it looks into one chunk.
create or replace function conflicting_vehicle_readings()
returns setof vehicle_readings
language plpgsql
as $$
declare
    l_day record;
begin
    for l_day in
        select *
        from days_of_batch('vehicle')
    loop
        return query execute format(
            $q$
            with stored as materialized (
                select r.*
                from %s
            )
            select s.*
            from stored as s
            join incoming_vehicle_readings as i
                on i.vehicle_id = s.vehicle_id
                and i.time = s.time
            where coalesce(s.register_mwh, s.energy_mwh) <> i.energy_mwh
                or s.soc_bp <> i.soc_bp
                or s.battery_temp_cdeg <> i.battery_temp_cdeg
                or s.meter_declared <> i.meter_declared
                or s.meter_declared and s.meter_id <> i.meter_id
            $q$,
            stored_of_day('vehicle', l_day.is_dense)
        )
        using l_day.first, l_day.last, l_day.ids;
    end loop;
end;
$$;

create or replace function conflicting_meter_readings()
returns setof meter_readings
language plpgsql
as $$
declare
    l_day record;
begin
    for l_day in
        select *
        from days_of_batch('meter')
    loop
        return query execute format(
            $q$
            with stored as materialized (
                select r.*
                from %s
            )
            select s.*
            from stored as s
            join incoming_meter_readings as i
                on i.meter_id = s.meter_id
                and i.time = s.time
            where coalesce(s.register_mwh, s.energy_mwh) <> i.energy_mwh
                or s.voltage_mv <> i.voltage_mv
            $q$,
            stored_of_day('meter', l_day.is_dense)
        )
        using l_day.first, l_day.last, l_day.ids;
    end loop;
end;
$$;

create or replace function stamp_vehicle_readings()
returns void
language plpgsql
as $$
begin
    perform pg_advisory_xact_lock_shared(hashtext('fleetmeter.assignments'));

    update incoming_vehicle_readings as i
    set meter_id = (
        select m.meter_id
        from meter_assignments as m
        where m.vehicle_id = i.vehicle_id
            and m.since <= i.time
        order by m.since desc
        limit 1
    )
    where i.meter_id is null;
end;
$$;

create or replace function store_vehicle_readings()
returns table (part integer, readings bigint, refused text[], conflict vehicle_readings)
language plpgsql
as $$
declare
    l_stored bigint := 0;
begin
    perform stamp_vehicle_readings();

    return query
    with refused_readings as (
        delete from incoming_vehicle_readings as i
        using vehicle_state as v
        where v.vehicle_id = i.vehicle_id
            and v.register_mwh is not null
        returning i.part, i.vehicle_id
    )
    select r.part, 0::bigint, array_agg(distinct r.vehicle_id), null::vehicle_readings
    from refused_readings as r
    group by 1;

    for part, readings in
        with stored as (
            insert into vehicle_readings (vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared)
            select i.vehicle_id, i.time, i.energy_mwh, i.soc_bp, i.battery_temp_cdeg, i.meter_id, i.meter_declared
            from incoming_vehicle_readings as i
            order by i.vehicle_id, i.time
            on conflict do nothing
            returning vehicle_id, time, meter_id
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
        )
        select i.part, count(*)
        from stored as s
        join incoming_vehicle_readings as i
            on i.vehicle_id = s.vehicle_id
            and i.time = s.time
        group by 1
    loop
        l_stored := l_stored + readings;
        return next;
    end loop;
    if l_stored < (select count(*) from incoming_vehicle_readings) then
        return query
        select null::integer, 0::bigint, null::text[], c
        from conflicting_vehicle_readings() as c;
    end if;
    perform advance_vehicles();
end;
$$;

create or replace function store_meter_readings()
returns table (part integer, readings bigint, refused text[], conflict meter_readings)
language plpgsql
as $$
declare
    l_stored bigint := 0;
begin
    return query
    with refused_readings as (
        delete from incoming_meter_readings as i
        using meter_state as m
        where m.meter_id = i.meter_id
            and m.register_mwh is not null
        returning i.part, i.meter_id
    )
    select r.part, 0::bigint, array_agg(distinct r.meter_id), null::meter_readings
    from refused_readings as r
    group by 1;

    for part, readings in
        with stored as (
            insert into meter_readings (meter_id, time, energy_mwh, voltage_mv)
            select i.meter_id, i.time, i.energy_mwh, i.voltage_mv
            from incoming_meter_readings as i
            order by i.meter_id, i.time
            on conflict do nothing
            returning meter_id, time
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
        )
        select i.part, count(*)
        from stored as s
        join incoming_meter_readings as i
            on i.meter_id = s.meter_id
            and i.time = s.time
        group by 1
    loop
        l_stored := l_stored + readings;
        return next;
    end loop;
    if l_stored < (select count(*) from incoming_meter_readings) then
        return query
        select null::integer, 0::bigint, null::text[], c
        from conflicting_meter_readings() as c;
    end if;
    perform advance_meters();
end;
$$;
