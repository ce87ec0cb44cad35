-- What `fleetmeter doctor` looks at. The first three need nothing but PostgreSQL: the database may not be migrated.

-- name: server_facts()^
-- The server, its versions and limits, and the connections that are open. What a role may not see is null.
select
    clock_timestamp() as now,
    current_setting('server_version_num')::int4 as version_num,
    (select e.extversion from pg_extension as e where e.extname = 'timescaledb') as timescaledb,
    exists (select from pg_available_extensions as e where e.name = 'timescaledb') as has_timescaledb,
    current_setting('timescaledb.license', true) as licence,
    pg_database_size(current_database()) as database_bytes,
    (
        select sum(case when s.name = 'max_connections' then 1 else -1 end * s.setting::int4)::int4
        from pg_settings as s
        where s.name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
    ) as usable_connections,
    (
        select count(*)::int4
        from pg_stat_activity as a
        where a.usesysid is not null
            and coalesce(a.backend_type, 'client backend') = 'client backend'
            and not (a.datname = current_database() and a.application_name = 'fleetmeter')
    ) as other_connections,
    (
        select count(*)::int4
        from pg_database as d
        where d.datallowconn
            and not d.datistemplate
    ) as databases,
    (select a.last_archived_time from pg_stat_archiver as a) as last_archived_at,
    (
        select a.last_failed_time
        from pg_stat_archiver as a
        where a.last_failed_time > coalesce(a.last_archived_time, '-infinity')
    ) as archive_failed_at

-- name: server_settings(names)
-- Settings of the server and of this role, as text; those that do not exist are missing.
select name, setting
from pg_settings
where name = any(:names::text[])

-- name: role_facts()^
-- What the connected role and fleetmeter_reader may do; tables of secrets that the reader may read.
select
    r.rolname::text as name,
    r.rolsuper as is_superuser,
    coalesce(
        (
            select pg_has_role(r.oid, c.relowner, 'member')
            from pg_class as c
            where c.oid = to_regclass('readings')
        ),
        false
    ) as is_owner,
    exists (select from pg_roles as o where o.rolname = 'fleetmeter_reader') as has_reader,
    array(
        select c.relname::text
        from pg_roles as o
        join pg_class as c
            on c.oid in (
                to_regclass('webhooks'), to_regclass('access_keys'), to_regclass('browser_sessions'),
                to_regclass('audit_log'), to_regclass('tokens'), to_regclass('transactions'),
                to_regclass('transaction_records')
            )
        where o.rolname = 'fleetmeter_reader'
            and has_any_column_privilege(o.oid, c.oid, 'select')
        order by c.relname
    ) as readable_secrets
from pg_roles as r
where r.rolname = current_user

-- name: fleet_facts()^
-- How far the work behind the scenes has come (small tables; live state, a row per device; history by its index on
-- time).
select
    (select count(*) from devices) as devices,
    (select max(l.time) from live_state as l) as newest_reading,
    (select min(r.time) from readings as r) as oldest_reading,
    rollup_lag_s() as rollup_lag_s,
    (select count(*) from late_hours) as late_hours,
    (select p.evaluated_until from anomaly_progress as p) as evaluated_until,
    array(select w.id from webhooks as w where w.disabled_at is not null order by w.id) as disabled_webhooks,
    (select min(m.applied_at) from schema_migrations as m) as migrated_at

-- name: job_schedule()
-- The database's own jobs: how often each should run, and when it last began to.
select id, job, every, paused, running, last_run
from job_schedule()

-- name: key_dates()
-- When the access keys that were not revoked expire and were used (access_keys, whole).
select name, created_at, expires_at, last_used_at
from access_keys
where revoked_at is null
order by name
