-- Corrections: a reading gets other values, and its old version is kept with who replaced it, when and why. The
-- device's row of live_state is the lock, as for registers: one correction of a device at a time.

-- Begins a correction; returns the number of the device, null if it is unknown. Takes the locks in the order of
-- docs/locks.md. Exclusively, since writers cache the newest reading with energy.
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

-- Returns a stored reading that is about to change; nulls if there is none.
create or replace function reading_to_change(p_device integer, p_time timestamptz)
returns readings
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_was readings;
begin
    perform lift_unpacking_limit();
    select r.*
    into l_was
    from readings as r
    where r.device = p_device
        and r.time = p_time;
    return l_was;
end;
$$;

-- Keeps a copy of a reading as its next version; returns the number of that version.
create or replace function keep_version(p_was readings, p_who text, p_reason text)
returns integer
language plpgsql
as $$
declare
    l_version constant integer := 1 + count(*)
        from replaced_readings as r
        where r.device = p_was.device
            and r.time = p_was.time;
begin
    insert into replaced_readings
    select v.*
    from jsonb_populate_record(
        null::replaced_readings,
        to_jsonb(p_was) || jsonb_build_object(
            'version', l_version, 'replaced_at', now(), 'replaced_by', p_who, 'reason', p_reason
        )
    ) as v;
    return l_version;
end;
$$;

