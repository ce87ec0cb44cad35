-- Anomalies as people look at them: lists, what happened to one, counts.

-- name: anomalies(status, kind, device_id, site, start, end, before, limit)
-- A page of anomalies, newest first. Each filter may be null. Planned with the values at hand: those that are not
-- over by the index of one at a time, one device's and one site's by theirs, else the primary key from its end.
select *
from anomalies as a
where (:before::bigint is null or a.id < :before)
    and (:status::text is null or a.status = :status or :status = 'active' and a.status <> 'resolved')
    and (:kind::text is null or a.kind = :kind)
    and (:device_id::text is null or a.device_id = :device_id)
    and (:site::text is null or a.site = :site)
    and (:end::timestamptz is null or a.started_at < :end)
    and (:start::timestamptz is null or coalesce(a.ended_at, now()) >= :start)
order by a.id desc
limit :limit

-- name: anomaly(anomaly_id)^
-- One anomaly (primary key); no row: there is none.
select *
from anomalies
where id = :anomaly_id

-- name: events_of_anomaly(anomaly_id, before, limit)
-- A page of what happened to one anomaly, newest first (index on anomaly and id).
select id, event, at, who, note
from anomaly_events
where anomaly_id = :anomaly_id
    and (:before::bigint is null or id < :before)
order by id desc
limit :limit

-- name: active_anomalies()
-- How many are not resolved, by kind (index of one at a time).
select
    kind,
    count(*) filter (where status = 'open') as open,
    count(*) filter (where status = 'acknowledged') as acknowledged
from anomalies
where status <> 'resolved'
group by kind
order by kind
