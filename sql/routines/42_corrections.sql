-- Corrections: a reading gets other values, and the version that it had stays, with who replaced it, when and why. The
-- device's row of live state is the lock, as for registers: one correction of a device at a time.

-- Begins a correction; the number of the device, null when nobody has named it. The locks in the order in which
-- everybody takes them. Writers remember the newest reading with energy: none is at it while one changes.
create or replace function begin_correction(p_kind text, p_id text)
returns integer
language plpgsql
as $$
declare
    l_device integer := device_of(p_kind, p_id);
begin
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    l_device := device_of(p_kind, p_id);
    perform
    from live_state as s
    where s.device = l_device
    for update;
    return l_device;
end;
$$;

-- How long the interval of a stored reading is that has this interval energy, while the timeline is left for
-- correct_neighbours(), which sees to the reading behind it.
create or replace function derive_again(p_device integer, p_time timestamptz, p_energy_mwh bigint)
returns bigint
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
begin
    delete from timeline;
    insert into timeline (device, time, energy_mwh, register_mwh, interval_start, span_ms, interval_ms, is_new)
    select
        d.device, t.time, t.energy_mwh, t.register_mwh, t.interval_start, t.span_ms,
        interval_ms_of(d.reporting_interval_s), t.is_new
    from (
        select
            r.time, p_energy_mwh as energy_mwh, null::bigint as register_mwh, r.interval_start, r.span_ms,
            true as is_new
        from readings as r
        where r.device = p_device
            and r.time = p_time
        union all
        (
            select b.time, b.energy_mwh, b.register_mwh, b.interval_start, b.span_ms, false
            from readings as b
            where b.device = p_device
                and b.energy_mwh is not null
                and b.time < p_time
            order by b.time desc
            limit 1
        )
        union all
        (
            select a.time, a.energy_mwh, a.register_mwh, a.interval_start, a.span_ms, false
            from readings as a
            where a.device = p_device
                and a.energy_mwh is not null
                and a.time > p_time
            order by a.time
            limit 1
        )
    ) as t
    join devices as d
        on d.device = p_device;
    return (
        select d.span_ms
        from derived_readings() as d
        where d.is_new
    );
end;
$$;

-- Live state follows a correction of a reading whose values are the newest that are known, or become so.
create or replace function correct_state(p_was readings, p_is readings, p_values jsonb)
returns void
language plpgsql
as $$
declare
    l_column text;
begin
    update live_state as s
    set
        meter = p_is.meter,
        meter_declared = p_is.meter_declared
    where s.device = p_is.device
        and s.time = p_is.time;
    for l_column in
        select c.name
        from jsonb_object_keys(p_values) as c (name)
        join pg_attribute as a
            on a.attrelid = 'live_state'::regclass
            and a.attname = c.name || '_at'
            and not a.attisdropped
    loop
        execute format(
            'update live_state set %1$I = ($1).%1$I, %2$I = $2
            where device = $3 and (%2$I <= $2 or %2$I is null)',
            l_column, l_column || '_at'
        )
        using p_is, p_is.time, p_is.device;
    end loop;
    update live_state as s
    set
        energy_at = p_is.time,
        energy_mwh = p_is.energy_mwh,
        register_mwh = p_is.register_mwh,
        highest_mwh = p_is.highest_mwh,
        span_ms = p_is.span_ms,
        interval_start = p_is.interval_start,
        reset = p_is.reset,
        spread = p_is.spread
    where s.device = p_is.device
        and p_is.energy_mwh is not null
        and (s.energy_at is null or s.energy_at <= p_is.time);
    if found and (p_is.register_mwh is distinct from p_was.register_mwh or p_was.energy_mwh is null) then
        -- writers remember it
        update versions
        set assignments = assignments + 1;
    end if;
end;
$$;

-- Gives a device's reading the values that p_values has, by the columns of readings; what is absent stays. Energy is as
-- it is sent: of the interval, or what the register shows. A vehicle's meter goes with meter_declared; without, it is
-- the assigned one. Returns the number of the version that is now in force, or null when there is no such reading.
create or replace function correct_reading(
    p_device integer,
    p_time timestamptz,
    p_values jsonb,
    p_who text,
    p_reason text
)
returns integer
language plpgsql
-- a key that is known when the statement is planned is found in the columnstore without unpacking the rest
set plan_cache_mode = force_custom_plan
as $$
declare
    l_was readings;
    l_is readings;
    l_version integer;
    l_columns text;
    l_updated bigint;
    l_begins timestamptz;
    -- of the reading behind it
    l_devices integer[];
    l_starts timestamptz[];
    l_ends timestamptz[];
begin
    -- old readings may be in the columnstore
    perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
    select r.*
    into l_was
    from readings as r
    where r.device = p_device
        and r.time = p_time;
    if not found then
        return null;
    end if;

    insert into replaced_readings
    select count(*) + 1, now(), p_who, p_reason, (l_was).*
    from replaced_readings as r
    where r.device = p_device
        and r.time = p_time
    returning version + 1 into l_version;

    l_is := jsonb_populate_record(l_was, p_values);
    if not l_is.meter_declared then
        l_is.meter := assigned_meter(p_device, p_time);
    end if;
    if l_is.register_mwh is not null then
        -- derived below, from the reading before, which may be told by this one alone (register_dropped)
        l_is.energy_mwh := coalesce(l_is.energy_mwh, 0)
            + case when l_was.highest_mwh is null then coalesce(l_is.register_mwh - l_was.register_mwh, 0) else 0 end;
    elsif (l_was.energy_mwh is null) <> (l_is.energy_mwh is null) then
        l_is.span_ms := derive_again(p_device, p_time, l_is.energy_mwh);
        l_is.spread := is_spread(p_time, l_is.span_ms, l_is.interval_start);
        select c.devices, c.starts, c.ends
        into l_devices, l_starts, l_ends
        from correct_neighbours() as c;
    end if;
    perform take_out_pieces(p_device, p_time, coalesce(l_was.span_ms, 0));

    select string_agg(format('%1$I = ($1).%1$I', c.name), ', ')
    into l_columns
    from jsonb_object_keys(to_jsonb(l_is) - '{device,time}'::text[]) as c (name);
    execute format('update readings set %s where device = $2 and time = $3', l_columns)
    using l_is, p_device, p_time;
    get diagnostics l_updated = row_count;
    perform require_rows(l_updated, 1);
    if l_is.spread then
        perform put_pieces(array[p_device], array[p_time]);
    end if;
    if l_is.register_mwh is distinct from l_was.register_mwh then
        select array_fill(p_device, array[coalesce(cardinality(d.ends), 0)]), d.starts, d.ends
        into l_devices, l_starts, l_ends
        from derive_registers(p_device, false, p_time, p_time) as d;
    end if;
    if l_is.reverse_register_mwh is distinct from l_was.reverse_register_mwh then
        perform derive_registers(p_device, true, p_time, p_time);
    end if;
    select r.*
    into l_is
    from readings as r
    where r.device = p_device
        and r.time = p_time;
    l_begins := start_of(p_time, greatest(l_is.span_ms, l_was.span_ms, 0));
    perform correct_state(l_was, l_is, p_values);

    insert into meter_vehicles (meter, vehicle)
    select l_is.meter, p_device
    where l_is.meter is not null
    on conflict do nothing;
    perform cover_once(l_devices || p_device, l_starts || l_begins, l_ends || p_time);
    perform note_late(l_devices || p_device, l_starts || l_begins, l_ends || p_time);
    return l_version;
end;
$$;
