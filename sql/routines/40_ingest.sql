-- What a writer asks first in its transaction. The lock is taken in a statement of its own, so that the
-- ones after it see every assignment that was committed before it was granted: a change of assignment
-- takes it exclusively.

create or replace function begin_batch()
returns table (assignments_version bigint, vehicles_rolled_up_before timestamptz, meters_rolled_up_before timestamptz)
language plpgsql
as $$
begin
    perform pg_advisory_xact_lock_shared(hashtext('fleetmeter.assignments'));
    return query
    select v.version, rolled_up_before('vehicle_readings'), rolled_up_before('meter_readings')
    from assignment_version as v;
end;
$$;

-- The merge path: a batch of late, resent or unknown readings that lies in the session's temporary
-- table goes into history, live state and the notes beside them, in the caller's transaction. Returns
-- how many were new, for each part (request) of the batch. Every insert is in the order of its key, so
-- that two batches that meet wait for each other in one direction only.

create or replace function store_vehicle_readings()
returns table (part integer, readings bigint)
language plpgsql
as $$
begin
    perform pg_advisory_xact_lock_shared(hashtext('fleetmeter.assignments'));

    return query
    with stamped as materialized (
        select
            i.vehicle_id,
            i.time,
            i.energy_mwh,
            i.soc_bp,
            i.battery_temp_cdeg,
            coalesce(i.meter_id, a.meter_id) as meter_id,
            i.meter_declared
        from incoming_vehicle_readings as i
        left join lateral (
            select m.meter_id
            from meter_assignments as m
            where m.vehicle_id = i.vehicle_id
                and m.since <= i.time
            order by m.since desc
            limit 1
        ) as a on true
    ),
    stored as (
        insert into vehicle_readings (vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared)
        select s.vehicle_id, s.time, s.energy_mwh, s.soc_bp, s.battery_temp_cdeg, s.meter_id, s.meter_declared
        from stamped as s
        order by s.vehicle_id, s.time
        on conflict do nothing
        returning vehicle_id, time, meter_id
    ),
    live as (
        insert into vehicle_state as v (vehicle_id, time, energy_mwh, soc_bp, battery_temp_cdeg, meter_id, meter_declared, last_seen)
        select distinct on (s.vehicle_id)
            s.vehicle_id, s.time, s.energy_mwh, s.soc_bp, s.battery_temp_cdeg, s.meter_id, s.meter_declared, now()
        from stamped as s
        order by s.vehicle_id, s.time desc
        on conflict (vehicle_id) do update
        set
            time = excluded.time,
            energy_mwh = excluded.energy_mwh,
            soc_bp = excluded.soc_bp,
            battery_temp_cdeg = excluded.battery_temp_cdeg,
            meter_id = excluded.meter_id,
            meter_declared = excluded.meter_declared,
            last_seen = excluded.last_seen
        where excluded.time > v.time
    ),
    paired as (
        insert into meter_vehicles (meter_id, vehicle_id)
        select distinct s.meter_id, s.vehicle_id
        from stored as s
        where s.meter_id is not null
        order by 1, 2
        on conflict do nothing
    ),
    late as (
        insert into late_hours (source, hour)
        select distinct 'vehicle_readings', floor_hour(s.time)
        from stored as s
        where s.time < (select rolled_up_before('vehicle_readings'))
    )
    select i.part, count(*)
    from stored as s
    join incoming_vehicle_readings as i
        on i.vehicle_id = s.vehicle_id
        and i.time = s.time
    group by 1;
end;
$$;

create or replace function store_meter_readings()
returns table (part integer, readings bigint)
language plpgsql
as $$
begin
    return query
    with stored as (
        insert into meter_readings (meter_id, time, energy_mwh, voltage_mv)
        select i.meter_id, i.time, i.energy_mwh, i.voltage_mv
        from incoming_meter_readings as i
        order by i.meter_id, i.time
        on conflict do nothing
        returning meter_id, time
    ),
    live as (
        insert into meter_state as m (meter_id, time, energy_mwh, voltage_mv, last_seen)
        select distinct on (i.meter_id)
            i.meter_id, i.time, i.energy_mwh, i.voltage_mv, now()
        from incoming_meter_readings as i
        order by i.meter_id, i.time desc
        on conflict (meter_id) do update
        set
            time = excluded.time,
            energy_mwh = excluded.energy_mwh,
            voltage_mv = excluded.voltage_mv,
            last_seen = excluded.last_seen
        where excluded.time > m.time
    ),
    late as (
        insert into late_hours (source, hour)
        select distinct 'meter_readings', floor_hour(s.time)
        from stored as s
        where s.time < (select rolled_up_before('meter_readings'))
    )
    select i.part, count(*)
    from stored as s
    join incoming_meter_readings as i
        on i.meter_id = s.meter_id
        and i.time = s.time
    group by 1;
end;
$$;
