-- Anomalies, what the rules remember, and how far hours have been evaluated: written by the evaluation.

-- name: begin_anomaly_events()$
-- Whoever changes anomalies waits here for the others, so that events become visible in the order of their ids; the
-- time.
select clock_timestamp()
from (select pg_advisory_xact_lock(hashtext('fleetmeter.anomaly_events'))) as locked

-- name: current_anomalies(kinds, device_kinds, device_ids)
-- For each key, the anomaly that is still going on, else the one that ended last (index on device, kind and id).
select a.*
from (
    select distinct *
    from unnest(:kinds::text[], :device_kinds::text[], :device_ids::text[]) as u (kind, device_kind, device_id)
) as k
cross join lateral (
    select *
    from anomalies as s
    where s.device_id = k.device_id
        and s.kind = k.kind
        and s.device_kind = k.device_kind
    order by s.ended_at desc nulls first
    limit 1
) as a

-- name: anomalies_since(device_kinds, device_ids, since, without)
-- Anomalies of some devices that had not ended at a time, without some kinds (index on device, kind and id).
select a.*
from unnest(:device_kinds::text[], :device_ids::text[]) as d (device_kind, device_id)
join anomalies as a
    on a.device_id = d.device_id
    and a.device_kind = d.device_kind
where a.kind <> all(:without::text[])
    and (a.ended_at is null or a.ended_at >= :since)

-- name: gone_subjects()
-- Devices and sites that have an unresolved anomaly or a memory but are gone: removed, or a site without
-- devices (index of one at a time; devices by kind and id or by site).
select k.device_kind, k.device_id
from (
    select device_kind, device_id
    from anomalies
    where status <> 'resolved'
        and kind <> 'readings_refused'
    union
    select device_kind, device_id
    from anomaly_memory
) as k
where k.device_kind <> 'site'
    and not exists (
        select
        from devices as d
        join live_state as s
            on s.device = d.device
        where d.kind = k.device_kind
            and d.id = k.device_id
            and s.removed_at is null
    )
    or k.device_kind = 'site'
    and not exists (
        select
        from devices as d
        join live_state as s
            on s.device = d.device
        where d.site = k.device_id
            and s.removed_at is null
    )

-- name: lasting_anomalies(device_kinds, device_ids)
-- Anomalies of some devices that have not ended (index on device, kind and id).
select a.*
from unnest(:device_kinds::text[], :device_ids::text[]) as d (device_kind, device_id)
join anomalies as a
    on a.device_id = d.device_id
    and a.device_kind = d.device_kind
where a.ended_at is null

-- name: new_anomaly_ids(most)
-- Ids for new anomalies.
select nextval(pg_get_serial_sequence('anomalies', 'id')) as id
from generate_series(1, :most)

-- name: save_anomalies(anomalies)!
-- Inserts and updates anomalies, given as JSON; first those that make room for another of their key.
insert into anomalies overriding system value
select a.*
from jsonb_populate_recordset(null::anomalies, :anomalies) as a
order by a.status <> 'resolved', a.id
on conflict (id) do update
set
    site = excluded.site,
    status = excluded.status,
    cause = excluded.cause,
    summary = excluded.summary,
    evidence = excluded.evidence,
    started_at = excluded.started_at,
    detected_at = excluded.detected_at,
    ended_at = excluded.ended_at,
    acknowledged_at = excluded.acknowledged_at,
    acknowledged_by = excluded.acknowledged_by,
    resolved_at = excluded.resolved_at,
    resolved_by = excluded.resolved_by,
    reopened = excluded.reopened

-- name: record_anomaly_events(at, events)
-- Records events, given as JSON, in the order of their numbers; returns their ids.
insert into anomaly_events (at, anomaly_id, event, who, note, anomaly)
select :at, e.anomaly_id, e.event, e.who, e.note, e.anomaly
from jsonb_to_recordset(:events)
    as e (number integer, anomaly_id bigint, event text, who text, note text, anomaly jsonb)
order by e.number
returning id

-- name: kinds_found(ids)
-- How many of these events say that something is wrong, by kind (primary keys).
select a.kind, count(*) as anomalies
from anomaly_events as e
join anomalies as a
    on a.id = e.anomaly_id
where e.id = any(:ids)
    and e.event in ('opened', 'reopened')
group by a.kind
order by a.kind

-- name: all_overrides()
-- Every override of a rule.
select kind, scope, target, parameters
from rule_overrides

-- name: memories(aspect)
-- What the rules remember about all devices.
select device_kind, device_id, memory
from anomaly_memory
where aspect = :aspect

