-- Lets the role fleetmeter_reader, if it exists (the compose stack creates it for Grafana), read everything but access
-- keys and the addresses and secrets of webhooks.

do $$
begin
    if exists (select from pg_roles where rolname = 'fleetmeter_reader') then
        execute format('grant usage on schema %I to fleetmeter_reader', current_schema());
        execute format('grant select on all tables in schema %I to fleetmeter_reader', current_schema());
        revoke select on webhooks, access_keys from fleetmeter_reader;
    end if;
end;
$$;
