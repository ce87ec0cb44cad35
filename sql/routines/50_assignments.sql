-- Assignments, in two transactions. The first records the change while no batch is being stored, so that each later
-- batch sees it. The second stamps the readings that are already stored, however many, and holds nobody up; if it is
-- interrupted, restamp_pending() finishes it later.

-- Returns the meter that a vehicle is assigned to at a time; null if there is none.
create or replace function assigned_meter(p_vehicle integer, p_time timestamptz)
returns integer
language plpgsql
stable
as $$
begin
    return (
        select a.meter
        from assignments as a
        where a.vehicle = p_vehicle
            and a.since <= p_time
        order by a.since desc
        limit 1
    );
end;
$$;

-- Records an assignment; null for p_since means now. Transactions that last beyond it end in it.
create or replace function assign_meter(p_vehicle text, p_meter text, p_since timestamptz)
returns assignments
language plpgsql
as $$
declare
    l_vehicle integer;
    l_meter integer;
    l_assignment assignments;
begin
    -- numbers are given under this lock too, since a purge takes it
    perform pg_advisory_xact_lock(hashtext('fleetmeter.assignments'));
    l_vehicle := number_device('vehicle', p_vehicle);
    if p_meter is not null then
        l_meter := number_device('meter', p_meter);
    end if;
    insert into replaced_assignments (vehicle, since, meter, created_at)
    select a.vehicle, a.since, a.meter, a.created_at
    from assignments as a
    where a.vehicle = l_vehicle
        and a.since = p_since
        and a.meter is distinct from l_meter;
    insert into assignments as a (vehicle, since, meter, created_at)
    values (l_vehicle, coalesce(p_since, now()), l_meter, clock_timestamp())
    on conflict (vehicle, since) do update
    set
        meter = excluded.meter,
        created_at = excluded.created_at,
        restamped_at = null,
        by_transaction = null,
        restamp_from = null
    returning a.* into l_assignment;
    perform assign_by_transactions(l_vehicle, l_assignment.since);
    update versions
    set assignments = assignments + 1;
    return l_assignment;
end;
$$;

-- Stamps a vehicle's readings of one day, from one time up to another, with a meter; returns how many changed. The
-- caller holds the vehicle's row of live_state.
create or replace function restamp_day(
    p_vehicle integer,
    p_from timestamptz,
    p_until timestamptz,
    p_day timestamptz,
    p_meter integer
)
returns bigint
language plpgsql
-- planned for this day: no other chunk is opened
set plan_cache_mode = force_custom_plan
as $$
declare
    l_times timestamptz[];
    l_starts timestamptz[];
begin
    perform lift_unpacking_limit();
    with restamped as (
        update readings as r
        set meter = p_meter
        where r.device = p_vehicle
            and r.time >= p_from
            and r.time < least(p_until, p_day + interval '24 hours')
            and not r.meter_declared
            and r.meter is distinct from p_meter
        returning r.time, start_of(r.time, coalesce(r.span_ms, 0)) as starts
    )
    select coalesce(array_agg(s.time), '{}'), coalesce(array_agg(s.starts), '{}')
    into l_times, l_starts
    from restamped as s;
    update spread_energy as s
    set meter = p_meter
    where s.device = p_vehicle
        and s.ends = any(l_times)
        and s.bucket > (select floor_quarter(min(t.starts)) from unnest(l_starts) as t (starts))
        and s.bucket <= p_day + interval '24 hours';
    perform note_late(array_fill(p_vehicle, array[cardinality(l_times)]), l_starts, l_times);
    return cardinality(l_times);
end;
$$;

-- Stamps the vehicle's readings from p_since (or restamp_from, if it is later) to its next assignment with the meter of
-- this one, except those that named their meter; p_restamped is how many changed. A transaction a day: incoming batches
-- wait for one day at most, and an interrupted one is finished by restamp_pending(), as restamped_at is still null.
create or replace procedure restamp_readings(p_vehicle integer, p_since timestamptz, inout p_restamped bigint)
language plpgsql
as $$
declare
    l_meter integer;
    l_from timestamptz;
    l_until timestamptz;
    l_day timestamptz;
    l_last timestamptz;
    l_created timestamptz;
begin
    p_restamped := 0;
    -- one session at a time for a vehicle; what follows sees what the previous one has done
    perform pg_advisory_lock(hashtext('fleetmeter.restamp'), p_vehicle);

    -- so that a meter that is being purged is not noted afterwards
    perform pg_advisory_xact_lock_shared(hashtext('fleetmeter.assignments'));
    select a.meter, a.created_at, coalesce(a.restamp_from, a.since)
    into l_meter, l_created, l_from
    from assignments as a
    where a.vehicle = p_vehicle
        and a.since = p_since;
    insert into meter_vehicles (meter, vehicle)
    select l_meter, p_vehicle
    where l_meter is not null
    on conflict do nothing;
    commit;

    select min(r.time), max(r.time)
    into l_day, l_last
    from readings as r
    where r.device = p_vehicle
        and r.time >= l_from;
    l_day := date_bin('24 hours', l_day, '2000-01-01 00:00:00+00');
    loop
        -- sessions that change readings of the vehicle hold this, since an update of a hypertable skips a row for which
        -- it had to wait
        perform
        from live_state as s
        where s.device = p_vehicle
        for update;
        select
            coalesce(
                (select min(n.since) from assignments as n where n.vehicle = p_vehicle and n.since > p_since),
                'infinity'
            )
        into l_until
        from assignments as a
        where a.vehicle = p_vehicle
            and a.since = p_since
            and a.created_at = l_created;
        if not found then
            -- replaced meanwhile: the session of the new one does the rest
            perform pg_advisory_unlock(hashtext('fleetmeter.restamp'), p_vehicle);
            return;
        end if;
        exit when l_day is null or l_day > l_last or l_day >= l_until;

        p_restamped := p_restamped + restamp_day(p_vehicle, greatest(l_from, l_day), l_until, l_day, l_meter);
        commit;
        l_day := l_day + interval '24 hours';
    end loop;

    update live_state as s
    set meter = l_meter
    where s.device = p_vehicle
        and s.time >= p_since
        and s.time < l_until
        and not s.meter_declared;
    update assignments as a
    set
        restamped_at = now(),
        restamp_from = null
    where a.vehicle = p_vehicle
        and a.since = p_since
        and a.created_at = l_created;
    perform pg_advisory_unlock(hashtext('fleetmeter.restamp'), p_vehicle);
end;
$$;

-- Finishes an assignment whose stamping was interrupted, by a stop of the service.
create or replace procedure restamp_pending()
language plpgsql
as $$
declare
    l_vehicle integer;
    l_since timestamptz;
    l_restamped bigint;
begin
    select a.vehicle, a.since
    into l_vehicle, l_since
    from assignments as a
    where a.restamped_at is null
        and a.created_at < now() - interval '1 minute'
    order by a.created_at
    limit 1;
    if not found then
        return;
    end if;
    -- the session that recorded it may still be at work
    if pg_try_advisory_lock(hashtext('fleetmeter.restamp'), l_vehicle) then
        call restamp_readings(l_vehicle, l_since, l_restamped);
        perform pg_advisory_unlock(hashtext('fleetmeter.restamp'), l_vehicle);
    end if;
end;
$$;
