-- Access keys: who may send requests.

-- name: keys_version()^
-- How often keys have changed, and whether there has ever been one.
select c.version, exists (select from access_keys) as any_key
from access_key_changes as c

-- name: living_keys()
-- Every key that is not revoked (access_keys, whole).
select *
from access_keys
where revoked_at is null

-- name: count_living_keys()$
-- Counts the keys that are neither revoked nor expired.
select count(*)
from access_keys
where revoked_at is null
    and (expires_at is null or expires_at > now())

-- name: add_key(id, name, subject, secret_hash, scopes, devices, sites, created_by, expires_at)^
-- Adds a key; no row: a living one has its name or its subject. May be null: subject, expires_at.
insert into access_keys (id, name, subject, secret_hash, scopes, devices, sites, created_by, expires_at)
values (:id, :name, :subject, :secret_hash, :scopes, :devices, :sites, :created_by, :expires_at)
on conflict do nothing
returning *

-- name: key(id)^
-- One key by its id (primary key); no row: there is none.
select *
from access_keys
where id = :id

-- name: living_key(which)^
-- The living key of an id or a name, locked (primary key, index by name); no row: there is none.
select *
from access_keys
where revoked_at is null
    and (id = :which or name = :which)
order by id = :which desc
limit 1
for update

-- name: key_page(after, revoked, limit)
-- A page of keys in the order of their ids, living ones or all (primary key).
select *
from access_keys
where id > :after
    and (:revoked or revoked_at is null)
order by id
limit :limit

-- name: revoke_key(id)^
-- Revokes a living key.
update access_keys
set revoked_at = now()
where id = :id
    and revoked_at is null
returning *

-- name: rotate_key(id, secret_hash, grace, expires_at)^
-- Gives a living key another secret, and lets the old one work for a while. May be null: expires_at.
update access_keys
set
    previous_hash = case when :grace > interval '0' then secret_hash end,
    previous_until = case when :grace > interval '0' then now() + :grace end,
    secret_hash = :secret_hash,
    expires_at = :expires_at
where id = :id
    and revoked_at is null
returning *

-- name: note_keys_used(ids)!
-- Notes that some keys are used now.
update access_keys
set last_used_at = now()
where id = any(:ids::text[])

-- name: sites_of(kinds, ids)
-- The sites that are set for some devices (unique key).
select d.kind, d.id, d.site
from unnest(:kinds::text[], :ids::text[]) as u (kind, id)
join devices as d
    on d.kind = u.kind
    and d.id = u.id
where d.site is not null

-- name: add_browser_session(cookie_hash, holder, key_hash, issuer, scopes, sites, idle, longest_until)!
-- Begins a session. May be null: key_hash, issuer, scopes, sites.
insert into browser_sessions (cookie_hash, holder, key_hash, issuer, scopes, sites, ends_at, longest_until)
values (
    :cookie_hash, :holder, :key_hash, :issuer, :scopes, :sites,
    least(now() + :idle, :longest_until::timestamptz), :longest_until
)

-- name: end_surplus_browser_sessions(holder, most_of_holder, most)!
-- Ends the oldest sessions beyond the most that a holder may have, and beyond the most of all (indexes by holder and
-- age).
delete from browser_sessions
where cookie_hash in (
    (
        select cookie_hash
        from browser_sessions
        where holder = :holder
        order by created_at desc
        offset :most_of_holder
    )
    union all
    (
        select cookie_hash
        from browser_sessions
        order by created_at desc
        offset :most
    )
)

-- name: use_browser_session(cookie_hash, idle)^
-- A session that has not ended, which its use keeps for longer, at most once a minute (primary key); no row: none.
with used as (
    update browser_sessions
    set ends_at = least(longest_until, now() + :idle)
    where cookie_hash = :cookie_hash
        and ends_at > now()
        and ends_at < least(longest_until, now() + :idle) - interval '1 minute'
)
select holder, key_hash, issuer, scopes, sites, longest_until
from browser_sessions
where cookie_hash = :cookie_hash
    and ends_at > now()

-- name: end_browser_session(cookie_hash)!
-- Ends a session (primary key).
delete from browser_sessions
where cookie_hash = :cookie_hash
