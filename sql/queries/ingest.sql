-- What a writer asks and does in the transaction of a batch.

-- name: number_devices(kinds, ids)
-- The numbers of devices, given to those that have none, and the version for which they hold (unique key).
select kind, id, device, version
from number_devices(:kinds, :ids)

-- name: number_sessions(ids)
-- The numbers of charging sessions, given to those that have none (unique key).
select id, session
from number_sessions(:ids)

-- name: begin_batch()^
-- Locks the assignments against a change; the versions of what a writer remembers, and which history may be rolled up.
select assignments_version, devices_version, horizon
from begin_batch()

-- name: writer_state(devices)
-- What a writer remembers of devices: the newest reading, the register, the newest assignment (primary keys).
select
    d.device,
    -- what was taken out may be sent again
    greatest(s.time, (select max(v.time) from voided_readings as v where v.device = d.device)) as time,
    s.energy_at,
    s.register_mwh,
    greatest(s.highest_mwh, s.register_mwh) as highest_mwh,
    case
        when s.energy_at is not null then s.register_limit_mwh
        when exists (select from register_exchanges as x where x.device = d.device and not x.is_reverse) then 0
    end as limit_mwh,
    s.reverse_register_mwh_at as reverse_at,
    greatest(s.reverse_highest_mwh, s.reverse_register_mwh) as reverse_highest_mwh,
    case
        when s.reverse_register_mwh_at is not null then s.reverse_limit_mwh
        when exists (select from register_exchanges as x where x.device = d.device and x.is_reverse) then 0
    end as reverse_limit_mwh,
    coalesce(d.register = 'session', false) as is_session,
    coalesce(s.derivation, 0) as derivation,
    interval_ms_of(d.reporting_interval_s) as interval_ms,
    a.since,
    a.meter
from unnest(:devices::integer[]) as u (device)
join devices as d
    on d.device = u.device
left join live_state as s
    on s.device = d.device
    and s.time > '-infinity'
left join lateral (
    select n.since, n.meter
    from assignments as n
    where n.vehicle = d.device
    order by n.since desc
    limit 1
) as a
    on true

-- name: assigned_meters(vehicles, times)
-- The meters that vehicles were assigned to at these times, in their order (primary key).
select assigned_meter(u.vehicle, u.time) as meter
from unnest(:vehicles::integer[], :times::timestamptz[]) with ordinality as u (vehicle, time, place)
order by u.place

-- name: note_pairs(meters, vehicles)!
-- Notes which vehicles have charged from which meters.
select note_pairs(:meters, :vehicles)

-- name: note_hours(hours)$
-- Notes hours that may be rolled up or evaluated already; their devices are noted with the id that it gives.
select note_hours(:hours)

-- name: put_pieces(devices, times)!
-- Spreads the energy of readings over the quarter hours of their intervals.
select put_pieces(:devices, :times)

-- name: advance_state()!
-- Moves live state forward, never back, by what lies in the temporary table.
select advance_state()

-- name: store_readings()^
-- Merges the batch of the temporary table into history; items that are new, that mix energies, that are in conflict.
select stored, mixed, conflicts
from store_readings()
