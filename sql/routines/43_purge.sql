-- Purge: deletes everything stored about one device; the rollups follow. One list says where data of a device are
-- stored, so that a dry run counts exactly what would be deleted.

-- Returns whether a sentence mentions a device: its id between spaces, apart from punctuation. Ids may contain spaces,
-- so another id can match as well (`EV 1` is part of `EV 1 B`): better that than missing one.
create or replace function names_device(p_text text, p_device text)
returns boolean
language sql
immutable
return p_text ~ ('(^|[\s(])' || regexp_replace(p_device, '(\W)', '\\\1', 'g') || '[.,:;!?)]*(\s|$)');

-- Returns whether JSON contains the id of a device as a value.
create or replace function names_device(p_json jsonb, p_device text)
returns boolean
language sql
immutable
return jsonb_path_exists(p_json, 'strict $.** ? (@ == $device)', jsonb_build_object('device', p_device));

-- Returns whether an anomaly of another device mentions this one, now or in its events.
create or replace function names_device(p_anomaly anomalies, p_device text)
returns boolean
language sql
stable
begin atomic
    select p_anomaly.device_id <> p_device
        and (
            names_device(p_anomaly.summary, p_device)
            or names_device(p_anomaly.evidence, p_device)
            or exists (
                select
                from anomaly_events as e
                where e.anomaly_id = p_anomaly.id
                    and (
                        names_device(e.anomaly ->> 'summary', p_device)
                        or names_device(e.anomaly -> 'evidence', p_device)
                        or names_device(e.note, p_device)
                    )
            )
        );
end;

-- Returns whether what the rules remember about another device mentions this one.
create or replace function names_device(p_memory anomaly_memory, p_device text)
returns boolean
language sql
immutable
return p_memory.device_id <> p_device and names_device(p_memory.memory, p_device);

-- Returns where data of a device are stored: $1 is its id, $2 its number, $3 the vehicles that charged there (for a
-- meter), $4 its kind; and what changes there if the row belongs to another device, or null if it is deleted. Rows that
-- only mention the device count if anything else of it is stored, since a mention does not tell the kind.
create or replace function places_of_devices()
returns table (relation text, condition text, change text, is_name boolean)
language sql
stable
begin atomic
    select p.relation, p.condition, p.change, p.is_name
    from (
        values
            -- live state first: sessions that store a register of the device wait
            (1, 'live_state', 'device = $2', null, false),
            (2, 'readings', 'device = $2', null, false),
            (3, 'replaced_readings', 'device = $2', null, false),
            (3, 'voided_readings', 'device = $2', null, false),
            (3, 'arrival_stamps', 'device = $2', null, false),
            (4, 'rolled_up_quarter_hours', 'device = $2', null, false),
            (4, 'spread_energy', 'device = $2', null, false),
            (5, 'rolled_up_hours', 'device = $2', null, false),
            (6, 'rolled_up_days', 'device = $2', null, false),
            (7, 'accounted_energy', 'vehicle = $2 or meter = $2', null, false),
            (7, 'meter_quarters', 'meter = $2', null, false),
            (8, 'meter_vehicles', 'vehicle = $2 or meter = $2', null, false),
            (9, 'assignments', 'vehicle = $2', null, false),
            (10, 'replaced_assignments', 'vehicle = $2 or meter = $2', null, false),
            (11, 'late_devices', 'device = $2', null, false),
            (11, 'register_events', 'device = $2', null, false),
            (11, 'register_exchanges', 'device = $2', null, false),
            (11, 'transactions', 'meter = $2', null, false),
            (12, 'devices', 'device = $2', null, false),
            -- vehicles that charged there keep everything but the meter
            (13, 'live_state', 'device = any($3) and meter = $2', 'meter = null, meter_declared = false', false),
            (14, 'readings', 'device = any($3) and meter = $2', 'meter = null, meter_declared = false', false),
            (15, 'replaced_readings', 'device = any($3) and meter = $2', 'meter = null, meter_declared = false', false),
            (16, 'rolled_up_quarter_hours', 'device = any($3) and meter = $2', 'meter = null', false),
            (16, 'spread_energy', 'device = any($3) and meter = $2', 'meter = null', false),
            (17, 'rolled_up_hours', 'device = any($3) and meter = $2', 'meter = null', false),
            (18, 'rolled_up_days', 'device = any($3) and meter = $2', 'meter = null', false),
            (19, 'assignments', 'meter = $2', 'meter = null', false),
            -- the meters where the vehicle charged keep their transactions, and drivers their tokens
            (19, 'transactions', 'vehicle = $2', 'vehicle = null', false),
            (19, 'tokens', 'vehicle = $2', 'vehicle = null', false),
            -- by its id; events are deleted with their anomaly
            (20, 'rejections', 'id = $1 and kind = $4', null, false),
            (20, 'anomalies', 'device_id = $1 and device_kind = $4', null, false),
            (21, 'anomaly_memory', 'device_id = $1 and device_kind = $4', null, false),
            (22, 'rule_overrides', 'target = $1 and scope = $4', null, false),
            (23, 'rule_changes', 'target = $1 and scope = $4', null, false),
            (24, 'anomalies', 'names_device(anomalies, $1)', null, true),
            (25, 'anomaly_memory', 'names_device(anomaly_memory, $1)', null, true)
    ) as p (number, relation, condition, change, is_name)
    -- a rollup that is a view over another follows it; another is of one engine only
    where pg_relation_is_updatable(to_regclass(p.relation), false) & 16 > 0
    order by p.number, p.relation;
end;

