-- Readings that were refused.

-- name: note_rejections(rejections)!
-- Adds what a service has counted, as JSON.
select note_rejections(:rejections::jsonb)

-- name: rejections(after_id, after_kind, after_code, device_id, kind, code, limit, reach_ids, reach_sites)
-- A page of what was refused of devices within reach, in the order of ids, kinds and codes (primary key).
select r.*
from rejections as r
where (r.id, r.kind, r.code) > (:after_id, :after_kind, :after_code)
    and (:device_id::text is null or r.id = :device_id)
    and (:kind::text is null or r.kind = :kind)
    and (:code::text is null or r.code = :code)
    and subject_within_reach(r.kind, r.id, :reach_ids, :reach_sites)
order by r.id, r.kind, r.code
limit :limit

-- name: stamped_by_arrival(kinds, ids)
-- Which of some devices have their readings stamped by arrival where their time cannot be (unique key).
select d.kind, d.id, d.device
from unnest(:kinds::text[], :ids::text[]) as u (kind, id)
join devices as d
    on d.kind = u.kind
    and d.id = u.id
where d.stamp_by_arrival

-- name: stamp_readings(devices, sent, times, digests)$
-- The times under which readings are stored that are stamped by their arrival, in their order.
select stamp_readings(:devices, :sent, :times, :digests)

-- name: refused_devices(at, most)
-- Devices whose readings have been refused for a minute or longer, and are: first those that are known, and those for
-- longest (rejections, whole; devices by kind and id).
select
    r.kind,
    r.id,
    max(d.site) as site,
    min(r.since) as since,
    max(r.last_at) as last_at,
    sum(r.count_since)::bigint as refused,
    (array_agg(r.code order by r.last_at desc))[1] as code,
    (array_agg(r.detail order by r.last_at desc))[1] as detail,
    max(s.last_seen) as accepted_at
from rejections as r
left join devices as d
    on d.kind = r.kind
    and d.id = r.id
left join live_state as s
    on s.device = d.device
where r.id <> ''
    and r.kind <> ''
    and not refusals_are_over(r.last_at, :at, s.last_seen, d.reporting_interval_s)
group by r.kind, r.id
having max(r.last_at) - min(r.since) >= interval '1 minute'
order by bool_and(d.device is null), min(r.since), r.id
limit :most

-- name: lasting_refusals(at)
-- Anomalies of refused readings that are not over, and what has happened since (partial index of these).
select a.device_kind, a.device_id, a.site, a.started_at, r.last_at, r.accepted_at, r.is_over
from anomalies as a
left join lateral (
    select
        max(o.last_at) as last_at,
        max(s.last_seen) as accepted_at,
        bool_and(refusals_are_over(o.last_at, :at, s.last_seen, d.reporting_interval_s)) as is_over
    from rejections as o
    left join devices as d
        on d.kind = o.kind
        and d.id = o.id
    left join live_state as s
        on s.device = d.device
    where o.id = a.device_id
        and o.kind = a.device_kind
) as r
    on true
where a.kind = 'readings_refused'
    and a.ended_at is null
