-- Backups: what is in the database, for `fleetmeter backup` and `fleetmeter restore`.

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
