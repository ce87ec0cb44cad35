-- How readings get into history: those newer than all of their device are appended (append_readings(), or COPY and
-- advance_state()); late, resent or unknown ones are merged (store_readings()).

-- Begins a batch; returns the versions of what writers cache, and the time before which history may be rolled up. The
-- lock is taken in a statement of its own, so that later ones see every assignment committed before it was granted: a
-- change of assignment takes it exclusively.
create or replace function begin_batch()
returns table (assignments_version bigint, devices_version bigint, horizon timestamptz)
language plpgsql
as $$
begin
    perform pg_advisory_xact_lock_shared(hashtext('fleetmeter.assignments'));
    return query
    select v.assignments, v.devices, rolled_up_before()
    from versions as v;
end;
$$;

-- Numbers devices, in the order of their keys; returns their numbers and the version of devices for which these hold.
create or replace function number_devices(p_kinds text[], p_ids text[])
returns table (kind text, id text, device integer, version bigint)
language plpgsql
as $$
begin
    insert into devices as d (kind, id)
    select u.kind, u.id
    from unnest(p_kinds, p_ids) as u (kind, id)
    where not exists (select from devices as e where e.kind = u.kind and e.id = u.id)
    order by u.kind collate "C", u.id collate "C"
    on conflict do nothing;
    return query
    select d.kind, d.id, d.device, v.devices
    from unnest(p_kinds, p_ids) as u (kind, id)
    join devices as d
        on d.kind = u.kind
        and d.id = u.id
    cross join versions as v;
end;
$$;

-- Notes hours that may already be rolled up or evaluated; returns the last of their ids, null if there are none.
create or replace function note_hours(p_hours timestamptz[])
returns bigint
language plpgsql
as $$
declare
    l_before constant timestamptz := rolled_up_before();
    l_last bigint;
begin
    with hours as (
        insert into late_hours (hour)
        select h.hour
        from unnest(p_hours) as h (hour)
        where h.hour < l_before
        returning id
    )
    select max(h.id)
    into l_last
    from hours as h;
    return l_last;
end;
$$;

-- Notes a change of history, in its transaction: the hours of intervals from p_starts to p_ends that may already be
-- rolled up or evaluated, and their devices with the last of the hours' ids, since a device is not evaluated again
-- before the rollups have been refreshed. Only adds rows, so that sessions do not wait for each other.
create or replace function note_late(p_devices integer[], p_starts timestamptz[], p_ends timestamptz[])
returns void
language plpgsql
as $$
declare
    l_before constant timestamptz := rolled_up_before();
    l_last constant bigint := note_hours(array(
        select distinct h.hour
        from (
            select distinct
                floor_hour(least(u.starts, u.ends - interval '1 microsecond')) as first,
                floor_hour(u.ends - interval '1 microsecond') as last
            from unnest(p_starts, p_ends) as u (starts, ends)
        ) as c
        cross join lateral generate_series(c.first, c.last, interval '1 hour') as h (hour)
    ));
begin
    if l_last is not null then
        insert into late_devices (device, since, late_hours_until)
        select u.device, min(least(u.starts, u.ends - interval '1 microsecond')), l_last
        from unnest(p_devices, p_starts, p_ends) as u (device, starts, ends)
        where floor_hour(least(u.starts, u.ends - interval '1 microsecond')) < l_before
        group by u.device;
    end if;
end;
$$;

-- Follows up on changed intervals, each from its start to its end, as they were or are now: covers each moment once,
-- and notes late hours and devices. Called once for all changes of a transaction, since a device in late_devices waits
-- for all of its hours.
create or replace function note_changed(p_devices integer[], p_starts timestamptz[], p_ends timestamptz[])
returns void
language plpgsql
as $$
begin
    perform cover_once(p_devices, p_starts, p_ends);
    perform note_late(p_devices, p_starts, p_ends);
end;
$$;

-- The same for intervals of one device; null if nothing has changed.
create or replace function note_device_changed(p_device integer, p_starts timestamptz[], p_ends timestamptz[])
returns void
language plpgsql
as $$
begin
    if p_ends is not null then
        perform note_changed(array_fill(p_device, array[cardinality(p_ends)]), p_starts, p_ends);
    end if;
end;
$$;

-- Refuses a batch, which is then undone as a whole and derived again. A device sends the same kind of energy as before,
-- and the length of a reading's interval and the energy of a register were derived from the reading that the writer
-- took for the newest: somebody else has stored a newer one, or changed its kind.
create or replace function refuse_batch()
returns void
language plpgsql
as $$
begin
    raise exception 'live state is not what the writer remembers' using errcode = 'FM001';
end;
$$;

