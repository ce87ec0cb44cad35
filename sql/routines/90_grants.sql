-- What the roles fleetmeter_service and fleetmeter_reader may do, where they exist (docs/operations.md, "Roles"). Where
-- they do not, the role that migrates does everything.

-- Settings that a migration writes are the migrating role's.
revoke execute on function configure_retention, configure_accounting from public;

-- The service reads and writes rows; it makes, alters and drops nothing. It does not change what migrations record, and
-- only adds to the audit log.
do $$
begin
    if current_user = 'fleetmeter_service' or not exists (select from pg_roles where rolname = 'fleetmeter_service')
    then
        return;
    end if;
    execute format('grant usage on schema %I to fleetmeter_service', current_schema());
    execute format(
        'grant select, insert, update, delete on all tables in schema %I to fleetmeter_service', current_schema()
    );
    execute format('grant usage on all sequences in schema %I to fleetmeter_service', current_schema());
    revoke insert, update, delete on schema_migrations, installation from fleetmeter_service;
    revoke update, delete on audit_log from fleetmeter_service;
end;
$$;

-- Grafana and analysts read everything but access keys, who is signed in, the addresses and secrets of webhooks, the
-- audit log, and whose tokens were used; they write nothing.
do $$
begin
    if exists (select from pg_roles where rolname = 'fleetmeter_reader') then
        execute format('grant usage on schema %I to fleetmeter_reader', current_schema());
        execute format('grant select on all tables in schema %I to fleetmeter_reader', current_schema());
        revoke select on access_keys, access_key_changes, browser_sessions, audit_log, webhooks, tokens, transactions,
            transaction_records
        from fleetmeter_reader;
    end if;
end;
$$;
