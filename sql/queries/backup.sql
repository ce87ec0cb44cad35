-- Backups: what is in the database, for `fleetmeter backup` and `fleetmeter restore`.

-- name: chunks()$
-- Names of the parts of tables, quoted, for a statement; empty where there are none.
select coalesce(string_agg(c.oid::regclass::text, ', ' order by c.oid), '')
from pg_inherits as i
join pg_class as c
    on c.oid = i.inhrelid
where c.relkind = 'r'

-- name: export_snapshot()$
-- Name of this transaction's snapshot, for another session to read the same data.
select pg_export_snapshot()

-- name: stored_sums()
-- Rows of every table, and energy by kind of device.
select relation, rows, energy_mwh::text
from stored_sums()

-- name: timescaledb_version()$
-- Version of the extension in this database, null where it is not installed.
select (select e.extversion from pg_extension as e where e.extname = 'timescaledb')

-- name: unreadable_relations()^
-- What pg_dump would stumble over: the owner of the schema's tables, and relations that the current role may not read
-- (pg_class, whole; of extensions' tables, only those whose rows are dumped).
select
    (
        select pg_get_userbyid(c.relowner)::text
        from pg_class as c
        where c.oid = to_regclass('schema_migrations')
    ) as owner,
    current_user::text as role,
    (
        select count(*)::int4
        from pg_class as c
        join pg_namespace as n
            on n.oid = c.relnamespace
        where n.nspname not like 'pg\_%'
            and n.nspname <> 'information_schema'
            and (
                not exists (
                    select
                    from pg_depend as d
                    where d.classid = 'pg_class'::regclass
                        and d.objid = c.oid
                        and d.deptype = 'e'
                )
                or exists (select from pg_extension as e where c.oid = any(e.extconfig))
            )
            and case
                when not has_schema_privilege(n.oid, 'usage') then c.relkind in ('r', 'p', 'S')
                when c.relkind in ('r', 'p') then not has_table_privilege(c.oid, 'select')
                when c.relkind = 'S' then not has_sequence_privilege(c.oid, 'select')
                else false
            end
    ) as relations