-- Adds live state for devices in the temporary table that have none, as far as the writer knows. In the order of the
-- key, so that two batches that meet wait for each other in one direction only.
create or replace function add_states()
returns void
language plpgsql
as $$
begin
    insert into live_state (
        device, meter, time, energy_at, energy_mwh, register_mwh, highest_mwh, span_ms, meter_declared, reset,
        spread,
        -- each measurement: {column},
        soc_bp, battery_temp_cdeg, power_w, odometer_m, reverse_mwh, reverse_register_mwh, voltage_mv, voltage_l1_mv,
        voltage_l2_mv, voltage_l3_mv, session,
        -- end
        -- each measurement: {column}_at,
        soc_bp_at, battery_temp_cdeg_at, power_w_at, odometer_m_at, reverse_mwh_at, reverse_register_mwh_at,
        voltage_mv_at, voltage_l1_mv_at, voltage_l2_mv_at, voltage_l3_mv_at, session_at,
        -- end
        last_seen
    )
    select
        i.device, i.meter, i.time, case when i.energy_mwh is not null then coalesce(i.energy_at, i.time) end,
        i.energy_mwh, i.register_mwh, i.highest_mwh, i.span_ms, i.meter_declared, i.reset, i.spread,
        -- each measurement: i.{column},
        i.soc_bp, i.battery_temp_cdeg, i.power_w, i.odometer_m, i.reverse_mwh, i.reverse_register_mwh, i.voltage_mv,
        i.voltage_l1_mv, i.voltage_l2_mv, i.voltage_l3_mv, i.session,
        -- end
        -- each measurement: case when i.{column} is not null then coalesce(i.{column}_at, i.time) end,
        case when i.soc_bp is not null then coalesce(i.soc_bp_at, i.time) end,
        case when i.battery_temp_cdeg is not null then coalesce(i.battery_temp_cdeg_at, i.time) end,
        case when i.power_w is not null then coalesce(i.power_w_at, i.time) end,
        case when i.odometer_m is not null then coalesce(i.odometer_m_at, i.time) end,
        case when i.reverse_mwh is not null then coalesce(i.reverse_mwh_at, i.time) end,
        case when i.reverse_register_mwh is not null then coalesce(i.reverse_register_mwh_at, i.time) end,
        case when i.voltage_mv is not null then coalesce(i.voltage_mv_at, i.time) end,
        case when i.voltage_l1_mv is not null then coalesce(i.voltage_l1_mv_at, i.time) end,
        case when i.voltage_l2_mv is not null then coalesce(i.voltage_l2_mv_at, i.time) end,
        case when i.voltage_l3_mv is not null then coalesce(i.voltage_l3_mv_at, i.time) end,
        case when i.session is not null then coalesce(i.session_at, i.time) end,
        -- end
        now()
    from newest as i
    where i.expected is null
    order by i.device
    on conflict do nothing;
end;
$$;

-- Refuses the batch if live state differs from the temporary table: another writer may have been faster.
create or replace function require_states()
returns void
language plpgsql
as $$
begin
    if exists (
        select
        from newest as i
        join live_state as s
            on s.device = i.device
        where s.time <> i.time
            or i.energy_mwh is not null
            and (
                s.energy_at <> coalesce(i.energy_at, i.time)
                or (s.register_mwh is null) <> (i.register_mwh is null)
            )
    ) then
        perform refuse_batch();
    end if;
end;
$$;

-- Moves live state forward, never back, by the newest reading of each device in the temporary table: time and meter are
-- those of that reading; energy and each measurement are the newest known, with their times.
create or replace function advance_state()
returns void
language plpgsql
-- by the key, as in append_readings()
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    l_advanced bigint;
begin
    update live_state as s
    set
        meter = i.meter,
        time = i.time,
        energy_at = case when i.energy_mwh is null then s.energy_at else coalesce(i.energy_at, i.time) end,
        energy_mwh = coalesce(i.energy_mwh, s.energy_mwh),
        register_mwh = coalesce(i.register_mwh, s.register_mwh),
        highest_mwh = case when i.energy_mwh is null then s.highest_mwh else i.highest_mwh end,
        span_ms = case when i.energy_mwh is null then s.span_ms else i.span_ms end,
        interval_start = case when i.energy_mwh is null then s.interval_start end,
        reset = case when i.energy_mwh is null then s.reset else i.reset end,
        spread = case when i.energy_mwh is null then s.spread else i.spread end,
        meter_declared = i.meter_declared,
        -- each measurement: {column} = coalesce(i.{column}, s.{column}),
        soc_bp = coalesce(i.soc_bp, s.soc_bp), battery_temp_cdeg = coalesce(i.battery_temp_cdeg, s.battery_temp_cdeg),
        power_w = coalesce(i.power_w, s.power_w), odometer_m = coalesce(i.odometer_m, s.odometer_m),
        reverse_mwh = coalesce(i.reverse_mwh, s.reverse_mwh),
        reverse_register_mwh = coalesce(i.reverse_register_mwh, s.reverse_register_mwh),
        voltage_mv = coalesce(i.voltage_mv, s.voltage_mv), voltage_l1_mv = coalesce(i.voltage_l1_mv, s.voltage_l1_mv),
        voltage_l2_mv = coalesce(i.voltage_l2_mv, s.voltage_l2_mv),
        voltage_l3_mv = coalesce(i.voltage_l3_mv, s.voltage_l3_mv), session = coalesce(i.session, s.session),
        -- end
        -- each measurement: {column}_at = case when i.{column} is null then s.{column}_at else
        --     coalesce(i.{column}_at, i.time) end,
        soc_bp_at = case when i.soc_bp is null then s.soc_bp_at else coalesce(i.soc_bp_at, i.time) end,
        battery_temp_cdeg_at = case when i.battery_temp_cdeg is null then s.battery_temp_cdeg_at else
            coalesce(i.battery_temp_cdeg_at, i.time) end,
        power_w_at = case when i.power_w is null then s.power_w_at else coalesce(i.power_w_at, i.time) end,
        odometer_m_at = case when i.odometer_m is null then s.odometer_m_at else coalesce(i.odometer_m_at, i.time) end,
        reverse_mwh_at = case when i.reverse_mwh is null then s.reverse_mwh_at else coalesce(i.reverse_mwh_at, i.time)
            end,
        reverse_register_mwh_at = case when i.reverse_register_mwh is null then s.reverse_register_mwh_at else
            coalesce(i.reverse_register_mwh_at, i.time) end,
        voltage_mv_at = case when i.voltage_mv is null then s.voltage_mv_at else coalesce(i.voltage_mv_at, i.time) end,
        voltage_l1_mv_at = case when i.voltage_l1_mv is null then s.voltage_l1_mv_at else coalesce(i.voltage_l1_mv_at,
            i.time) end,
        voltage_l2_mv_at = case when i.voltage_l2_mv is null then s.voltage_l2_mv_at else coalesce(i.voltage_l2_mv_at,
            i.time) end,
        voltage_l3_mv_at = case when i.voltage_l3_mv is null then s.voltage_l3_mv_at else coalesce(i.voltage_l3_mv_at,
            i.time) end,
        session_at = case when i.session is null then s.session_at else coalesce(i.session_at, i.time) end,
        -- end
        last_seen = now(),
        removed_at = null
    from newest as i
    where s.device = i.device
        and s.time = i.expected
        and coalesce(s.energy_at, '0001-01-01 00:00:00+00') = coalesce(i.energy_expected, i.expected)
        and s.derivation = i.derivation
        and (i.energy_mwh is null or s.energy_at is null or (i.register_mwh is null) = (s.register_mwh is null));
    get diagnostics l_advanced = row_count;
    if l_advanced = (select count(*) from newest) then
        return;
    end if;
    perform add_states();
    perform require_states();