-- Fills the timeline with the readings with energy before and after a stored one.
create or replace function lay_out_around(p_device integer, p_time timestamptz)
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
begin
    delete from timeline;
    insert into timeline (device, time, energy_mwh, register_mwh, interval_start, span_ms, interval_ms, is_new)
    select
        d.device, t.time, t.energy_mwh, t.register_mwh, t.interval_start, t.span_ms,
        interval_ms_of(d.reporting_interval_s), false
    from (
        (
            select b.*
            from readings as b
            where b.device = p_device
                and b.energy_mwh is not null
                and b.time < p_time
            order by b.time desc
            limit 1
        )
        union all
        (
            select a.*
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
end;
$$;

-- Returns the length of a stored reading's interval with this energy; null for a register, which is derived separately.
-- Leaves the timeline to correct_neighbours(), which corrects the reading after it.
create or replace function derive_again(
    p_device integer,
    p_time timestamptz,
    p_register_mwh bigint,
    p_interval_start timestamptz
)
returns bigint
language plpgsql
as $$
begin
    perform lay_out_around(p_device, p_time);
    insert into timeline (device, time, energy_mwh, register_mwh, interval_start, interval_ms, is_new)
    select d.device, p_time, 0, p_register_mwh, p_interval_start, interval_ms_of(d.reporting_interval_s), true
    from devices as d
    where d.device = p_device;
    return (
        select d.span_ms
        from derived_readings() as d
        where d.is_new
    );
end;
$$;

-- Derives the reading after a stored one as if that did not exist; returns the earliest start of its interval, before
-- or now, and its end.
create or replace function derive_without(
    p_device integer,
    p_time timestamptz,
    out starts timestamptz,
    out ends timestamptz
)
language plpgsql
as $$
declare
    l_behind record;
begin
    perform lay_out_around(p_device, p_time);
    update timeline as t
    set is_new = true
    where t.time > p_time;
    select d.*, t.interval_start
    into l_behind
    from derived_readings() as d
    join timeline as t
        on t.time = d.at
    where d.is_new;
    if found then
        starts := derive_reading(p_device, l_behind.at, l_behind.span_ms, l_behind.interval_start, l_behind.was_ms);
        ends := l_behind.at;
    end if;
end;
$$;

-- Makes writers, which cache a device's newest reading, ask again.
create or replace function note_newest_changed()
returns void
language sql
begin atomic
    update versions
    set assignments = assignments + 1;
end;

-- Corrects live state if the values of the corrected reading are, or become, the newest known.
create or replace function correct_state(p_was readings, p_is readings, p_values jsonb)
returns void
language plpgsql
as $$
declare
    l_column text;
begin
    -- newer than the newest: the reading had been voided and is restored
    update live_state as s
    set
        time = p_is.time,
        meter = p_is.meter,
        meter_declared = p_is.meter_declared,
        removed_at = case when s.time = p_is.time then s.removed_at end
    where s.device = p_is.device
        and s.time <= p_is.time;
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
        perform note_newest_changed();
    end if;
end;
$$;

-- Returns a reading with the values of a correction. The energy of a register is derived later, from the reading before
-- it, which may be known only from this one (register_dropped()).
create or replace function corrected_reading(p_was readings, p_values jsonb)
returns readings
language plpgsql
stable
as $$
declare
    l_is readings := jsonb_populate_record(p_was, p_values);
begin
    if not l_is.meter_declared then
        l_is.meter := assigned_meter(p_was.device, p_was.time);
    end if;
    if l_is.register_mwh is not null then
        l_is.energy_mwh := coalesce(l_is.energy_mwh, 0)
            + case when p_was.highest_mwh is null then coalesce(l_is.register_mwh - p_was.register_mwh, 0) else 0 end;
    end if;
    return l_is;
end;
$$;

-- Replaces a stored reading, and its energy in spread_energy.
create or replace function replace_reading(p_was readings, p_is readings)
returns void
language plpgsql
as $$
declare
    l_columns text;
    l_updated bigint;
begin
    perform take_out_pieces(p_was.device, p_was.time, coalesce(p_was.span_ms, 0));
    select string_agg(format('%1$I = ($1).%1$I', c.name), ', ')
    into l_columns
    from jsonb_object_keys(to_jsonb(p_is) - '{device,time}'::text[]) as c (name);
    execute format('update readings set %s where device = $2 and time = $3', l_columns)
    using p_is, p_was.device, p_was.time;
    get diagnostics l_updated = row_count;
    perform require_rows(l_updated, 1);
    if p_is.spread then
        perform put_pieces(array[p_was.device], array[p_was.time]);
    end if;
end;
$$;

-- Gives a reading the values of p_values, by columns of readings; absent ones stay. Energy is given as it is sent: of
-- the interval, or the value of a register. A vehicle's meter comes with meter_declared; otherwise it is the assigned
-- one. Returns the number of the version now in force, or null if there is no such reading.
create or replace function correct_reading(
    p_device integer,
    p_time timestamptz,
    p_values jsonb,
    p_who text,
    p_reason text
)
returns integer
language plpgsql
-- a key that is constant when the statement is planned is found in the columnstore without unpacking the rest
set plan_cache_mode = force_custom_plan
as $$
declare
    l_was readings;
    l_is readings;
    l_version integer;
    l_span_ms bigint;
    l_begins timestamptz;
    -- of the readings after it
    l_devices integer[];
    l_starts timestamptz[];
    l_ends timestamptz[];
begin
    l_was := reading_to_change(p_device, p_time);
    if l_was.device is null then
        return null;
    end if;

    l_version := 1 + keep_version(l_was, p_who, p_reason);
    l_is := corrected_reading(l_was, p_values);
    if (l_was.energy_mwh is null) <> (l_is.energy_mwh is null)
        or l_is.interval_start is distinct from l_was.interval_start and l_is.energy_mwh is not null
    then
        l_span_ms := derive_again(p_device, p_time, l_is.register_mwh, l_is.interval_start);
        if l_is.register_mwh is null then
            l_is.span_ms := l_span_ms;
            l_is.spread := is_spread(p_time, l_is.span_ms, l_is.interval_start);
        end if;
        select c.devices, c.starts, c.ends
        into l_devices, l_starts, l_ends
        from correct_neighbours() as c;
    end if;
    perform replace_reading(l_was, l_is);
    if l_is.register_mwh is not null
        and (l_is.register_mwh, l_is.interval_start) is distinct from (l_was.register_mwh, l_was.interval_start)
    then
        select
            l_devices || array_fill(p_device, array[coalesce(cardinality(d.ends), 0)]), l_starts || d.starts,
            l_ends || d.ends
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

    update devices as d
    set says_starts = true
    where d.device = p_device
        and l_is.interval_start is not null
        and not d.says_starts;
    insert into meter_vehicles (meter, vehicle)
    select l_is.meter, p_device
    where l_is.meter is not null
    on conflict do nothing;
    perform note_changed(l_devices || p_device, l_starts || l_begins, l_ends || p_time);
    return l_version;
end;
$$;

-- Removes a voided reading from live state: what was newest there gets the previous values. A device without any
-- reading left is removed from live state until its next one.
create or replace function take_out_of_state(p_was readings)
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_column text;
    l_is_newest boolean;
begin
    for l_column in
        select c.attname
        from pg_attribute as c
        join pg_attribute as a
            on a.attrelid = c.attrelid
            and a.attname = c.attname || '_at'
            and not a.attisdropped
        where c.attrelid = 'live_state'::regclass
            and not c.attisdropped
    loop
        execute format(
            'update live_state as s
            set (%1$I, %2$I) = (
                select b.%1$I, b.time
                from readings as b
                where b.device = $1
                    and b.time < $2
                    and b.%1$I is not null
                order by b.time desc
                limit 1
            )
            where s.device = $1
                and s.%2$I = $2',
            l_column, l_column || '_at'
        )
        using p_was.device, p_was.time;
    end loop;
    update live_state as s
    set (energy_at, energy_mwh, register_mwh, highest_mwh, span_ms, interval_start, reset, spread) = (
        select
            b.time, b.energy_mwh, b.register_mwh, b.highest_mwh, b.span_ms, b.interval_start, coalesce(b.reset, false),
            coalesce(b.spread, false)
        from (select) as one_row
        left join lateral (
            select r.*
            from readings as r
            where r.device = p_was.device
                and r.time < p_was.time
                and r.energy_mwh is not null
            order by r.time desc
            limit 1
        ) as b
            on true
    )
    where s.device = p_was.device
        and s.energy_at = p_was.time;
    l_is_newest := found;
    update live_state as s
    set (time, meter, meter_declared, removed_at) = (
        select
            coalesce(b.time, '-infinity'), b.meter, coalesce(b.meter_declared, false),
            case when b.time is null then coalesce(s.removed_at, now()) else s.removed_at end
        from (select) as one_row
        left join lateral (
            select r.*
            from readings as r
            where r.device = p_was.device
                and r.time < p_was.time
            order by r.time desc
            limit 1
        ) as b
            on true
    )
    where s.device = p_was.device
        and s.time = p_was.time;
    if found or l_is_newest then
        perform note_newest_changed();
    end if;
end;
$$;

-- Voids a reading: keeps a copy as a version, and derives again what followed from it. Returns the number of the
-- version now in force, or null if there is no such reading.
create or replace function void_reading(p_device integer, p_time timestamptz, p_who text, p_reason text)
returns integer
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_was readings;
    l_behind record;
    l_registers record;
begin
    l_was := reading_to_change(p_device, p_time);
    if l_was.device is null then
        return null;
    end if;
    insert into voided_readings (device, time)
    values (p_device, p_time);
    select null::timestamptz as starts, null::timestamptz as ends
    into l_behind;
    select null::timestamptz[] as starts, null::timestamptz[] as ends
    into l_registers;
    if l_was.energy_mwh is not null then
        select *
        into l_behind
        from derive_without(p_device, p_time);
    end if;
    perform take_out_reading(p_device, p_time, l_was.span_ms);
    perform take_out_of_state(l_was);
    if l_was.register_mwh is not null then
        l_registers := derive_registers(p_device, false, p_time, p_time);
    end if;
    if l_was.reverse_register_mwh is not null then
        perform derive_registers(p_device, true, p_time, p_time);
    end if;
    perform note_device_changed(p_device, array_agg(u.starts), array_agg(u.ends))
    from unnest(
        l_registers.starts || start_of(p_time, coalesce(l_was.span_ms, 0)) || l_behind.starts,
        l_registers.ends || p_time || l_behind.ends
    ) as u (starts, ends)
    where u.ends is not null;
    return 1 + keep_version(l_was, p_who, p_reason);
end;
$$;

-- Restores a voided reading, without any value; returns false if it was not voided.
create or replace function bring_back_reading(p_device integer, p_time timestamptz)
returns boolean
language plpgsql
as $$
begin
    delete from voided_readings as v
    where v.device = p_device
        and v.time = p_time;
    if not found then
        return false;
    end if;
    insert into readings (device, time)
    values (p_device, p_time);
    return true;
end;
$$;

-- Returns whether a replaced version of a reading stated the start of its interval, and whether it named its meter.
create or replace function stated_before(p_device integer, p_time timestamptz, out starts boolean, out meter boolean)
language plpgsql
stable
as $$
begin
    select
        coalesce(bool_or(r.interval_start is not null), false),
        coalesce(bool_or(r.meter_declared), false)
    into starts, meter
    from replaced_readings as r
    where r.device = p_device
        and r.time = p_time;
end;
$$;

-- Removes readings from the batch that were voided; returns the items whose values differ from the voided ones.
create or replace function take_out_voided()
returns integer[]
language plpgsql
as $$
declare
    l_items integer[];
begin
    with again as (
        delete from incoming as i
        using voided_readings as v
        where v.device = i.device
            and v.time = i.time
        returning i.item, jsonb_populate_record(null::readings, to_jsonb(i)) as sent
    )
    select array_agg(a.item)
    into l_items
    from again as a
    cross join lateral (
        select r.*
        from replaced_readings as r
        where r.device = (a.sent).device
            and r.time = (a.sent).time
        order by r.version desc
        limit 1
    ) as w
    where not jsonb_strip_nulls(to_jsonb(a.sent) - '{meter_declared,reset,spread}'::text[]) <@ to_jsonb(w);
    return l_items;
end;
$$;
