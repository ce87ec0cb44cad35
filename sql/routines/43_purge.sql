-- Purge: everything that is stored of one device goes, and the rollups follow. One list says where something of a device
-- stands, so that a dry run counts just what would go.

create or replace function places_of(p_kind text)
returns table (relation text, key text, change text)
language sql
immutable
begin atomic
    select p.relation, p.key, p.change
    from (
        values
            -- live state first: whoever stores a register of the device waits
            (1, 'vehicle', 'vehicle_state', 'vehicle_id', null),
            (2, 'vehicle', 'vehicle_readings', 'vehicle_id', null),
            (3, 'vehicle', 'replaced_vehicle_readings', 'vehicle_id', null),
            (4, 'vehicle', 'rolled_up_vehicle_hours', 'vehicle_id', null),
            (5, 'vehicle', 'rolled_up_vehicle_days', 'vehicle_id', null),
            (6, 'vehicle', 'accounted_energy', 'vehicle_id', null),
            (7, 'vehicle', 'meter_vehicles', 'vehicle_id', null),
            (8, 'vehicle', 'vehicle_settings', 'vehicle_id', null),
            (9, 'vehicle', 'meter_assignments', 'vehicle_id', null),
            (10, 'vehicle', 'replaced_assignments', 'vehicle_id', null),
            (11, 'meter', 'meter_state', 'meter_id', null),
            (12, 'meter', 'meter_readings', 'meter_id', null),
            (13, 'meter', 'replaced_meter_readings', 'meter_id', null),
            (14, 'meter', 'rolled_up_meter_hours', 'meter_id', null),
            (15, 'meter', 'rolled_up_meter_days', 'meter_id', null),
            (16, 'meter', 'accounted_energy', 'meter_id', null),
            -- of the vehicles that charged there, all but the meter stays; from history, vehicle by vehicle, which
            -- meter_vehicles tells
            (17, 'meter', 'vehicle_state', 'meter_id', 'meter_id = null, meter_declared = false'),
            (18, 'meter', 'vehicle_readings', 'meter_id', 'meter_id = null, meter_declared = false'),
            (19, 'meter', 'replaced_vehicle_readings', 'meter_id', 'meter_id = null, meter_declared = false'),
            (20, 'meter', 'rolled_up_vehicle_hours', 'meter_id', 'meter_id = null'),
            (21, 'meter', 'rolled_up_vehicle_days', 'meter_id', 'meter_id = null'),
            (22, 'meter', 'meter_vehicles', 'meter_id', null),
            (23, 'meter', 'meter_settings', 'meter_id', null),
            (24, 'meter', 'meter_assignments', 'meter_id', 'meter_id = null'),
            (25, 'meter', 'replaced_assignments', 'meter_id', null)
    ) as p (number, kind, relation, key, change)
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
    l_where text;
begin
    if not p_count_only then
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
    end if;
    for l_place in
        select *
        from places_of(p_kind)
    loop
        l_where := format(
            '%I = $1%s',
            l_place.key,
            case when l_place.key = 'meter_id' and l_place.relation = 'vehicle_readings' then ' and vehicle_id = any($2)' end
        );
        if p_count_only or l_place.relation = 'meter_vehicles' then  -- purge_pairs()
            execute format('select count(*) from %I where %s', l_place.relation, l_where)
            into stored
            using p_device, l_vehicles;
        else
            if l_place.change is null then
                execute format('delete from %I where %s', l_place.relation, l_where)
                using p_device, l_vehicles;
            else
                execute format('update %I set %s where %s', l_place.relation, l_place.change, l_where)
                using p_device, l_vehicles;
            end if;
            get diagnostics stored = row_count;
        end if;
        relation := l_place.relation;
        change := l_place.change;
        if stored > 0 then
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
