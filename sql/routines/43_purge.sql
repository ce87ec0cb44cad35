-- Purge: everything that is stored of one device goes, and the rollups follow. One list says where something of a device
-- stands, so that a dry run counts just what would go.

-- Whether a sentence names a device: its id stands between spaces, but for the punctuation of the sentence. Ids may have
-- spaces as well, so that another one may be taken for it (`EV 1` is a part of `EV 1 B`): rather that than one overlooked.
create or replace function names_device(p_text text, p_device text)
returns boolean
language sql
immutable
return p_text ~ ('(^|[\s(])' || regexp_replace(p_device, '(\W)', '\\\1', 'g') || '[.,:;!?)]*(\s|$)');

-- Whether JSON has the id of a device as a value.
create or replace function names_device(p_json jsonb, p_device text)
returns boolean
language sql
immutable
return jsonb_path_exists(p_json, 'strict $.** ? (@ == $device)', jsonb_build_object('device', p_device));

-- Whether an anomaly of a device with another id says something of this one, now or in what happened to it.
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

-- Whether what is remembered of a device with another id says something of this one.
create or replace function names_device(p_memory anomaly_memory, p_device text)
returns boolean
language sql
immutable
return p_memory.device_id <> p_device and names_device(p_memory.memory, p_device);

-- Where something of a device stands: $1 is its id, $2 the vehicles that charged there (of a meter), $3 its kind. What
-- changes there where the row is another device's; null: it goes. What only names the device counts when there is
-- something else of it: a name does not say the kind.
create or replace function places_of(p_kind text)
returns table (relation text, condition text, change text, is_name boolean)
language sql
immutable
begin atomic
    select p.relation, p.condition, p.change, p.is_name
    from (
        values
            -- live state first: whoever stores a register of the device waits
            (1, 'vehicle', 'vehicle_state', 'vehicle_id = $1', null, false),
            (2, 'vehicle', 'vehicle_readings', 'vehicle_id = $1', null, false),
            (3, 'vehicle', 'replaced_vehicle_readings', 'vehicle_id = $1', null, false),
            (4, 'vehicle', 'rolled_up_vehicle_hours', 'vehicle_id = $1', null, false),
            (5, 'vehicle', 'rolled_up_vehicle_days', 'vehicle_id = $1', null, false),
            (6, 'vehicle', 'accounted_energy', 'vehicle_id = $1', null, false),
            (7, 'vehicle', 'meter_vehicles', 'vehicle_id = $1', null, false),
            (8, 'vehicle', 'vehicle_settings', 'vehicle_id = $1', null, false),
            (9, 'vehicle', 'meter_assignments', 'vehicle_id = $1', null, false),
            (10, 'vehicle', 'replaced_assignments', 'vehicle_id = $1', null, false),
            (11, 'meter', 'meter_state', 'meter_id = $1', null, false),
            (12, 'meter', 'meter_readings', 'meter_id = $1', null, false),
            (13, 'meter', 'replaced_meter_readings', 'meter_id = $1', null, false),
            (14, 'meter', 'rolled_up_meter_hours', 'meter_id = $1', null, false),
            (15, 'meter', 'rolled_up_meter_days', 'meter_id = $1', null, false),
            (16, 'meter', 'accounted_energy', 'meter_id = $1', null, false),
            -- of the vehicles that charged there, all but the meter stays; from history, vehicle by vehicle, which
            -- meter_vehicles tells
            (17, 'meter', 'vehicle_state', 'meter_id = $1', 'meter_id = null, meter_declared = false', false),
            (
                18, 'meter', 'vehicle_readings', 'meter_id = $1 and vehicle_id = any($2)',
                'meter_id = null, meter_declared = false', false
            ),
            (19, 'meter', 'replaced_vehicle_readings', 'meter_id = $1', 'meter_id = null, meter_declared = false', false),
            (20, 'meter', 'rolled_up_vehicle_hours', 'meter_id = $1', 'meter_id = null', false),
            (21, 'meter', 'rolled_up_vehicle_days', 'meter_id = $1', 'meter_id = null', false),
            (22, 'meter', 'meter_vehicles', 'meter_id = $1', null, false),
            (23, 'meter', 'meter_settings', 'meter_id = $1', null, false),
            (24, 'meter', 'meter_assignments', 'meter_id = $1', 'meter_id = null', false),
            (25, 'meter', 'replaced_assignments', 'meter_id = $1', null, false),
            -- of both kinds; events go with their anomaly
            (26, p_kind, 'anomalies', 'device_id = $1 and device_kind = $3', null, false),
            (27, p_kind, 'anomaly_memory', 'device_id = $1 and device_kind = $3', null, false),
            (28, p_kind, 'late_devices', 'device_id = $1 and source = $3 || ''_readings''', null, false),
            (29, p_kind, 'rule_overrides', 'target = $1 and scope = $3', null, false),
            (30, p_kind, 'rule_changes', 'target = $1 and scope = $3', null, false),
            (31, p_kind, 'anomalies', 'names_device(anomalies, $1)', null, true),
            (32, p_kind, 'anomaly_memory', 'names_device(anomaly_memory, $1)', null, true)
    ) as p (number, kind, relation, condition, change, is_name)
    where p.kind = p_kind
    order by p.number;
end;

-- Removes all that is stored of one device, or counts it: how many rows of which relation, and what changes in them
-- where they are others'. Assignments have been purged before (purge_assignments()) and pairs are after (purge_pairs()), in
-- transactions of their own.
create or replace function purge_device(p_kind text, p_device text, p_count_only boolean)
returns table (relation text, change text, stored bigint)
language plpgsql
as $$
declare
    -- who charged there
    l_vehicles constant text[] := (
        select array_agg(m.vehicle_id)
        from meter_vehicles as m
        where p_kind = 'meter'
            and m.meter_id = p_device
    );
    l_place record;
    l_found boolean := false;
