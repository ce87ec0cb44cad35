-- Corrections: a reading gets other values, and the version that it had stays, with who replaced it, when and why. The
-- device's row of live state is the lock, as for registers: one correction of a device at a time.

-- Begins a correction. The locks in the order in which everybody takes them.
create or replace function begin_correction(p_kind text, p_device text)
returns void
language plpgsql
as $$
begin
    perform pg_advisory_xact_lock_shared(hashtext('fleetmeter.assignments'));
    execute format('select from %I where %I = $1 for update', p_kind || '_state', p_kind || '_id')
    using p_device;
end;
$$;

-- What follows when the register of a stored reading shows p_register_mwh: the energy of that reading, while the timeline
-- is left for correct_readings(), which sees to the reading behind it. Of the oldest one, the reading before may
-- not be kept any more: what it showed follows from what was derived (p_was_mwh less p_energy_mwh, p_span_ms ago).
create or replace function derive_again(
    p_kind text,
    p_device text,
    p_time timestamptz,
    p_register_mwh bigint,
    p_was_mwh bigint,
    p_energy_mwh bigint,
    p_span_ms bigint,
    out energy_mwh bigint,
    out span_ms bigint,
    out reset boolean
)
language plpgsql
as $$
begin
    delete from register_timeline;
    execute format(
        $q$
        insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
        select $1, t.time, t.register_mwh, s.register_rollover_mwh, t.is_new
        from (
            select $2 as time, $3 as register_mwh, true as is_new
            union all
            (
                select b.time, b.register_mwh, false
                from %2$I as b
                where b.%1$I = $1
                    and b.time < $2
                order by b.time desc
                limit 1
            )
            union all
            (
                select a.time, a.register_mwh, false
                from %2$I as a
                where a.%1$I = $1
                    and a.time > $2
                order by a.time
                limit 1
            )
        ) as t
        left join %3$I as s
            on s.%1$I = $1
        $q$,
        p_kind || '_id', p_kind || '_readings', p_kind || '_settings'
    )
    using p_device, p_time, p_register_mwh;
    insert into register_timeline (device_id, time, register_mwh, rollover_mwh, is_new)
    select
        t.device_id,
        t.time - make_interval(secs => p_span_ms / 1000.0),
        case when p_energy_mwh <= p_was_mwh then p_was_mwh - p_energy_mwh else p_was_mwh - p_energy_mwh + t.rollover_mwh end,
        t.rollover_mwh,
        false
    from register_timeline as t
    where t.is_new
        and p_span_ms is not null
        and (p_energy_mwh <= p_was_mwh or t.rollover_mwh is not null)
        and not exists (select from register_timeline as b where b.time < t.time);
    select d.energy_mwh, d.span_ms, d.reset
    into derive_again.energy_mwh, derive_again.span_ms, derive_again.reset
    from derived_readings() as d
    where d.is_new;
end;
$$;

-- Gives a vehicle's reading these values, energy as it is sent: of the interval, or what the register shows. Returns
-- the number of the version that is now in force, or null when there is no such reading.
create or replace function correct_vehicle_reading(
    p_vehicle text,
    p_time timestamptz,
    p_energy_mwh bigint,
    p_soc_bp smallint,
    p_battery_temp_cdeg smallint,
    p_meter text,
    p_meter_declared boolean,
    p_who text,
    p_reason text
)
returns integer
language plpgsql
as $$
declare
    l_reading vehicle_readings;
    l_version integer;
    l_updated bigint;
