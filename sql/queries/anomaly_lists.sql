-- Anomalies as people look at them: lists, what happened to one, counts.

-- name: anomalies(status, kind, device_id, site, start, end, before, limit, reach_ids, reach_sites)
-- A page of anomalies within reach, newest first. Each filter may be null. Planned with the values at hand: those that
-- are not over by the index of one at a time, one device's and one site's by theirs, else the primary key from its end.
select *
from anomalies as a
where (:before::bigint is null or a.id < :before)
    and (:status::text is null or a.status = :status or :status = 'active' and a.status <> 'resolved')
    and (:kind::text is null or a.kind = :kind)
    and (:device_id::text is null or a.device_id = :device_id)
    and (
        :site::text is null
        -- a limited reach is not shown at which site the device was then, if it has moved since
        or a.site = :site and (
            :reach_ids::text[] is null and :reach_sites::text[] is null
            or a.device_kind = 'site'
            or a.site = (select d.site from devices as d where d.kind = a.device_kind and d.id = a.device_id)
        )
    )
    and (:end::timestamptz is null or a.started_at < :end)
    and (:start::timestamptz is null or coalesce(a.ended_at, now()) >= :start)
    and subject_within_reach(a.device_kind, a.device_id, :reach_ids, :reach_sites)
order by a.id desc
limit :limit

-- name: anomaly(anomaly_id, reach_ids, reach_sites)^
-- One anomaly (primary key); no row: there is none within reach.
select *
from anomalies
where id = :anomaly_id
    and subject_within_reach(device_kind, device_id, :reach_ids, :reach_sites)

-- name: events_of_anomaly(anomaly_id, before, limit)
-- A page of what happened to one anomaly, newest first (index on anomaly and id).
select id, event, at, who, note
from anomaly_events
where anomaly_id = :anomaly_id
    and (:before::bigint is null or id < :before)
order by id desc
limit :limit

-- name: active_anomalies(reach_ids, reach_sites)
-- How many within reach are not resolved, by kind (index of one at a time).
select
    kind,
    count(*) filter (where status = 'open') as open,
    count(*) filter (where status = 'acknowledged') as acknowledged
from anomalies
where status <> 'resolved'
    and subject_within_reach(device_kind, device_id, :reach_ids, :reach_sites)
group by kind
order by kind

-- name: devices_named(ids)
-- Devices of any kind that have one of these ids, and their sites (index by kind and id).
select d.kind, d.id, d.site
from unnest(array['vehicle', 'meter']) as k (kind)
join devices as d
    on d.kind = k.kind
    and d.id = any(:ids::text[])
