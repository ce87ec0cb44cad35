-- What the service does beside answering requests. All are cheap when there is nothing to do.

-- name: refresh_late_hours()!
-- Brings the rollups up to late readings.
call refresh_late_hours()

-- name: are_rollups_late()$
-- Whether rollups lack readings that came late (late_hours, few rows).
select exists (select from late_hours as h where h.hour < (select rolled_up_until()))

-- name: restamp_pending()!
-- Finishes an assignment that was interrupted.
call restamp_pending()

-- name: derive_pending()!
-- Goes on with intervals that are to be derived again.
call derive_pending()

-- name: pack_rollups()!
-- Puts old rollups into the columnstore, where there is one.
call pack_rollups()

-- name: account_hours()!
-- Shares out the energy of hours that have been rolled up.
call account_hours()

-- name: account_hours_until_now()!
-- Shares out the energy of all hours that have been rolled up, newest first, each in a transaction of its own.
call account_hours(p_most => 1000)

-- name: add_up_meters()!
-- Adds up what meters metered by quarter hour in hours that are over, where no rollup of the database does.
call add_up_meters()

-- name: drop_old_history()!
-- Drops what is older than history is kept, where no policy of the database does.
call drop_old_history()

-- name: forget_register_events()!
-- Forgets what happened to registers before history begins.
select forget_register_events()

-- name: forget_browser_sessions()!
-- Forgets browser sessions that have ended (whole table: a few thousand rows at most).
delete from browser_sessions
where ends_at <= now()

-- name: failing_jobs()
-- The database's own background jobs that fail; nobody would see it otherwise.
select job, error
from failing_jobs()

-- name: database_figures()
-- Metrics that the database knows; those with several values have a label (few rows each, counts of small tables or by
-- index).
select 'late_hours' as name, null as label, count(*)::float8 as value
from late_hours
union all
select 'rollup_lag_seconds', null, rollup_lag_s()
union all
select 'failing_jobs', null, count(*)
from failing_jobs()
union all
select 'disabled_webhooks', null, count(*)
from webhooks as w
where w.disabled_at is not null
union all
select 'open_anomalies', a.kind, count(*)
from anomalies as a
where a.status <> 'resolved'
group by a.kind
union all
select 'devices', d.kind, count(*)
from devices as d
group by d.kind

-- name: kept_since()$
-- From when on every reading is still in history; older ones cannot be accepted any more.
select since
from kept_history

-- name: retention_days()$
-- How many days history is kept, as the service was configured.
select days
from retention

-- name: installation_id()$
-- The id of this database, which no other has.
select id
from installation

-- name: lock_waits(most)
-- Sessions that wait for a lock of this database: for which, for how long, and what those do who hold it (pg_locks, few
-- rows). An advisory lock is known by its hash.
select
    coalesce(
        l.relation::regclass::text,
        (
            select 'fleetmeter.' || n.name
            from unnest(
                '{
                    anomaly_events,arrival_stamps,assignments,derive,drop_old_history,evaluate,migrate,mqtt,
                    pack_rollups,refresh_late_hours,rejections,restamp
                }'::text[]
            ) as n (name)
            where l.locktype = 'advisory'
                and case when l.objsubid = 1 then l.objid else l.classid end
                    = (hashtext('fleetmeter.' || n.name)::bigint & 4294967295)::oid
        ),
        l.locktype
    ) || ' (' || l.mode || ')' as lock,
    extract(epoch from clock_timestamp() - coalesce(l.waitstart, a.query_start))::float8 as waits_s,
    left(a.query, 100) as statement,
    array(
        select left(h.query, 100) || coalesce(' (' || h.state || ')', '')
        from pg_stat_activity as h
        where h.pid = any(pg_blocking_pids(l.pid))
        order by h.xact_start
    ) as holders
from pg_locks as l
join pg_stat_activity as a
    on a.pid = l.pid
where not l.granted
    and a.datname = current_database()
order by waits_s desc
limit :most