begin
    if not p_count_only then
        -- an evaluation that goes on at this moment would write down again what it has read of the device
        perform pg_advisory_xact_lock(hashtext('fleetmeter.evaluate'));
        -- whoever changes readings of these vehicles is waited for, in the order of the key
        perform
        from vehicle_state as v
        where v.vehicle_id = any(l_vehicles)
        order by v.vehicle_id
        for update;
        perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
        -- hours that the device had a part in are shared out anew, and rolled up anew
        perform
        from accounting
        for update;
        delete from accounted_hours as h
        where h.hour in (select e.hour from accounted_energy as e where p_device in (e.vehicle_id, e.meter_id));
        if p_kind = 'vehicle' then
            perform note_hours('vehicle_readings', 'vehicle_id = $1', p_device, l_vehicles);
        else
            perform note_hours('meter_readings', 'meter_id = $1', p_device, l_vehicles);
            perform note_hours('vehicle_readings', 'meter_id = $1 and vehicle_id = any($2)', p_device, l_vehicles);
        end if;
        perform note_others(p_kind, p_device, l_vehicles);
    end if;
    for l_place in
        select *
        from places_of(p_kind)
    loop
        exit when p_count_only and l_place.is_name and not l_found;
        if p_count_only or l_place.relation = 'meter_vehicles' then  -- purge_pairs()
            execute format('select count(*) from %I where %s', l_place.relation, l_place.condition)
            into stored
            using p_device, l_vehicles, p_kind;
        else
            if l_place.relation = 'anomalies' then
                -- whoever changes an anomaly at this moment would write it down again
                perform pg_advisory_xact_lock(hashtext('fleetmeter.anomaly_events'));
            end if;
            if l_place.change is null then
                execute format('delete from %I where %s', l_place.relation, l_place.condition)
                using p_device, l_vehicles, p_kind;
            else
                execute format('update %I set %s where %s', l_place.relation, l_place.change, l_place.condition)
                using p_device, l_vehicles, p_kind;
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

-- Notes the hours of readings that are about to change, where they may be rolled up.
create or replace function note_hours(p_source text, p_where text, p_device text, p_vehicles text[])
returns void
language plpgsql
as $$
begin
    execute format(
        'insert into late_hours (source, hour) select distinct %L, floor_hour(time) from %I where %s and time < $3',
        p_source, p_source, p_where
    )
    using p_device, p_vehicles, rolled_up_before(p_source);
end;
$$;

-- Notes the devices that are to be evaluated anew without this one: of a vehicle the meters that it charged at, and so
-- all that share them; of a meter the vehicles that charged there; and whose anomalies or memory name it and go. After
-- note_hours(): no hour of this transaction has an id above the last that it sees.
create or replace function note_others(p_kind text, p_device text, p_vehicles text[])
returns void
language plpgsql
as $$
begin
    insert into late_devices (source, device_id, since, late_hours_until)
    select o.source, o.device_id, min(o.since), (select coalesce(max(h.id), 0) from late_hours as h)
    from (
        select 'meter_readings' as source, r.meter_id as device_id, r.time as since
        from vehicle_readings as r
        where p_kind = 'vehicle'
            and r.vehicle_id = p_device
            and r.meter_id is not null
            and r.time < rolled_up_before('vehicle_readings')
        union all
        select 'vehicle_readings', r.vehicle_id, r.time
        from vehicle_readings as r
        where p_kind = 'meter'
            and r.vehicle_id = any(p_vehicles)
            and r.meter_id = p_device
            and r.time < rolled_up_before('vehicle_readings')
        union all
        select a.device_kind || '_readings', a.device_id, a.started_at
        from anomalies as a
        where a.device_kind <> 'site'
            and names_device(a, p_device)
        union all
        -- it is made anew, from what is before the last hour that was evaluated
        select m.device_kind || '_readings', m.device_id, coalesce(p.evaluated_until - interval '1 hour', now())
        from anomaly_memory as m
        cross join anomaly_progress as p
        where m.device_kind <> 'site'
            and names_device(m, p_device)
    ) as o
    group by 1, 2;
end;
$$;

-- From now on nothing is stamped by the device's assignments: while no batch is being stored, and for a moment only.
create or replace function purge_assignments(p_kind text, p_device text)
returns void
language plpgsql
as $$
begin
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    if p_kind = 'vehicle' then
        delete from meter_assignments as a
        where a.vehicle_id = p_device;
    else
        -- another one now: whoever stamps readings with it stops
        update meter_assignments as a
        set
            meter_id = null,
            created_at = clock_timestamp()
        where a.meter_id = p_device;
    end if;
    update assignment_version
    set version = version + 1;
end;
$$;

-- The last step, in a transaction of its own and for a moment: which vehicles charged where, but for those that have
-- done so again meanwhile. Writers that remember a pair note it again, since the version changes.
create or replace function purge_pairs(p_kind text, p_device text)
returns void
language plpgsql
set plan_cache_mode = force_custom_plan
as $$
begin
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    delete from meter_vehicles as m
    where (p_kind = 'vehicle' and m.vehicle_id = p_device or p_kind = 'meter' and m.meter_id = p_device)
        and not exists (
            select
            from vehicle_readings as r
            where r.vehicle_id = m.vehicle_id
                and r.meter_id = m.meter_id
                and r.time > now() - interval '2 days'
        );
    update assignment_version
    set version = version + 1;
end;
$$;
