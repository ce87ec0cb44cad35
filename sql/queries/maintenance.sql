-- What the service does beside answering requests. All are cheap when there is nothing to do.

-- name: refresh_late_hours()!
-- Brings the rollups up to late readings.
call refresh_late_hours()

-- name: are_rollups_late()$
-- Whether rollups lack readings that came late (late_hours, few rows).
select exists (select from late_hours as h where h.hour < rolled_up_until())

-- name: restamp_pending()!
-- Finishes an assignment that was interrupted.
call restamp_pending()

-- name: derive_pending()!
-- Goes on with intervals that are to be derived again.
call derive_pending()

-- name: pack_rollups()!
-- Puts old rollups into the columnstore, where there is one.
call pack_rollups()

-- name: account_hours()!
-- Shares out the energy of hours that have been rolled up.
call account_hours()

-- name: drop_old_history()!
-- Drops what is older than history is kept, where no policy of the database does.
call drop_old_history()

-- name: forget_register_events()!
-- Forgets what happened to registers before history begins.
select forget_register_events()

-- name: failing_jobs()
-- The database's own background jobs that fail: nobody sees it otherwise.
select job, error
from failing_jobs()

-- name: kept_since()$
-- From when on every reading is still in history; older ones cannot be accepted any more.
select since
from kept_history

-- name: retention_days()$
-- How many days history is kept, as the service was configured.
select days
from retention

-- name: installation_id()$
-- What tells this database from others.
select id
from installation
