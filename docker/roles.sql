-- The roles that the service and Grafana sign in with. Run by a superuser with psql, each time before the database is
-- migrated, so it also adds a role that a volume of an older version lacks, and sets a password that was changed in
-- .env. What the roles may do is granted by sql/routines/90_grants.sql on every migration.
--
-- The passwords come from the environment into variables of psql, which quotes them, so they stand in no command line.

\set ON_ERROR_STOP on
\getenv service_password POSTGRES_SERVICE_PASSWORD
\getenv reader_password GRAFANA_READER_PASSWORD

select format('create role %I', r.name)
from unnest('{fleetmeter_service,fleetmeter_reader}'::text[]) as r (name)
where not exists (select from pg_roles where rolname = r.name)
\gexec

alter role fleetmeter_service
    login
    password :'service_password';

-- The limits keep a careless panel from starving the service.
alter role fleetmeter_reader
    login
    password :'reader_password'
    connection limit 12;
alter role fleetmeter_reader set default_transaction_read_only = on;
alter role fleetmeter_reader set statement_timeout = '30s';
alter role fleetmeter_reader set idle_in_transaction_session_timeout = '30s';
