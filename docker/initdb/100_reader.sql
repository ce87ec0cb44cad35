-- Run once by the database's image, when its volume is still empty: the role that Grafana reads
-- with. What it may read is granted by sql/routines/90_grants.sql on every migrate.
--
-- The password comes from the environment into a variable of psql, which quotes it, so it stands
-- in no command line. The limits keep a careless panel from starving the service.

\getenv reader_password GRAFANA_READER_PASSWORD

create role fleetmeter_reader
    login
    password :'reader_password'
    connection limit 12;

alter role fleetmeter_reader set default_transaction_read_only = on;
alter role fleetmeter_reader set statement_timeout = '30s';
alter role fleetmeter_reader set idle_in_transaction_session_timeout = '30s';
