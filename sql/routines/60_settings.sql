-- Settings of devices and of the fleet's accounting. Hours accounted for with another tolerance are deleted, and
-- accounted for again.

-- Changes the settings that p_settings contains, by columns of devices, for a device that may never have reported;
-- absent ones stay, null unsets. Returns all settings. A new reporting interval may change the intervals of stored
-- readings, and new register settings their energy: call derive_intervals() afterwards.
create or replace function set_device(p_kind text, p_id text, p_settings jsonb)
returns devices
language plpgsql
as $$
declare
    l_was devices;
    l_is devices;
begin
    -- so that the device is not purged, and no batch stored with the old settings, meanwhile
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    perform number_device(p_kind, p_id);
    select d.*
    into l_was
    from devices as d
    where d.kind = p_kind
        and d.id = p_id
    for update;
    l_is := jsonb_populate_record(l_was, p_settings);
    if l_is.reporting_interval_s is distinct from l_was.reporting_interval_s
        and (l_is.register = 'session' or not has_only_registers(l_was.device))
        or (l_is.register, l_is.rated_power_w, l_is.register_rollover_mwh)
            is distinct from (l_was.register, l_was.rated_power_w, l_was.register_rollover_mwh)
        and has_registers(l_was.device)
    then
        l_is.derive_since := '-infinity';
    end if;
    if l_is.role is distinct from l_was.role then
        -- waits for an hour that is being accounted for
        perform
        from accounting
        for update;
        delete from accounted_hours;
    end if;
    update devices as d
    set
        label = l_is.label,
        site = l_is.site,
        reporting_interval_s = l_is.reporting_interval_s,
        derive_since = l_is.derive_since,
        time_zone = l_is.time_zone,
        register = l_is.register,
        register_rollover_mwh = l_is.register_rollover_mwh,
        battery_capacity_wh = l_is.battery_capacity_wh,
        rated_power_w = l_is.rated_power_w,
        role = l_is.role,
        stamp_by_arrival = l_is.stamp_by_arrival,
        reports = l_is.reports
    where d.device = l_was.device;
    if (l_is.register, l_is.register_rollover_mwh, l_is.reporting_interval_s)
        is distinct from (l_was.register, l_was.register_rollover_mwh, l_was.reporting_interval_s)
    then
        -- writers cache these
        update versions
        set assignments = assignments + 1;
    end if;
    return l_is;
end;
$$;

-- Returns whether a device has ever sent a register.
create or replace function has_registers(p_device integer)
returns boolean
language plpgsql
stable
as $$
begin
    return exists (
        select
        from live_state as s
        join devices as d
            on d.device = s.device
        where s.device = p_device
            and (s.register_mwh is not null or s.reverse_register_mwh is not null or d.changes_kind)
    );
end;
$$;

-- Returns whether all energy of a device is that of registers. Each of their intervals is as long as the time since the
-- reading before, unless they count by session, whatever the reporting interval is.
create or replace function has_only_registers(p_device integer)
returns boolean
language plpgsql
stable
as $$
begin
    return exists (
        select
        from live_state as s
        join devices as d
            on d.device = s.device
        where s.device = p_device
            and s.register_mwh is not null
            and not d.changes_kind
    );
end;
$$;

-- Derives the intervals of a device's stored readings, and the energy of its registers, again with its present
-- settings: a transaction a day, oldest first. derive_pending() resumes an interrupted one.
create or replace procedure derive_intervals(p_device integer)
language plpgsql
as $$
declare
    l_device devices;
    l_day timestamptz;
begin
    perform pg_advisory_lock(hashtext('fleetmeter.derive'), p_device);
    loop
        select d.*
        into l_device
        from devices as d
        where d.device = p_device;
        exit when l_device.derive_since is null;
        -- sessions that change readings of the device hold this
        perform
        from live_state as s
        where s.device = p_device
        for update;
        select date_bin('24 hours', min(r.time), '2000-01-01 00:00:00+00')
        into l_day
        from readings as r
        where r.device = p_device
            and r.time >= l_device.derive_since;
        if l_day is not null then
            perform derive_day(p_device, l_day, interval_ms_of(l_device.reporting_interval_s));
            perform derive_registers_of_day(p_device, l_day);
        end if;
        -- unless the settings have changed meanwhile: then it starts again
        update devices as d
        set derive_since = l_day + interval '24 hours'
        where d.device = p_device
            and d.derive_since = l_device.derive_since
            and (d.reporting_interval_s, d.register, d.rated_power_w, d.register_rollover_mwh) is not distinct from (
                l_device.reporting_interval_s, l_device.register, l_device.rated_power_w, l_device.register_rollover_mwh
            );
        commit;
    end loop;
    perform pg_advisory_unlock(hashtext('fleetmeter.derive'), p_device);
