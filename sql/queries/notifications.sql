-- Notifications: what the stream and the webhooks read, and the state of the webhooks.

-- name: newest_event()$
-- The id of the newest anomaly event (primary key); 0 when there is none.
select coalesce(max(id), 0)
from anomaly_events

-- name: events_after(after, until, limit)
-- Anomaly events in the order of their commits (primary key).
select id, event, at, who, note, anomaly::text as anomaly, anomaly ->> 'kind' as kind
from anomaly_events
where id > :after
    and id <= :until
order by id
limit :limit

-- name: missed_events(after, until, most)^
-- Where a stream that has seen events up to `after` goes on so that it gets `most` at most, and how many that leaves
-- out, counted to 100,000 (primary key); no row: none.
select
    older.id as goes_on_after,
    (
        select count(*)
        from (
            select
            from anomaly_events
            where id > :after
                and id <= older.id
            limit 100000
        ) as missed
    ) as missed
from (
    select id
    from anomaly_events
    where id > :after
        and id <= :until
    order by id desc
    offset :most
    limit 1
) as older

-- name: devices_ahead(kind, after, scan)^
-- How many devices of a kind come next, of `scan` at most, and the last of them (index by kind and id).
select count(*) as devices, max(id) as last
from (
    select id
    from devices
    where kind = :kind
        and id > :after
    order by id
    limit :scan
) as ahead

-- name: database_time()$
-- The database's clock, by which last_seen is set.
select now()

-- name: add_webhook(url, secret, format, kinds)$
-- Adds a webhook, which gets the events from now on; returns its id. Null: there is one for this URL. May be null:
-- kinds.
insert into webhooks (url, secret, format, kinds, last_event_id)
select :url, :secret, :format, :kinds::text[], coalesce(max(id), 0)
from anomaly_events
on conflict (url) do nothing
returning id

-- name: count_webhooks()$
-- Counts the webhooks.
select count(*)
from webhooks

-- name: webhooks()
-- All webhooks, without their secrets, and how many events wait for each (counted to 10,000).
select
    w.id, w.url, w.format, w.kinds, w.created_at, w.last_event_id, w.last_success_at, w.failures, w.next_attempt_at,
    w.last_error, w.disabled_at,
    (
        select count(*)
        from (
            select
            from anomaly_events as e
            where e.id > w.last_event_id
            limit 10000
        ) as waiting
    ) as waiting
from webhooks as w
order by w.id

-- name: webhook(webhook_id)^
-- One webhook with its secret (primary key); no row: there is none.
select *
from webhooks
where id = :webhook_id

-- name: remove_webhook(webhook_id, url)$
-- Forgets the webhook of an id or a URL; its URL. Null: there is none. May be null: webhook_id, url.
delete from webhooks
where id = :webhook_id
    or url = :url
returning url

-- name: enable_webhook(webhook_id, from_now)$
-- Enables a webhook again, from where it was or from now on; returns its URL. Null: there is none.
update webhooks
set disabled_at = null,
    failures = 0,
    next_attempt_at = now(),
    last_event_id = case
        when :from_now then (select coalesce(max(id), last_event_id) from anomaly_events)
        else last_event_id
    end
where id = :webhook_id
returning url

-- name: claim_webhook(lease)^
-- Claims a webhook that has events waiting and whose time has come, for whoever asks first: nobody else gets it until
-- next_attempt_at, which is the claim and moves with each event that is delivered. No row: there is none.
update webhooks
set next_attempt_at = now() + :lease
where id = (
    select id
    from webhooks
    where disabled_at is null
        and next_attempt_at <= now()
        and last_event_id < (select max(id) from anomaly_events)
    order by next_attempt_at
    limit 1
    for update skip locked
)
returning id, url, secret, format, kinds, last_event_id, failures, next_attempt_at as claim

-- name: webhook_took(webhook_id, claim, event_id, lease)$
-- Notes that it has taken everything up to an event, and keeps it for a lease; null: it is somebody else's.
update webhooks
set last_event_id = :event_id,
    last_success_at = now(),
    failures = 0,
    last_error = null,
    next_attempt_at = now() + :lease
where id = :webhook_id
    and next_attempt_at = :claim
returning next_attempt_at

-- name: webhook_failed(webhook_id, claim, event_id, error, again_in, disable)!
-- Notes that an event could not be delivered, the last one that need not be sent again, and when to try again or that
-- it is over. May be null: error.
update webhooks
set last_event_id = :event_id,
    failures = failures + 1,
    last_error = :error,
    next_attempt_at = now() + :again_in,
    disabled_at = case when :disable then now() end
where id = :webhook_id
    and next_attempt_at = :claim

-- name: release_webhook(webhook_id, claim, event_id)!
-- Gives up a claim, with the last event that the webhook has taken or that is not for it.
update webhooks
set last_event_id = :event_id,
    next_attempt_at = now()
where id = :webhook_id
    and next_attempt_at = :claim