-- name: memories_of(aspect, device_kinds, device_ids)
-- What the rules remember about some devices (primary key).
select m.device_kind, m.device_id, m.memory
from unnest(:device_kinds::text[], :device_ids::text[]) as d (device_kind, device_id)
join anomaly_memory as m
    on m.aspect = :aspect
    and m.device_kind = d.device_kind
    and m.device_id = d.device_id

-- name: remember(aspect, device_kinds, device_ids, memories)!
-- Replaces what the rules remember about some devices.
insert into anomaly_memory (aspect, device_kind, device_id, memory)
select :aspect, m.device_kind, m.device_id, m.memory
from unnest(:device_kinds::text[], :device_ids::text[], :memories::jsonb[]) as m (device_kind, device_id, memory)
on conflict (aspect, device_kind, device_id) do update
set memory = excluded.memory

-- name: forget_memories(aspects, device_kinds, device_ids)!
-- Forgets what the rules remember about some devices (primary key).
delete from anomaly_memory as m
using unnest(:device_kinds::text[], :device_ids::text[]) as d (device_kind, device_id)
where m.aspect = any(:aspects)
    and m.device_kind = d.device_kind
    and m.device_id = d.device_id

-- name: around_late_devices(vehicle_ids, meter_ids)^
-- Late devices with those whose hours change with theirs: the meters of a vehicle, the vehicles of those meters; and
-- with whoever must be looked at so that those hours are whole: all meters of those vehicles, all vehicles of those
-- (meter_vehicles, by its primary key and by vehicle).
with late as (
    select unnest(devices_of('vehicle', :vehicle_ids)) as vehicle, null::integer as meter
    union all
    select null, unnest(devices_of('meter', :meter_ids))
),
changed_meters as (
    select meter
    from late
    where meter is not null
    union
    select p.meter
    from late as c
    join meter_vehicles as p
        on p.vehicle = c.vehicle
),
changed_vehicles as (
    select vehicle
    from late
    where vehicle is not null
    union
    select p.vehicle
    from changed_meters as c
    join meter_vehicles as p
        on p.meter = c.meter
),
meters as (
    select meter
    from changed_meters
    union
    select p.meter
    from changed_vehicles as c
    join meter_vehicles as p
        on p.vehicle = c.vehicle
),
vehicles as (
    select vehicle
    from changed_vehicles
    union
    select p.vehicle
    from meters as c
    join meter_vehicles as p
        on p.meter = c.meter
)
select
    array(select d.id from changed_vehicles as c join devices as d on d.device = c.vehicle) as changed_vehicle_ids,
    array(select d.id from changed_meters as c join devices as d on d.device = c.meter) as changed_meter_ids,
    array(select d.id from vehicles as c join devices as d on d.device = c.vehicle) as vehicle_ids,
    array(select d.id from meters as c join devices as d on d.device = c.meter) as meter_ids

-- name: charging_elsewhere(meter_ids, since)
-- Vehicles that were found to charge at one of these meters after a time, though their readings say another (all of a
-- kind).
select a.device_id
from anomalies as a
where a.kind = 'dc_exceeds_ac'
    and a.device_kind = 'vehicle'
    and (a.ended_at is null or a.ended_at > :since)
    and a.evidence ->> 'otherMeterId' = any(:meter_ids)

-- name: evaluation_progress()^
-- How far hours have been evaluated, the time, and whether a device is late (one row each).
select
    p.evaluated_until,
    now() as now,
    exists (select from late_devices) as is_late
from anomaly_progress as p

-- name: rolled_up_until()$
-- Up to where the rollups hold the hours; as text, since it may be infinite.
select rolled_up_until()::text

-- name: begin_evaluation()$
-- Whether this session is the one that evaluates, until it ends.
select pg_try_advisory_lock(hashtext('fleetmeter.evaluate'))

-- name: evaluated(until)!
-- Hours have been evaluated up to here.
update anomaly_progress
set evaluated_until = :until

-- name: evaluation_ran(at, took)!
-- When an evaluation ran, and how long.
update anomaly_progress
set
    ran_at = :at,
    took = :took

-- name: oldest_write()$
-- When the oldest transaction began that has written something and is not over, of the last half hour; null: none is.
select min(a.xact_start)
from pg_stat_activity as a
where a.datname = current_database()
    and a.backend_type = 'client backend'
    and a.backend_xid is not null
    and a.pid <> pg_backend_pid()
    and a.xact_start > clock_timestamp() - interval '30 minutes'
