-- Assignments, in two transactions. The first records the change while no batch is being stored:
-- each batch stored later sees it. The second stamps the readings that were there already, however
-- many, and holds up nobody. If it never comes to that, restamp_pending() does it later.

create or replace function assign_meter(p_vehicle text, p_meter text, p_since timestamptz)
returns meter_assignments
language plpgsql
as $$
declare
    l_assignment meter_assignments;
begin
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    insert into replaced_assignments (vehicle_id, since, meter_id, created_at)
    select a.vehicle_id, a.since, a.meter_id, a.created_at
    from meter_assignments as a
    where a.vehicle_id = p_vehicle
        and a.since = p_since
        and a.meter_id is distinct from p_meter;
    insert into meter_assignments as a (vehicle_id, since, meter_id, created_at)
    values (p_vehicle, coalesce(p_since, now()), p_meter, clock_timestamp())
    on conflict (vehicle_id, since) do update
    set
        meter_id = excluded.meter_id,
        created_at = excluded.created_at,
        restamped_at = null
    returning a.* into l_assignment;
    update assignment_version set version = version + 1;
    return l_assignment;
end;
$$;

-- Stamps the vehicle's readings from p_since to its next assignment with the meter of this one,
-- but for those that declared their meter; p_restamped is how many changed. A transaction a day: batches
-- that come in meanwhile wait for one day at most, and what was interrupted is done again by whoever
-- finds restamped_at empty.
create or replace procedure restamp_readings(p_vehicle text, p_since timestamptz, inout p_restamped bigint)
language plpgsql
as $$
declare
    l_meter text;
    l_until timestamptz;
    l_day timestamptz;
    l_last timestamptz;
    l_changed bigint;
    l_created timestamptz;
begin
    p_restamped := 0;
    -- one at a time for a vehicle; what is read after this is what the one before has left
    perform pg_advisory_lock(hashtext('fleetmeter.restamp'), hashtext(p_vehicle));

    select min(r.time), max(r.time)
    into l_day, l_last
    from vehicle_readings as r
    where r.vehicle_id = p_vehicle
        and r.time >= p_since;
    l_day := date_bin('24 hours', l_day, '2000-01-01 00:00:00+00');

    select a.meter_id, a.created_at
    into l_meter, l_created
    from meter_assignments as a
    where a.vehicle_id = p_vehicle
        and a.since = p_since;
    insert into meter_vehicles (meter_id, vehicle_id)
    select l_meter, p_vehicle
    where l_meter is not null
    on conflict do nothing;
    commit;

    loop
        -- whoever changes a reading of the vehicle holds this: an update of a hypertable passes over a row that it
        -- had to wait for
        perform
        from vehicle_state as v
        where v.vehicle_id = p_vehicle
        for update;
        select
            coalesce(
                (select min(n.since) from meter_assignments as n where n.vehicle_id = p_vehicle and n.since > p_since),
                'infinity'
            )
        into l_until
        from meter_assignments as a
        where a.vehicle_id = p_vehicle
            and a.since = p_since
            and a.created_at = l_created;
        if not found then
            -- somebody has replaced it meanwhile: the rest is theirs
            perform pg_advisory_unlock(hashtext('fleetmeter.restamp'), hashtext(p_vehicle));
            return;
        end if;
        exit when l_day is null or l_day > l_last or l_day >= l_until;

        -- old readings may be in the columnstore: as many as it takes may be unpacked
        perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
        with restamped as (
            update vehicle_readings as r
            set meter_id = l_meter
            where r.vehicle_id = p_vehicle
                and r.time >= greatest(p_since, l_day)
                and r.time < least(l_until, l_day + interval '24 hours')
                and not r.meter_declared
                and r.meter_id is distinct from l_meter
            returning r.time
        ),
        late as (
            select s.time
            from restamped as s
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
            select 'vehicle_readings', p_vehicle, min(l.time), (select max(h.id) from hours as h)
            from late as l
            having count(*) > 0
        )
        select count(*) into l_changed from restamped;
        commit;
        p_restamped := p_restamped + l_changed;
        l_day := l_day + interval '24 hours';
    end loop;

    update vehicle_state as v
    set meter_id = l_meter
    where v.vehicle_id = p_vehicle
        and v.time >= p_since
        and v.time < l_until
        and not v.meter_declared;
    update meter_assignments as a
    set restamped_at = now()
    where a.vehicle_id = p_vehicle
        and a.since = p_since
        and a.created_at = l_created;
    perform pg_advisory_unlock(hashtext('fleetmeter.restamp'), hashtext(p_vehicle));
end;
$$;

-- Finishes an assignment whose stamping was interrupted (the service was stopped in the middle).
create or replace procedure restamp_pending()
language plpgsql
as $$
declare
    l_vehicle text;
    l_since timestamptz;
    l_restamped bigint;
begin
    select a.vehicle_id, a.since
    into l_vehicle, l_since
    from meter_assignments as a
    where a.restamped_at is null
        and a.created_at < now() - interval '1 minute'
    order by a.created_at
    limit 1;
    if not found then
        return;
    end if;
    -- whoever recorded it may still be at it
    if pg_try_advisory_lock(hashtext('fleetmeter.restamp'), hashtext(l_vehicle)) then
        call restamp_readings(l_vehicle, l_since, l_restamped);
        perform pg_advisory_unlock(hashtext('fleetmeter.restamp'), hashtext(l_vehicle));
    end if;
end;
$$;
