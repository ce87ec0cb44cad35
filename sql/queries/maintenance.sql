-- What the service does beside answering requests. Both are cheap when there is nothing to do.

-- name: refresh_late_hours()!
-- Brings the rollups up to late readings.
call refresh_late_hours()

-- name: restamp_pending()$
-- Finishes assignments that were interrupted; how many readings changed.
select restamp_pending()
