-- The rollups belong to the role fleetmeter_service, where there is one: TimescaleDB lets only the owner of a
-- continuous aggregate refresh it and pack its chunks, which the service does within seconds of a late reading. A
-- procedure that runs as its own owner cannot do it instead, since it may not commit. A new owner needs `create` on the
-- schemas for as long as it takes to become that.
do $$
declare
    l_rollup text;
begin
    if current_user = 'fleetmeter_service' or not exists (select from pg_roles where rolname = 'fleetmeter_service')
    then
        return;
    end if;
    for l_rollup in
        select c.oid::regclass::text
        from pg_class as c
        where c.oid in ('quarter_hourly'::regclass, 'hourly'::regclass, 'daily'::regclass)
            and c.relowner <> 'fleetmeter_service'::regrole
    loop
        execute format('grant create on schema %I, _timescaledb_internal to fleetmeter_service', current_schema());
        execute format('alter materialized view %s owner to fleetmeter_service', l_rollup);
        execute format('revoke create on schema %I, _timescaledb_internal from fleetmeter_service', current_schema());
    end loop;
exception
    when insufficient_privilege then
        raise insufficient_privilege
            using message = format(
                '%s: to give the rollups to fleetmeter_service, %s must be a superuser, or a member of that role who '
                'may grant create on the schema _timescaledb_internal (docs/operations.md, "Roles")',
                sqlerrm,
                current_user
            );
end;
$$;