end;
$$;

-- Begins a batch for append_readings() and notes its late hours. Returns false if the versions differ from those the
-- writer knows.
create or replace function begin_append(
    p_assignments_version bigint,
    p_devices_version bigint,
    p_first timestamptz,
    p_device integer[],
    p_time timestamptz[],
    p_span_ms bigint[]
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
    if l_terms.assignments_version <> p_assignments_version or l_terms.devices_version <> p_devices_version then
        return false;
    end if;
    if l_terms.horizon > p_first then
        perform note_late(array_agg(u.device), array_agg(start_of(u.time, coalesce(u.span_ms, 0))), array_agg(u.time))
        from unnest(p_device, p_time, p_span_ms) as u (device, time, span_ms);
    end if;
    return true;
end;
$$;

-- Stores a small batch in one round trip, in history and live state: one reading of each device, newer than all others
-- of it. Returns false, and stores nothing, if the versions differ from those the writer knows. Each parameter is a
-- column, readings in the order of their keys; an empty array is a column without values. It updates live state by
-- itself, since a temporary table would cost a small batch more than all the rest.
create or replace function append_readings(
    p_assignments_version bigint,
    p_devices_version bigint,
    p_pair_meters integer[],
    p_pair_vehicles integer[],
    p_expected timestamptz[],
    p_energy_expected timestamptz[],
    p_derivation integer[],
    p_first timestamptz,
    p_device integer[],
    p_meter integer[],
    p_time timestamptz[],
    p_energy_mwh bigint[],
    p_register_mwh bigint[],
    p_highest_mwh bigint[],
    p_span_ms bigint[],
    p_meter_declared boolean[],
    p_reset boolean[],
    p_spread boolean[],
    -- each measurement, last: p_{column} {type}[],
    p_soc_bp smallint[], p_battery_temp_cdeg smallint[], p_power_w integer[], p_odometer_m bigint[],
    p_reverse_mwh bigint[], p_reverse_register_mwh bigint[], p_voltage_mv integer[], p_voltage_l1_mv integer[],
    p_voltage_l2_mv integer[], p_voltage_l3_mv integer[], p_session integer[]
    -- end
)
returns boolean
language plpgsql
-- by the key, however few devices there are: a scan would read the whole fleet for every batch; and planned once, since
-- planning takes longer than the rest
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    l_advanced bigint;
begin
    if not begin_append(p_assignments_version, p_devices_version, p_first, p_device, p_time, p_span_ms) then
        return false;
    end if;
    with batch as materialized (
        select
            b.*, coalesce(b.derivation, 0) as at_derivation, coalesce(b.meter_declared, false) as is_declared,
            coalesce(b.reset, false) as is_reset, coalesce(b.spread, false) as is_spread
        from unnest(
            p_expected, p_energy_expected, p_derivation, p_device, p_meter, p_time, p_energy_mwh, p_register_mwh,
            p_highest_mwh, p_span_ms,
            p_meter_declared, p_reset, p_spread,
            -- each measurement, last: p_{column},
            p_soc_bp, p_battery_temp_cdeg, p_power_w, p_odometer_m, p_reverse_mwh, p_reverse_register_mwh, p_voltage_mv,
            p_voltage_l1_mv, p_voltage_l2_mv, p_voltage_l3_mv, p_session
            -- end
        ) as b (
            expected, energy_expected, derivation, device, meter, time, energy_mwh, register_mwh, highest_mwh, span_ms,
            meter_declared, reset, spread,
            -- each measurement, last: {column},
            soc_bp, battery_temp_cdeg, power_w, odometer_m, reverse_mwh, reverse_register_mwh, voltage_mv,
            voltage_l1_mv, voltage_l2_mv, voltage_l3_mv, session
            -- end
        )
    ),
    history as (
        insert into readings (
            device, meter, time, energy_mwh, register_mwh, highest_mwh, span_ms, meter_declared, reset, spread,
            -- each measurement, last: {column},
            soc_bp, battery_temp_cdeg, power_w, odometer_m, reverse_mwh, reverse_register_mwh, voltage_mv,
            voltage_l1_mv, voltage_l2_mv, voltage_l3_mv, session
            -- end
        )
        select
            b.device, b.meter, b.time, b.energy_mwh, b.register_mwh, b.highest_mwh, b.span_ms, b.is_declared,
            b.is_reset, b.is_spread,
            -- each measurement, last: b.{column},
            b.soc_bp, b.battery_temp_cdeg, b.power_w, b.odometer_m, b.reverse_mwh, b.reverse_register_mwh, b.voltage_mv,
            b.voltage_l1_mv, b.voltage_l2_mv, b.voltage_l3_mv, b.session
            -- end
        from batch as b
    )
    update live_state as s
    set
        meter = i.meter,
        time = i.time,
        energy_at = case when i.energy_mwh is null then s.energy_at else i.time end,
        energy_mwh = coalesce(i.energy_mwh, s.energy_mwh),
        register_mwh = coalesce(i.register_mwh, s.register_mwh),
        highest_mwh = case when i.energy_mwh is null then s.highest_mwh else i.highest_mwh end,
        span_ms = case when i.energy_mwh is null then s.span_ms else i.span_ms end,
        interval_start = case when i.energy_mwh is null then s.interval_start end,
        reset = case when i.energy_mwh is null then s.reset else i.is_reset end,
        spread = case when i.energy_mwh is null then s.spread else i.is_spread end,
        meter_declared = i.is_declared,
        -- each measurement: {column} = coalesce(i.{column}, s.{column}),
        soc_bp = coalesce(i.soc_bp, s.soc_bp), battery_temp_cdeg = coalesce(i.battery_temp_cdeg, s.battery_temp_cdeg),
        power_w = coalesce(i.power_w, s.power_w), odometer_m = coalesce(i.odometer_m, s.odometer_m),
        reverse_mwh = coalesce(i.reverse_mwh, s.reverse_mwh),
        reverse_register_mwh = coalesce(i.reverse_register_mwh, s.reverse_register_mwh),
        voltage_mv = coalesce(i.voltage_mv, s.voltage_mv), voltage_l1_mv = coalesce(i.voltage_l1_mv, s.voltage_l1_mv),
        voltage_l2_mv = coalesce(i.voltage_l2_mv, s.voltage_l2_mv),
        voltage_l3_mv = coalesce(i.voltage_l3_mv, s.voltage_l3_mv), session = coalesce(i.session, s.session),
        -- end
        -- each measurement: {column}_at = case when i.{column} is null then s.{column}_at else i.time end,
        soc_bp_at = case when i.soc_bp is null then s.soc_bp_at else i.time end,
        battery_temp_cdeg_at = case when i.battery_temp_cdeg is null then s.battery_temp_cdeg_at else i.time end,
        power_w_at = case when i.power_w is null then s.power_w_at else i.time end,
        odometer_m_at = case when i.odometer_m is null then s.odometer_m_at else i.time end,
        reverse_mwh_at = case when i.reverse_mwh is null then s.reverse_mwh_at else i.time end,
        reverse_register_mwh_at = case when i.reverse_register_mwh is null then s.reverse_register_mwh_at else i.time
            end, voltage_mv_at = case when i.voltage_mv is null then s.voltage_mv_at else i.time end,
        voltage_l1_mv_at = case when i.voltage_l1_mv is null then s.voltage_l1_mv_at else i.time end,
        voltage_l2_mv_at = case when i.voltage_l2_mv is null then s.voltage_l2_mv_at else i.time end,
        voltage_l3_mv_at = case when i.voltage_l3_mv is null then s.voltage_l3_mv_at else i.time end,
        session_at = case when i.session is null then s.session_at else i.time end,
        -- end
        last_seen = now(),
        removed_at = null
    from batch as i
    where s.device = i.device
        and s.time = i.expected
        and s.energy_at is not distinct from i.energy_expected
        and s.derivation = i.at_derivation
        and (i.energy_mwh is null or s.energy_at is null or (i.register_mwh is null) = (s.register_mwh is null));
    get diagnostics l_advanced = row_count;
    if l_advanced <> cardinality(p_device) then
        perform refuse_batch();
    end if;
    if true = any(p_spread) then
        perform put_pieces(p_device, p_time);
    end if;
    if cardinality(p_pair_meters) > 0 then
        perform note_pairs(p_pair_meters, p_pair_vehicles);
    end if;
    return true;
end;
$$;

-- Notes which vehicles have charged at which meters, in the order of the key.
create or replace function note_pairs(p_meters integer[], p_vehicles integer[])
returns void
language plpgsql
as $$
begin
    insert into meter_vehicles (meter, vehicle)
    select p.meter, p.vehicle
    from unnest(p_meters, p_vehicles) as p (meter, vehicle)
    order by p.meter, p.vehicle
    on conflict do nothing;
end;
$$;

-- Merging: a batch of late, resent or unknown readings goes from the temporary table into history, live state and the
-- tables beside them, in the caller's transaction. Devices are locked in the order of their numbers, so that batches
-- that meet wait for each other in one direction only.

-- Returns the days of the batch: first and last time, its devices, and whether it asks for most of their readings in
-- between.
create or replace function days_of_batch()
returns table (first timestamptz, last timestamptz, devices integer[], is_dense boolean)
language plpgsql
as $$
begin
    return query
    select
        min(i.time),
        max(i.time),
        array_agg(distinct i.device),
        count(distinct i.device) * extract(epoch from max(i.time) - min(i.time)) / 60 <= 20 * count(*)
    from incoming as i
    group by date_bin('1 day', i.time, '2000-01-01 00:00:00+00');
end;
$$;

-- Returns the stored readings of a day that have keys of the batch. The planner knows the times, and opens one chunk.
-- If the batch is dense, reads all readings of its devices at once, which unpacks each batch of the columnstore once;
-- otherwise reading by reading.
create or replace function stored_of_day(
    p_first timestamptz,
    p_last timestamptz,
    p_devices integer[],
    p_is_dense boolean
)
returns setof readings
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
begin
    if p_is_dense then
        return query
        select r.*
        from readings as r
        where r.device = any(p_devices)
            and r.time >= p_first
            and r.time <= p_last
            and exists (select from incoming as i where i.device = r.device and i.time = r.time);
    else
        return query
        select r.*
        from (select distinct i.device, i.time from incoming as i where i.time >= p_first and i.time <= p_last) as o
        cross join lateral (
            select h.*
            from readings as h
            where h.device = o.device
                and h.time = o.time
                and h.time >= p_first
                and h.time <= p_last
            limit 1
        ) as r;
    end if;
end;
$$;

-- Locks the live state of the batch's devices, which locks their readings. A device without live state gets one from
-- before all times.
create or replace function lock_batch()
returns void
language plpgsql
as $$
declare
    l_locked bigint;
begin
    -- again if one of them was purged in between
    loop
        insert into live_state (device, time, last_seen)
        select distinct i.device, '-infinity'::timestamptz, now()
        from incoming as i
        where not exists (select from live_state as s where s.device = i.device)
        order by i.device
        on conflict do nothing;
        perform
        from live_state as s
        where s.device in (select i.device from incoming as i)
        order by s.device
        for update;
        get diagnostics l_locked = row_count;
        exit when l_locked = (select count(distinct i.device) from incoming as i);
    end loop;
end;
$$;

-- Removes readings from the batch whose device sends the other kind of energy at that time; returns their items. A
-- reading newer than all of its device may change the kind; a late one must be of the kind of a neighbour.
create or replace function take_out_mixed()
returns integer[]
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_items integer[];
begin
    -- mark devices that change their kind now, before their neighbours are looked for
    update devices as d
    set changes_kind = true
    where not d.changes_kind
        and d.device in (
            select i.device
            from incoming as i
            join live_state as s
                on s.device = i.device
            where (i.energy_mwh is not null or i.register_mwh is not null)
                and (s.energy_at is null or i.time > s.energy_at)
            group by i.device, s.energy_at, s.register_mwh
            having count(i.register_mwh) between 1 and count(*) - 1
                or s.energy_at is not null and (s.register_mwh is null) <> (count(i.register_mwh) = 0)
        );
    with mixed as (
        delete from incoming as i
        using live_state as s, devices as d
        where s.device = i.device
            and d.device = i.device
            and i.time <= s.energy_at
            and (i.energy_mwh is not null or i.register_mwh is not null)
            -- neighbours are looked for only where they may matter
            and case
                when d.changes_kind or (i.register_mwh is null) <> (s.register_mwh is null)
                    then (i.register_mwh is null) <> all(kinds_around(i.device, i.time))
                else false
            end
        returning i.item
    )
    select array_agg(m.item)
    into l_items
    from mixed as m;
    -- of several readings with one key, the first one decides the kind
    with mixed as (
        delete from incoming as i
        using (
            select
                k.item,
                k.register_mwh is null as is_interval,
                first_value(k.register_mwh is null) over (partition by k.device, k.time order by k.item) as is_first
            from incoming as k
            where k.energy_mwh is not null
                or k.register_mwh is not null
        ) as f
        where f.item = i.item
            and f.is_interval <> f.is_first
        returning i.item
    )
    select l_items || array_agg(m.item)
    into l_items
    from mixed as m;
    return l_items;
end;
$$;

-- Returns whether a device's reading with energy at a time, or those right before and after it, carry interval energy.
create or replace function kinds_around(p_device integer, p_time timestamptz)
returns boolean[]
language plpgsql
stable
set plan_cache_mode = force_custom_plan
as $$
declare
    l_kinds boolean[];
begin
    select array_agg(r.register_mwh is null)
    into l_kinds
    from readings as r
    where r.device = p_device
        and r.time = p_time
        and r.energy_mwh is not null;
    if l_kinds is not null then
        return l_kinds;
    end if;
    return array(
        (
            select r.register_mwh is null
            from readings as r
            where r.device = p_device
                and r.time < p_time
                and r.energy_mwh is not null
            order by r.time desc
            limit 1
        )
        union all
        (
            select r.register_mwh is null
            from readings as r
            where r.device = p_device
                and r.time > p_time
                and r.energy_mwh is not null
            order by r.time
            limit 1
        )
    );
end;
$$;

-- Puts the stored readings that have keys of the batch into heads, as they were sent.
create or replace function lay_out_heads()
returns void
language plpgsql
as $$
declare
    l_day record;
begin
    delete from heads;
    for l_day in
        select *
        from days_of_batch()
    loop
        insert into heads (
            is_stored, was_ms, device, meter, time, energy_mwh, register_mwh, interval_start, meter_declared,
            -- each measurement, last: {column},
            soc_bp, battery_temp_cdeg, power_w, odometer_m, reverse_mwh, reverse_register_mwh, voltage_mv,
            voltage_l1_mv, voltage_l2_mv, voltage_l3_mv, session
            -- end
        )
        select
            true, r.span_ms, r.device, r.meter, r.time, case when r.register_mwh is null then r.energy_mwh end,
            r.register_mwh, r.interval_start, r.meter_declared,
            -- each measurement, last: r.{column},
            r.soc_bp, r.battery_temp_cdeg, r.power_w, r.odometer_m, r.reverse_mwh, r.reverse_register_mwh, r.voltage_mv,
            r.voltage_l1_mv, r.voltage_l2_mv, r.voltage_l3_mv, r.session
            -- end
        from stored_of_day(l_day.first, l_day.last, l_day.devices, l_day.is_dense) as r;
    end loop;
end;
$$;

-- Compares the readings of one turn with heads, and completes those; returns the items that added something, and those
-- in conflict. Reads the turn once: the batch has no statistics, and joining it with itself would go row by row.
create or replace function merge_turn(p_turn integer, out added integer[], out conflicts integer[])
language plpgsql
as $$
begin
    with compared as (
        select
            i.*,
            -- each measurement: i.{column} <> h.{column} or
            i.soc_bp <> h.soc_bp or i.battery_temp_cdeg <> h.battery_temp_cdeg or i.power_w <> h.power_w or
            i.odometer_m <> h.odometer_m or i.reverse_mwh <> h.reverse_mwh or
            i.reverse_register_mwh <> h.reverse_register_mwh or i.voltage_mv <> h.voltage_mv or
            i.voltage_l1_mv <> h.voltage_l1_mv or i.voltage_l2_mv <> h.voltage_l2_mv or
            i.voltage_l3_mv <> h.voltage_l3_mv or i.session <> h.session or
            -- end
            coalesce(i.register_mwh, i.energy_mwh) <> coalesce(h.register_mwh, h.energy_mwh)
                or i.interval_start <> h.interval_start
                or h.device is not null and i.interval_start is not null and h.interval_start is null
                    and (stated_before(i.device, i.time)).starts
                or i.meter_declared and h.meter_declared and i.meter <> h.meter
                or h.device is not null and i.meter_declared and not h.meter_declared
                    and (stated_before(i.device, i.time)).meter as differs,
            -- each measurement: i.{column} is not null and h.{column} is null or
            i.soc_bp is not null and h.soc_bp is null or
            i.battery_temp_cdeg is not null and h.battery_temp_cdeg is null or
            i.power_w is not null and h.power_w is null or i.odometer_m is not null and h.odometer_m is null or
            i.reverse_mwh is not null and h.reverse_mwh is null or
            i.reverse_register_mwh is not null and h.reverse_register_mwh is null or
            i.voltage_mv is not null and h.voltage_mv is null or
            i.voltage_l1_mv is not null and h.voltage_l1_mv is null or
            i.voltage_l2_mv is not null and h.voltage_l2_mv is null or
            i.voltage_l3_mv is not null and h.voltage_l3_mv is null or i.session is not null and h.session is null or
            -- end
            coalesce(i.register_mwh, i.energy_mwh) is not null and coalesce(h.register_mwh, h.energy_mwh) is null
                or i.interval_start is not null and h.interval_start is null
                or i.meter_declared and not h.meter_declared as adds,
            h.device is null as is_new
        from incoming as i
        left join heads as h
            on h.device = i.device
            and h.time = i.time
        where i.turn = p_turn
    ),
    completed as (
        update heads as h
        set
            is_changed = true,
            meter = case when h.meter_declared then h.meter else c.meter end,
            energy_mwh = coalesce(h.energy_mwh, c.energy_mwh),
            register_mwh = coalesce(h.register_mwh, c.register_mwh),
            interval_start = coalesce(h.interval_start, c.interval_start),
            -- each measurement: {column} = coalesce(h.{column}, c.{column}),
            soc_bp = coalesce(h.soc_bp, c.soc_bp),
            battery_temp_cdeg = coalesce(h.battery_temp_cdeg, c.battery_temp_cdeg),
            power_w = coalesce(h.power_w, c.power_w), odometer_m = coalesce(h.odometer_m, c.odometer_m),
            reverse_mwh = coalesce(h.reverse_mwh, c.reverse_mwh),
            reverse_register_mwh = coalesce(h.reverse_register_mwh, c.reverse_register_mwh),
            voltage_mv = coalesce(h.voltage_mv, c.voltage_mv),
            voltage_l1_mv = coalesce(h.voltage_l1_mv, c.voltage_l1_mv),
            voltage_l2_mv = coalesce(h.voltage_l2_mv, c.voltage_l2_mv),
            voltage_l3_mv = coalesce(h.voltage_l3_mv, c.voltage_l3_mv), session = coalesce(h.session, c.session),
            -- end
            meter_declared = h.meter_declared or c.meter_declared
        from compared as c
        where h.device = c.device
            and h.time = c.time
            and not c.is_new
            and c.adds
            and c.differs is not true
    ),
    first as (
        insert into heads (
            is_changed, device, meter, time, energy_mwh, register_mwh, interval_start, meter_declared,
            -- each measurement, last: {column},
            soc_bp, battery_temp_cdeg, power_w, odometer_m, reverse_mwh, reverse_register_mwh, voltage_mv,
            voltage_l1_mv, voltage_l2_mv, voltage_l3_mv, session
            -- end
        )
        select
            true, c.device, c.meter, c.time, c.energy_mwh, c.register_mwh, c.interval_start, c.meter_declared,
            -- each measurement, last: c.{column},
            c.soc_bp, c.battery_temp_cdeg, c.power_w, c.odometer_m, c.reverse_mwh, c.reverse_register_mwh, c.voltage_mv,
            c.voltage_l1_mv, c.voltage_l2_mv, c.voltage_l3_mv, c.session
            -- end
        from compared as c
        where c.is_new
    )
    select
        array_agg(c.item) filter (where c.is_new or c.adds and c.differs is not true),
        array_agg(c.item) filter (where c.differs and not c.is_new)
    into added, conflicts
    from compared as c;
end;
$$;

-- Replaces the batch by the heads that have changed, each key once.
create or replace function keep_changed_heads()
returns void
language plpgsql
as $$
begin
    -- a completed reading is stored again as a new one
    perform take_out_reading(h.device, h.time, h.was_ms)
    from heads as h
    where h.is_stored
        and h.is_changed;
    delete from incoming;
    insert into incoming (
        item, device, meter, time, energy_mwh, register_mwh, interval_start, meter_declared, reset, spread,
        -- each measurement, last: {column},
        soc_bp, battery_temp_cdeg, power_w, odometer_m, reverse_mwh, reverse_register_mwh, voltage_mv, voltage_l1_mv,
        voltage_l2_mv, voltage_l3_mv, session
        -- end
    )
    select
        row_number() over (order by h.device, h.time), h.device, h.meter, h.time, h.energy_mwh, h.register_mwh,
        h.interval_start, h.meter_declared, false, false,
        -- each measurement, last: h.{column},
        h.soc_bp, h.battery_temp_cdeg, h.power_w, h.odometer_m, h.reverse_mwh, h.reverse_register_mwh, h.voltage_mv,
        h.voltage_l1_mv, h.voltage_l2_mv, h.voltage_l3_mv, h.session
        -- end
    from heads as h
    where h.is_changed;
end;
$$;

-- Compares the readings of the batch with history and, where several have one key, with each other in turn: a missing
-- value is added, an equal one changes nothing, a different one is a conflict, and so is one that a correction has
-- removed. Returns the items that added something and those in conflict; leaves in the batch what is to be stored, each
-- key once. A key has a few readings, however many measurements there are: from the hundred and first on, all are in
-- conflict.
create or replace function merge_keys(out added integer[], out conflicts integer[])
language plpgsql
as $$
declare
    l_turn integer := 0;
    l_merged record;
begin
    perform lay_out_heads();
    update incoming as i
    set turn = n.turn
    from (
        select k.item, row_number() over (partition by k.device, k.time order by k.item) as turn
        from incoming as k
    ) as n
    where n.item = i.item
        and n.turn > 1;
    select array_agg(i.item)
    into conflicts
    from incoming as i
    where i.turn > 100;
    while exists (select from incoming as i where i.turn > l_turn) and l_turn < 100 loop
        l_turn := l_turn + 1;
        l_merged := merge_turn(l_turn);
        added := added || l_merged.added;
        conflicts := conflicts || l_merged.conflicts;
    end loop;
    perform keep_changed_heads();
end;
$$;

-- Removes a reading from history, to be stored again. A key that is constant when the statement is planned is found in
-- the columnstore without unpacking the rest.
create or replace function take_out_reading(p_device integer, p_time timestamptz, p_span_ms bigint)
returns void
language plpgsql
as $$
declare
    l_deleted bigint;
begin
    perform take_out_pieces(p_device, p_time, coalesce(p_span_ms, 0));
    execute 'delete from readings where device = $1 and time = $2'
    using p_device, p_time;
    get diagnostics l_deleted = row_count;
    perform require_rows(l_deleted, 1);
end;
$$;

-- Returns the newer of two values of a measurement; null if there is neither.
create or replace function newer(p_one anyelement, p_one_at timestamptz, p_other anyelement, p_other_at timestamptz)
returns anyelement
language sql
immutable
as $$
    select case when p_one_at < p_other_at then p_other else coalesce(p_one, p_other) end;
$$;

-- Moves live state forward by readings of the batch that are stored: of each measurement the newest that is known.
create or replace function advance_merged()
returns void
language plpgsql
as $$
begin
    update live_state as s
    set
        time = greatest(s.time, n.time),
        meter = case when n.time >= s.time then n.meter else s.meter end,
        meter_declared = case when n.time >= s.time then n.meter_declared else s.meter_declared end,
        -- each measurement: {column} = newer(n.{column}, n.{column}_at, s.{column}, s.{column}_at),
        soc_bp = newer(n.soc_bp, n.soc_bp_at, s.soc_bp, s.soc_bp_at),
        battery_temp_cdeg = newer(n.battery_temp_cdeg, n.battery_temp_cdeg_at, s.battery_temp_cdeg,
            s.battery_temp_cdeg_at), power_w = newer(n.power_w, n.power_w_at, s.power_w, s.power_w_at),
        odometer_m = newer(n.odometer_m, n.odometer_m_at, s.odometer_m, s.odometer_m_at),
        reverse_mwh = newer(n.reverse_mwh, n.reverse_mwh_at, s.reverse_mwh, s.reverse_mwh_at),
        reverse_register_mwh = newer(n.reverse_register_mwh, n.reverse_register_mwh_at, s.reverse_register_mwh,
            s.reverse_register_mwh_at),
        voltage_mv = newer(n.voltage_mv, n.voltage_mv_at, s.voltage_mv, s.voltage_mv_at),
        voltage_l1_mv = newer(n.voltage_l1_mv, n.voltage_l1_mv_at, s.voltage_l1_mv, s.voltage_l1_mv_at),
        voltage_l2_mv = newer(n.voltage_l2_mv, n.voltage_l2_mv_at, s.voltage_l2_mv, s.voltage_l2_mv_at),
        voltage_l3_mv = newer(n.voltage_l3_mv, n.voltage_l3_mv_at, s.voltage_l3_mv, s.voltage_l3_mv_at),
        session = newer(n.session, n.session_at, s.session, s.session_at),
        -- end
        -- each measurement: {column}_at = greatest(n.{column}_at, s.{column}_at),
        soc_bp_at = greatest(n.soc_bp_at, s.soc_bp_at),
        battery_temp_cdeg_at = greatest(n.battery_temp_cdeg_at, s.battery_temp_cdeg_at),
        power_w_at = greatest(n.power_w_at, s.power_w_at), odometer_m_at = greatest(n.odometer_m_at, s.odometer_m_at),
        reverse_mwh_at = greatest(n.reverse_mwh_at, s.reverse_mwh_at),
        reverse_register_mwh_at = greatest(n.reverse_register_mwh_at, s.reverse_register_mwh_at),
        voltage_mv_at = greatest(n.voltage_mv_at, s.voltage_mv_at),
        voltage_l1_mv_at = greatest(n.voltage_l1_mv_at, s.voltage_l1_mv_at),
        voltage_l2_mv_at = greatest(n.voltage_l2_mv_at, s.voltage_l2_mv_at),
        voltage_l3_mv_at = greatest(n.voltage_l3_mv_at, s.voltage_l3_mv_at),
        session_at = greatest(n.session_at, s.session_at),
        -- end
        last_seen = case when n.time >= s.time then now() else s.last_seen end,
        removed_at = case when n.time >= s.time then null else s.removed_at end
    from (
        select
            i.device,
            max(i.time) as time,
            (array_agg(i.meter order by i.time desc))[1] as meter,
            (array_agg(i.meter_declared order by i.time desc))[1] as meter_declared,
            -- each measurement: (array_agg(i.{column} order by i.{column} is null, i.time desc))[1] as {column},
            (array_agg(i.soc_bp order by i.soc_bp is null, i.time desc))[1] as soc_bp,
            (array_agg(i.battery_temp_cdeg order by i.battery_temp_cdeg is null, i.time desc))[1] as battery_temp_cdeg,
            (array_agg(i.power_w order by i.power_w is null, i.time desc))[1] as power_w,
            (array_agg(i.odometer_m order by i.odometer_m is null, i.time desc))[1] as odometer_m,
            (array_agg(i.reverse_mwh order by i.reverse_mwh is null, i.time desc))[1] as reverse_mwh,
            (array_agg(i.reverse_register_mwh order by i.reverse_register_mwh is null, i.time desc))[1] as
                reverse_register_mwh,
            (array_agg(i.voltage_mv order by i.voltage_mv is null, i.time desc))[1] as voltage_mv,
            (array_agg(i.voltage_l1_mv order by i.voltage_l1_mv is null, i.time desc))[1] as voltage_l1_mv,
            (array_agg(i.voltage_l2_mv order by i.voltage_l2_mv is null, i.time desc))[1] as voltage_l2_mv,
            (array_agg(i.voltage_l3_mv order by i.voltage_l3_mv is null, i.time desc))[1] as voltage_l3_mv,
            (array_agg(i.session order by i.session is null, i.time desc))[1] as session,
            -- end
            -- each measurement, last: max(i.time) filter (where i.{column} is not null) as {column}_at,
            max(i.time) filter (where i.soc_bp is not null) as soc_bp_at,
            max(i.time) filter (where i.battery_temp_cdeg is not null) as battery_temp_cdeg_at,
            max(i.time) filter (where i.power_w is not null) as power_w_at,
            max(i.time) filter (where i.odometer_m is not null) as odometer_m_at,
            max(i.time) filter (where i.reverse_mwh is not null) as reverse_mwh_at,
            max(i.time) filter (where i.reverse_register_mwh is not null) as reverse_register_mwh_at,
            max(i.time) filter (where i.voltage_mv is not null) as voltage_mv_at,
            max(i.time) filter (where i.voltage_l1_mv is not null) as voltage_l1_mv_at,
            max(i.time) filter (where i.voltage_l2_mv is not null) as voltage_l2_mv_at,
            max(i.time) filter (where i.voltage_l3_mv is not null) as voltage_l3_mv_at,
            max(i.time) filter (where i.session is not null) as session_at
            -- end
        from incoming as i
        group by i.device
    ) as n
    where s.device = n.device;
end;
$$;

-- Moves the energy in live state forward to the newest readings of the batch that have any.
create or replace function advance_merged_energy()
returns void
language plpgsql
as $$
begin
    update live_state as s
    set
        energy_at = n.time,
        energy_mwh = n.energy_mwh,
        register_mwh = n.register_mwh,
        highest_mwh = n.highest_mwh,
        span_ms = n.span_ms,
        interval_start = n.interval_start,
        reset = n.reset,
        spread = n.spread
    from (
        select distinct on (i.device) i.*
        from incoming as i
        where i.energy_mwh is not null
        order by i.device, i.time desc
    ) as n
    where s.device = n.device
        and (s.energy_at is null or s.energy_at <= n.time);
end;
$$;

-- Merges the batch into history and live state; returns the items that were new or added something, those whose device
-- sends the other kind of energy then, and those in conflict with history or an earlier item.
create or replace function store_readings()
returns table (stored integer[], mixed integer[], conflicts integer[])
language plpgsql
as $$
declare
    l_devices integer[];
    l_starts timestamptz[];
    l_ends timestamptz[];
    l_behind record;
    l_voided integer[];
    l_registers record;
begin
    perform lift_unpacking_limit();
    perform lock_batch();
    l_voided := take_out_voided();
    mixed := take_out_mixed();
    select m.added, m.conflicts || l_voided
    into stored, conflicts
    from merge_keys() as m;

    update incoming as i
    set meter = assigned_meter(i.device, i.time)
    where not i.meter_declared;
    perform lay_out_timeline();
    update incoming as i
    set
        span_ms = d.span_ms,
        spread = is_spread(d.at, d.span_ms, i.interval_start)
    from derived_readings() as d
    where d.device = i.device
        and d.at = i.time
        and d.is_new;
    select *
    into l_behind
    from correct_neighbours();
    l_registers := derive_batch();

    insert into readings (
        device, meter, time, energy_mwh, register_mwh, highest_mwh, reverse_highest_mwh, span_ms, interval_start,
        meter_declared, reset, spread,
        -- each measurement, last: {column},
        soc_bp, battery_temp_cdeg, power_w, odometer_m, reverse_mwh, reverse_register_mwh, voltage_mv, voltage_l1_mv,
        voltage_l2_mv, voltage_l3_mv, session
        -- end
    )
    select
        i.device, i.meter, i.time, i.energy_mwh, i.register_mwh, i.highest_mwh, i.reverse_highest_mwh, i.span_ms,
        i.interval_start, i.meter_declared, i.reset, i.spread,
        -- each measurement, last: i.{column},
        i.soc_bp, i.battery_temp_cdeg, i.power_w, i.odometer_m, i.reverse_mwh, i.reverse_register_mwh, i.voltage_mv,
        i.voltage_l1_mv, i.voltage_l2_mv, i.voltage_l3_mv, i.session
        -- end
    from incoming as i
    order by i.device, i.time;
    select
        array_agg(i.device),
        array_agg(start_of(i.time, coalesce(i.span_ms, 0))),
        array_agg(i.time)
    into l_devices, l_starts, l_ends
    from incoming as i;
    perform put_pieces(array_agg(i.device), array_agg(i.time))
    from incoming as i
    where i.spread;
    update devices as d
    set says_starts = true
    where d.device in (select i.device from incoming as i where i.interval_start is not null)
        and not d.says_starts;
    perform note_pairs(array_agg(p.meter), array_agg(p.device))
    from (select distinct i.meter, i.device from incoming as i where i.meter is not null) as p;
    l_devices := l_devices || l_behind.devices || l_registers.devices;
    l_starts := l_starts || l_behind.starts || l_registers.starts;
    l_ends := l_ends || l_behind.ends || l_registers.ends;
    perform note_changed(l_devices, l_starts, l_ends);
    perform advance_merged();
    perform advance_merged_energy();
    return next;
end;
$$;
