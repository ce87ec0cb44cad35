-- A role named fleetmeter_reader, where there is one (the compose stack makes it for Grafana), may
-- read everything but the addresses and secrets of webhooks, and write nothing.

do $$
begin
    if exists (select from pg_roles where rolname = 'fleetmeter_reader') then
        execute format('grant usage on schema %I to fleetmeter_reader', current_schema());
        execute format('grant select on all tables in schema %I to fleetmeter_reader', current_schema());
        revoke select on webhooks from fleetmeter_reader;
    end if;
end;
$$;