end;
$$;

-- Derives the energy of a day's registers again with the device's present settings.
create or replace function derive_registers_of_day(p_device integer, p_day timestamptz)
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_last constant timestamptz := p_day + interval '24 hours' - interval '1 microsecond';
    l_has record;
    l_changed record;
begin
    select count(r.register_mwh) as forward, count(r.reverse_register_mwh) as reverse
    into l_has
    from readings as r
    where r.device = p_device
        and r.time >= p_day
        and r.time <= l_last;
    if l_has.reverse > 0 then
        perform derive_registers(p_device, true, p_day, l_last, true);
    end if;
    if l_has.forward > 0 then
        l_changed := derive_registers(p_device, false, p_day, l_last, true);
        perform note_device_changed(p_device, l_changed.starts, l_changed.ends);
    end if;
end;
$$;

-- Derives the intervals of a day's interval energy again with the device's present reporting interval.
create or replace function derive_day(p_device integer, p_day timestamptz, p_most_ms bigint)
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_end constant timestamptz := p_day + interval '24 hours';
    l_before constant timestamptz := (
        select r.time
        from readings as r
        where r.device = p_device
            and r.energy_mwh is not null
            and r.time < p_day
        order by r.time desc
        limit 1
    );
    l_times timestamptz[];
    l_starts timestamptz[];
    l_was timestamptz[];
    l_spans bigint[];
begin
    select
        array_agg(c.time),
        array_agg(start_of(c.time, greatest(c.span_ms, c.is_ms))),
        array_agg(start_of(c.time, c.span_ms)),
        array_agg(c.is_ms)
    into l_times, l_starts, l_was, l_spans
    from (
        select
            r.*,
            least(
                p_most_ms,
                round(
                    extract(epoch from r.time - lag(r.time, 1, l_before) over (order by r.time)) * 1000
                )::bigint
            ) as is_ms
        from readings as r
        where r.device = p_device
            and r.energy_mwh is not null
            and r.time >= p_day
            and r.time < l_end
    ) as c
    where c.register_mwh is null
        and c.interval_start is null
        and c.span_ms is distinct from c.is_ms;
    if l_times is null then
        return;
    end if;
    perform lift_unpacking_limit();
    delete from spread_energy as s
    where s.device = p_device
        and s.ends = any(l_times)
        and s.bucket > (select floor_quarter(min(w.time)) from unnest(l_was) as w (time))
        and s.bucket <= l_end;
    update readings as r
    set
        span_ms = n.span_ms,
        spread = is_spread(n.time, n.span_ms, null)
    from unnest(l_times, l_spans) as n (time, span_ms)
    where r.device = p_device
        and r.time = n.time
        and r.time >= p_day
        and r.time < l_end;
    perform put_pieces(array_fill(p_device, array[cardinality(l_times)]), l_times);
    update live_state as s
    set
        span_ms = r.span_ms,
        spread = r.spread
    from readings as r
    where s.device = p_device
        and r.device = p_device
        and r.time = s.energy_at
        and r.time = any(l_times);
    perform note_device_changed(p_device, l_starts, l_times);
end;
$$;

-- Resumes deriving intervals after the service was stopped.
create or replace procedure derive_pending()
language plpgsql
as $$
declare
    l_device integer;
begin
    for l_device in
        select d.device
        from devices as d
        where d.derive_since is not null
        limit 10
    loop
        -- the session that changed the settings may still be at work
        if pg_try_advisory_lock(hashtext('fleetmeter.derive'), l_device) then
            call derive_intervals(l_device);
            perform pg_advisory_unlock(hashtext('fleetmeter.derive'), l_device);
        end if;
    end loop;
end;
$$;

create or replace function configure_accounting(
    p_reporting_interval_s integer,
    p_coverage_tolerance double precision,
    p_session_gap_s integer
)
returns void
language plpgsql
as $$
begin
    perform
    from accounting
    for update;
    if exists (
        select
        from accounting as a
        where a.least_match <> 1 - p_coverage_tolerance
    ) then
        delete from accounted_hours;
    end if;
    update accounting as a
    set
        reporting_interval_s = p_reporting_interval_s,
        least_match = 1 - p_coverage_tolerance,
        session_gap_s = p_session_gap_s;
end;
$$;