begin
    perform begin_correction('vehicle', p_vehicle);
    -- old readings may be in the columnstore, and a key that is known when the statement is planned is found there
    perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
    execute 'select * from vehicle_readings where vehicle_id = $1 and time = $2'
    into l_reading
    using p_vehicle, p_time;
    if l_reading is null then
        return null;
    end if;

    insert into replaced_vehicle_readings (
        vehicle_id, time, version, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared,
        register_mwh, span_ms, reset, replaced_by, reason
    )
    select
        p_vehicle, p_time, count(*) + 1, l_reading.energy_mwh, l_reading.soc_bp, l_reading.battery_temp_cdeg,
        l_reading.meter_id, l_reading.meter_declared, l_reading.register_mwh, l_reading.span_ms, l_reading.reset,
        p_who, p_reason
    from replaced_vehicle_readings as r
    where r.vehicle_id = p_vehicle
        and r.time = p_time
    returning version + 1 into l_version;

    l_reading.soc_bp := p_soc_bp;
    l_reading.battery_temp_cdeg := p_battery_temp_cdeg;
    l_reading.meter_declared := p_meter_declared;
    l_reading.meter_id := case
        when p_meter_declared then p_meter
        else (
            select a.meter_id
            from meter_assignments as a
            where a.vehicle_id = p_vehicle
                and a.since <= p_time
            order by a.since desc
            limit 1
        )
    end;
    if l_reading.register_mwh is null then
        l_reading.energy_mwh := p_energy_mwh;
    elsif l_reading.register_mwh <> p_energy_mwh then
        select d.energy_mwh, d.span_ms, d.reset
        into l_reading.energy_mwh, l_reading.span_ms, l_reading.reset
        from derive_again(
            'vehicle', p_vehicle, p_time, p_energy_mwh,
            l_reading.register_mwh, l_reading.energy_mwh, l_reading.span_ms
        ) as d;
        l_reading.register_mwh := p_energy_mwh;
        perform correct_readings('vehicle');
    end if;
    execute
        $q$
        update vehicle_readings
        set
            energy_mwh = $3,
            soc_bp = $4,
            battery_temp_cdeg = $5,
            meter_id = $6,
            meter_declared = $7,
            register_mwh = $8,
            span_ms = $9,
            reset = $10
        where vehicle_id = $1
            and time = $2
        $q$
    using
        p_vehicle, p_time, l_reading.energy_mwh, l_reading.soc_bp, l_reading.battery_temp_cdeg, l_reading.meter_id,
        l_reading.meter_declared, l_reading.register_mwh, l_reading.span_ms, l_reading.reset;
    get diagnostics l_updated = row_count;
    perform require_one_row(l_updated);
    update vehicle_state as s
    set
        energy_mwh = l_reading.energy_mwh,
        soc_bp = l_reading.soc_bp,
        battery_temp_cdeg = l_reading.battery_temp_cdeg,
        meter_id = l_reading.meter_id,
        meter_declared = l_reading.meter_declared,
        register_mwh = l_reading.register_mwh,
        span_ms = l_reading.span_ms,
        reset = l_reading.reset
    where s.vehicle_id = p_vehicle
        and s.time = p_time;

    insert into meter_vehicles (meter_id, vehicle_id)
    select l_reading.meter_id, p_vehicle
    where l_reading.meter_id is not null
    on conflict do nothing;
    -- after those of the reading behind it, so that this id is the last
    with hours as (
        insert into late_hours (source, hour)
        select 'vehicle_readings', floor_hour(p_time)
        where p_time < rolled_up_before('vehicle_readings')
        returning id
    )
    insert into late_devices (source, device_id, since, late_hours_until)
    select 'vehicle_readings', p_vehicle, p_time, h.id
    from hours as h;
    return l_version;
end;
$$;

-- The same for a meter's.
create or replace function correct_meter_reading(
    p_meter text,
    p_time timestamptz,
    p_energy_mwh bigint,
    p_voltage_mv integer,
    p_who text,
    p_reason text
)
returns integer
language plpgsql
as $$
declare
    l_reading meter_readings;
    l_version integer;
    l_updated bigint;
begin
    perform begin_correction('meter', p_meter);
    -- old readings may be in the columnstore, and a key that is known when the statement is planned is found there
    perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
    execute 'select * from meter_readings where meter_id = $1 and time = $2'
    into l_reading
    using p_meter, p_time;
    if l_reading is null then
        return null;
    end if;

    insert into replaced_meter_readings (
        meter_id, time, version, energy_mwh, voltage_mv, register_mwh, span_ms, reset, replaced_by, reason
    )
    select
        p_meter, p_time, count(*) + 1, l_reading.energy_mwh, l_reading.voltage_mv, l_reading.register_mwh,
        l_reading.span_ms, l_reading.reset, p_who, p_reason
    from replaced_meter_readings as r
    where r.meter_id = p_meter
        and r.time = p_time
    returning version + 1 into l_version;

    l_reading.voltage_mv := p_voltage_mv;
    if l_reading.register_mwh is null then
        l_reading.energy_mwh := p_energy_mwh;
    elsif l_reading.register_mwh <> p_energy_mwh then
        select d.energy_mwh, d.span_ms, d.reset
        into l_reading.energy_mwh, l_reading.span_ms, l_reading.reset
        from derive_again(
            'meter', p_meter, p_time, p_energy_mwh,
            l_reading.register_mwh, l_reading.energy_mwh, l_reading.span_ms
        ) as d;
        l_reading.register_mwh := p_energy_mwh;
        perform correct_readings('meter');
    end if;
    execute
        $q$
        update meter_readings
        set
            energy_mwh = $3,
            voltage_mv = $4,
            register_mwh = $5,
            span_ms = $6,
            reset = $7
        where meter_id = $1
            and time = $2
        $q$
    using
        p_meter, p_time, l_reading.energy_mwh, l_reading.voltage_mv, l_reading.register_mwh, l_reading.span_ms,
        l_reading.reset;
    get diagnostics l_updated = row_count;
    perform require_one_row(l_updated);
    update meter_state as s
    set
        energy_mwh = l_reading.energy_mwh,
        voltage_mv = l_reading.voltage_mv,
        register_mwh = l_reading.register_mwh,
        span_ms = l_reading.span_ms,
        reset = l_reading.reset
    where s.meter_id = p_meter
        and s.time = p_time;

    -- after those of the reading behind it, so that this id is the last
    with hours as (
        insert into late_hours (source, hour)
        select 'meter_readings', floor_hour(p_time)
        where p_time < rolled_up_before('meter_readings')
        returning id
    )
    insert into late_devices (source, device_id, since, late_hours_until)
    select 'meter_readings', p_meter, p_time, h.id
    from hours as h;
    return l_version;
end;
$$;