-- Deletes everything stored about one device, or counts it: returns the number of rows by relation, and what changes in
-- rows of other devices. Assignments are deleted before (purge_assignments()) and the device itself after
-- (forget_device()), in transactions of their own.
create or replace function purge_device(p_kind text, p_id text, p_count_only boolean)
returns table (relation text, change text, stored bigint)
language plpgsql
as $$
declare
    l_device constant integer := device_of(p_kind, p_id);
    -- those that charged there
    l_vehicles constant integer[] := (
        select array_agg(m.vehicle)
        from meter_vehicles as m
        where m.meter = l_device
    );
    l_place record;
    l_found boolean := false;
begin
    if not p_count_only then
        -- a running evaluation would write down again what it has read about the device
        perform pg_advisory_xact_lock(hashtext('fleetmeter.evaluate'));
        -- waits for sessions that change readings of the device or of these vehicles, in the order of the key
        perform
        from live_state as s
        where s.device = any(l_vehicles || l_device)
        order by s.device
        for update;
        perform lift_unpacking_limit();
        -- hours in which the device had a part are apportioned and rolled up again
        perform
        from accounting
        for update;
        delete from accounted_hours as h
        where h.hour in (select e.hour from accounted_energy as e where l_device in (e.vehicle, e.meter));
        perform note_without(l_device, p_id, l_vehicles);
    end if;
    for l_place in
        select *
        from places_of_devices()
    loop
        exit when p_count_only and l_place.is_name and not l_found;
        -- forget_device() changes the others
        if p_count_only or l_place.relation in ('meter_vehicles', 'transactions', 'tokens', 'devices') then
            execute format('select count(*) from %I where %s', l_place.relation, l_place.condition)
            into stored
            using p_id, l_device, l_vehicles, p_kind;
        else
            if l_place.relation = 'anomalies' then
                -- a session that is changing an anomaly would write it down again
                perform pg_advisory_xact_lock(hashtext('fleetmeter.anomaly_events'));
            end if;
            if l_place.change is null then
                execute format('delete from %I where %s', l_place.relation, l_place.condition)
                using p_id, l_device, l_vehicles, p_kind;
            else
                execute format('update %I set %s where %s', l_place.relation, l_place.change, l_place.condition)
                using p_id, l_device, l_vehicles, p_kind;
            end if;
            get diagnostics stored = row_count;
        end if;
        relation := l_place.relation;
        change := l_place.change;
        if stored > 0 then
            l_found := true;
            return next;
        end if;
    end loop;
end;
$$;

-- Notes the hours and devices that must be rolled up and evaluated again once a device is gone: the hours of its own
-- readings; for a vehicle, the meters at which it charged, and so all vehicles that share them; for a meter, the
-- vehicles that charged there; and every device whose anomalies or memory mention it.
create or replace function note_without(p_device integer, p_id text, p_vehicles integer[])
returns void
language plpgsql
as $$
declare
    l_rolled_up_before constant timestamptz := rolled_up_before();
begin
    perform note_late(array_agg(o.device), array_agg(o.starts), array_agg(o.ends))
    from (
        select
            case when r.device = p_device then coalesce(r.meter, r.device) else r.device end,
            floor_quarter(start_of(r.time, coalesce(r.span_ms, 0))),
            ceil_quarter(r.time)
        from readings as r
        where r.device = any(p_device || p_vehicles)
            and p_device in (r.device, r.meter)
            and start_of(r.time, coalesce(r.span_ms, 0)) < l_rolled_up_before
        union
        select device_of(a.device_kind, a.device_id), a.started_at, a.started_at + interval '1 microsecond'
        from anomalies as a
        where names_device(a, p_id)
        union
        -- memory is built again from before the last evaluated hour
        select
            device_of(m.device_kind, m.device_id),
            p.evaluated_until - interval '1 hour',
            p.evaluated_until
        from anomaly_memory as m
        cross join anomaly_progress as p
        where names_device(m, p_id)
    ) as o (device, starts, ends)
    where o.device is not null;
end;
$$;

-- Deletes the device's assignments, so that no reading is stamped with them from now on. Takes the lock, during which
-- no batch is stored, for a moment only.
create or replace function purge_assignments(p_kind text, p_id text)
returns void
language plpgsql
as $$
declare
    l_device integer;
begin
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    l_device := device_of(p_kind, p_id);
    delete from assignments as a
    where a.vehicle = l_device;
    -- as another assignment, so that a session that stamps readings with it stops
    update assignments as a
    set
        meter = null,
        created_at = clock_timestamp()
    where a.meter = l_device;
    update versions
    set assignments = assignments + 1;
end;
$$;

-- The last step, in a short transaction of its own: deletes a meter's transactions, which vehicles charged where
-- (unless they have done so again meanwhile), and the device with its settings. The number stays if the device has come
-- back. Writers that cache the number or a pair ask for it or note it again, since the versions change.
create or replace function forget_device(p_kind text, p_id text)
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
declare
    l_device integer;
begin
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    l_device := device_of(p_kind, p_id);
    delete from transactions as t
    where t.meter = l_device;
    update transactions as t
    set vehicle = null
    where t.vehicle = l_device;
    update tokens as h
    set vehicle = null
    where h.vehicle = l_device;
    delete from meter_vehicles as m
    where (m.vehicle = l_device or m.meter = l_device)
        and not exists (
            select
            from readings as r
            where r.device = m.vehicle
                and r.meter = m.meter
                and r.time > now() - interval '2 days'
        );
    delete from devices as d
    where d.device = l_device;
    insert into devices (device, kind, id) overriding system value
    select l_device, p_kind, p_id
    where exists (select from live_state as s where s.device = l_device)
        or exists (select from meter_vehicles as m where m.vehicle = l_device or m.meter = l_device)
        or exists (select from assignments as a where a.vehicle = l_device or a.meter = l_device);
    update versions
    set
        devices = devices + 1,
        assignments = assignments + 1;
end;
$$;
