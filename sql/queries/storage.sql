-- What is stored, and what keeps it in shape: for `fleetmeter storage`.

-- name: stored_relations()
-- Rows (about) and bytes of everything that is stored, with the chunks of history where it has some.
select
    relation, about_rows, bytes,
    chunks, columnstore_chunks, columnstore_rows, columnstore_bytes_before, columnstore_bytes, oldest, newest
from stored_relations()

-- name: database_bytes()$
-- The whole database, with the catalogue.
select pg_database_size(current_database())

-- name: storage_jobs()
-- Refresh, columnstore and retention: how the last run of each ended, and when the next is due.
select job, relation, every, last_run, outcome, error, took, next_run, readings
from storage_jobs()
