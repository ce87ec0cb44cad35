-- The audit log.

-- name: record_audit(who, address, request_id, action, object, before, after)!
-- Adds what somebody did, in the transaction of it. May be null: address, request_id, before, after.
insert into audit_log (who, address, request_id, action, object, before, after)
values (:who, :address, :request_id, :action, :object, :before::jsonb, :after::jsonb)

-- name: audit_page(before, who, action, object, start, end, limit)
-- A page of the audit log, newest first (primary key, or the index by object or by who). May be null: start, end.
select id, at, who, address, request_id, action, object, before, after
from audit_log
where (:before::bigint is null or id < :before)
    and (:who::text is null or who = :who)
    and (:action::text is null or action = :action)
    and (:object::text is null or object = :object)
    and (:start::timestamptz is null or at >= :start)
    and (:end::timestamptz is null or at < :end)
order by id desc
limit :limit
